"""Split scikit-learn's diabetes data into train and test sets: CSV, the label first, no header."""

from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

OUTPUT = Path("/opt/ml/processing")

patients = load_diabetes(as_frame=True).frame
patients.insert(0, "target", patients.pop("target"))
train, test = train_test_split(patients, test_size=0.25, random_state=7)
for name, rows in {"train": train, "test": test}.items():
    (OUTPUT / name).mkdir(parents=True, exist_ok=True)
    rows.to_csv(OUTPUT / name / f"{name}.csv", header=False, index=False)
    print(f"{name}: {len(rows)} patients")
