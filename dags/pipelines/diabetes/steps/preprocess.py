"""Split scikit-learn's diabetes data (442 patients) into train, validation and test sets.

The files are what SageMaker's built-in XGBoost reads: CSV, the label first, no header.
"""

import argparse
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

OUTPUT = Path("/opt/ml/processing")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed

    patients = load_diabetes(as_frame=True).frame
    patients.insert(0, "target", patients.pop("target"))

    train, rest = train_test_split(patients, test_size=0.3, random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, random_state=seed)
    for name, rows in {"train": train, "validation": validation, "test": test}.items():
        folder = OUTPUT / name
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", header=False, index=False)
        print(f"{name}: {len(rows)} patients")


if __name__ == "__main__":
    main()
