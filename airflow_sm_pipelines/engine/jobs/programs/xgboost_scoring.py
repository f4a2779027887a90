"""Scores as SageMaker's built-in XGBoost does: one prediction a line, or behind an endpoint also as JSON.

It is run by path, as ``xgboost_scoring.py PAYLOADS ANSWERS``, in an environment with xgboost. Source:
aws/sagemaker-xgboost-container, algorithm_mode/serve.py.

What differs: there is no recordio-protobuf and no selectable inference (``SAGEMAKER_INFERENCE_OUTPUT``), and k-fold
models are averaged.
"""

from __future__ import annotations

import inspect
import json
import pickle
import sys
from typing import Any

from payload_stream import BASE, ServingError, fail, serve  # type: ignore[import-not-found]  # in this directory
from serving_codecs import decode_matrix  # type: ignore[import-not-found]


def main(payloads: str, answers: str) -> int:
    """Score all payloads, and give the exit code."""
    try:
        models = _load_models()
    except ServingError as error:
        return int(fail(str(error)))

    def invoke(body: bytes, content_type: str | None, accept: str | None) -> tuple[bytes, str]:
        kind = (content_type or "text/libsvm").partition(";")[0].strip().lower()
        try:
            matrix = decode_matrix(body, kind)
        except ServingError as error:
            hint = "" if content_type else " The request has no ContentType, so it is read as text/libsvm."
            raise ServingError(f"{error}{hint}") from error
        scores = sum(_predict(model, matrix) for model in models) / len(models)
        if not answers and (accept or "").partition(";")[0].strip() == "application/json":
            document = {"predictions": [{"score": score} for score in scores.tolist()]}
            return json.dumps(document).encode(), "application/json"
        return ("\n".join(map(str, scores.tolist())) + "\n").encode(), "text/csv"

    return int(serve(payloads, answers, invoke))


def _load_models() -> list[Any]:
    import xgboost

    models = []
    files = sorted(path for path in (BASE / "model").iterdir() if path.is_file() and path.name[0] != ".")
    for path in [path for path in files if path.name.startswith("xgboost-model")] or files[:1]:
        try:
            with path.open("rb") as file:
                model = pickle.load(file)  # noqa: S301 - the container does so, and it is the job's own process
        except Exception as not_pickled:  # noqa: BLE001 - pickle raises anything for a file that is not one
            model = xgboost.Booster()
            try:
                model.load_model(str(path))
            except xgboost.core.XGBoostError as not_saved:
                raise ServingError(f"ClientError: Unable to load model: {not_pickled} {not_saved}") from not_saved
        models.append(model)
    if not models:
        raise ServingError("ClientError: Unable to load model: the model's artifacts hold no file.")
    return models


def _predict(model: Any, matrix: Any) -> Any:
    import xgboost

    has_numbers = hasattr(model, "num_features")  # from xgboost 1.5 on
    expected = model.num_features() if has_numbers else len(model.feature_names or ())
    found = matrix.num_col()
    if expected and found > expected:
        raise ServingError(
            f"ClientError: Unable to evaluate payload provided: Feature size of inference data {found} is not "
            f"consistent with feature size of trained model {expected}. Does the data still have its label column? "
            "InputFilter '$[1:]' leaves it out."
        )
    best = model.attributes().get("best_iteration")
    last = int(best) + 1 if best is not None else 0
    has_range = "iteration_range" in inspect.signature(model.predict).parameters  # from xgboost 1.4 on
    rounds = {"iteration_range": (0, last)} if has_range else {"ntree_limit": last}
    try:
        return model.predict(matrix, validate_features=False, **rounds)
    except xgboost.core.XGBoostError as error:
        text = str(error).partition("\nStack trace")[0].strip()
        raise ServingError(f"ClientError: Unable to evaluate payload provided: {text}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
