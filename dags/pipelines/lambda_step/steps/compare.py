"""Compare the candidates by cross-validation. All arguments are texts, whatever they were in the pipeline."""

import argparse
import json
from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
parser.add_argument("--folds", type=int)
parser.add_argument("--test-share", type=float)
parser.add_argument("--shuffle", type=json.loads)  # "true" or "false"
parser.add_argument("--candidates", type=json.loads)  # JSON, where AWS's guide uses eval
given = parser.parse_args()

folds = KFold(given.folds, shuffle=given.shuffle, random_state=7 if given.shuffle else None)
features, target = load_diabetes(return_X_y=True)
scores = [
    {**candidate, "r2": float(cross_val_score(Ridge(**candidate), features, target, cv=folds).mean())}
    for candidate in given.candidates
]
output = Path("/opt/ml/processing/result")
output.mkdir(parents=True, exist_ok=True)
result = {"best": max(scores, key=lambda score: score["r2"]), "scores": scores, "given": vars(given)}
(output / "result.json").write_text(json.dumps(result))
