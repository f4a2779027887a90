"""Measure the trained model on the test set and write the metrics that the pipeline decides on."""

import json
import math
import tarfile
from pathlib import Path

import pandas as pd
import xgboost

PROCESSING = Path("/opt/ml/processing")


def main() -> None:
    with tarfile.open(PROCESSING / "model" / "model.tar.gz") as archive:
        archive.extract("xgboost-model")
    model = xgboost.Booster()
    model.load_model("xgboost-model")

    test = pd.read_csv(PROCESSING / "test" / "test.csv", header=None)
    labels = test.pop(0)
    errors = model.predict(xgboost.DMatrix(test.values)) - labels.values

    rmse = math.sqrt((errors**2).mean())
    mae = abs(errors).mean()
    report = {
        "regression": {
            "rmse": {"value": float(rmse)},
            "mae": {"value": float(mae)},
        }
    }
    print(f"RMSE {rmse:.2f}, MAE {mae:.2f} on {len(labels)} patients")

    folder = PROCESSING / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
