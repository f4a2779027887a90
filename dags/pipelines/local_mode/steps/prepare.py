"""Take the first rows of the data, and put the column to predict first, as XGBoost wants it."""

import argparse
from pathlib import Path

import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
rows = parser.parse_args().rows

patients = pd.read_csv("/opt/ml/processing/patients/patients.csv").head(rows)
output = Path("/opt/ml/processing/train")
output.mkdir(parents=True, exist_ok=True)
columns = ["progression", *(name for name in patients.columns if name != "progression")]
patients[columns].to_csv(output / "train.csv", header=False, index=False)
print(f"{len(patients)} rows")
