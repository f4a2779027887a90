"""Trains as SageMaker's built-in XGBoost algorithm does, with the same inputs, log lines, errors and model file.

It is run by path, as ``python xgboost_algorithm.py pickle|save_model``, in an environment with xgboost, pandas and
pyarrow. Source: aws/sagemaker-xgboost-container at cb8df91c.

What differs: one process trains on the data of all instances. There is no GPU, no cross validation (``_kfold``), no
recordio-protobuf, and there are no scikit-learn metrics (``f1``, ``accuracy``, ``r2`` and others). A CSV file with a
header line is refused, where the container would train on nonsense.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

from xgboost_hyperparameters import (  # type: ignore[import-not-found]  # in the directory of this script
    MAXIMIZE_METRICS,
    CustomerError,
    parse_hyperparameters,
)

_BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/")) / "opt" / "ml"
_DATA = _BASE / "input" / "data"
_CONTENT_TYPES = {
    "csv": "csv",
    "text/csv": "csv",
    "libsvm": "libsvm",
    "text/libsvm": "libsvm",
    "text/x-libsvm": "libsvm",
    "parquet": "parquet",
    "application/x-parquet": "parquet",
}
_OWN_METRICS = {"accuracy", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "mse", "precision", "precision_macro",
                "precision_micro", "r2", "recall", "recall_macro", "recall_micro"}  # fmt: skip
_CUSTOMER_ERRORS = (
    "Check failed: param.max_depth > 0",
    "Parameter num_class should be greater equal to 1",
    "Check failed: preds.size() == info.labels.size()",
    "Check failed: preds.Size() == info.labels",
    "label and prediction size not match",
    "label must be in [0,1]",
    "label must be in (0, 1)",
    "label must be nonnegative",
    "label must be in [0, num_class)",
    "feature_names mismatch",
    "Must have at least 1 validation dataset for early stopping",
    "base_score must be in (0,1)",
    "Empty dataset",
)
"""Texts of xgboost that tell of wrong data or settings of the user (constants/xgb_constants.py)."""

log = logging.getLogger("sagemaker-xgboost")


def main(model_format: str) -> int:
    """Train, and give the exit code. A failure is written to ``/opt/ml/output/failure``."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="[%(asctime)s:%(levelname)s] %(message)s")
    log.info("Running XGBoost Sagemaker in algorithm mode")
    try:
        _train(model_format)
    except CustomerError as error:
        return _fail(f"ClientError: {error}")
    except Exception as error:  # noqa: BLE001 - the container reports every error of xgboost so
        traceback.print_exc()
        return _fail(f"AlgorithmError: XGB train call failed with exception:\n {_without_trace(error)}")
    return 0


def _fail(text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    (_BASE / "output" / "failure").write_text(text, encoding="utf-8")
    return 1


def _train(model_format: str) -> None:
    parameters = parse_hyperparameters(_read_json("hyperparameters.json"))
    channels = _read_json("inputdataconfig.json")
    for name in channels:
        if name not in ("train", "validation", "code"):
            raise CustomerError(f"Extraneous channel found: {name}")
    if "train" not in channels:
        raise CustomerError("Missing required channel: train")
    if "_kfold" in parameters:
        raise CustomerError("Cross validation (_kfold) is not supported by the local XGBoost algorithm.")
    has_weights = parameters.pop("csv_weights", 0) == 1
    matrices: dict[str, Any] = {
        name: read_channel(_DATA / name, channels[name].get("ContentType"), has_weights=has_weights)
        for name in ("train", "validation")
        if name in channels
    }
    train = matrices["train"]
    log.info("Train matrix has %s rows and %s columns", train.num_row(), train.num_col())
    if "validation" in matrices:
        log.info("Validation matrix has %s rows", matrices["validation"].num_row())
    log.info("Single node training.")
    booster = _boost(parameters, matrices)
    path = _BASE / "model" / "xgboost-model"
    path.parent.mkdir(parents=True, exist_ok=True)
    if model_format == "pickle":
        with path.open("wb") as file:
            pickle.dump(booster, file)
    else:
        # Without a suffix xgboost warns that it chose this format.
        booster.save_model(str(path.with_suffix(".ubj")))
        path.with_suffix(".ubj").rename(path)


def _boost(parameters: dict[str, Any], matrices: dict[str, Any]) -> Any:
    import xgboost

    rounds = parameters.pop("num_round")
    for name in ("save_model_on_termination", "use_dask_gpu_training", "_num_cv_round", "dsplit", "silent"):
        parameters.pop(name, None)
    metrics = parameters.get("eval_metric", [])
    own = sorted(_OWN_METRICS.intersection(metrics))
    if own:
        raise CustomerError(f"The local XGBoost algorithm does not have the evaluation metrics {own}.")
    objective_metric = parameters.pop("_tuning_objective_metric", None)
    if objective_metric:
        name = objective_metric.rpartition(":")[2]
        parameters["eval_metric"] = metrics = [*(metric for metric in metrics if metric != name), name]
    patience = parameters.pop("early_stopping_rounds", None)
    watched = metrics[-1] if patience and metrics and "validation" in matrices else ""
    try:
        return xgboost.train(
            parameters,
            matrices["train"],
            num_boost_round=rounds,
            evals=[(matrix, name) for name, matrix in matrices.items()],
            verbose_eval=False,
            **_plan_callbacks(patience, watched),
        )
    except xgboost.core.XGBoostError as error:
        if any(text in str(error) for text in _CUSTOMER_ERRORS):
            raise CustomerError(_without_trace(error)) from error
        raise


def _plan_callbacks(patience: int, watched: str) -> dict[str, Any]:
    """The arguments of ``xgboost.train`` that print the metrics, and stop early if a metric is watched."""
    import xgboost

    maximize = watched.partition("@")[0] in MAXIMIZE_METRICS
    base = getattr(xgboost.callback, "TrainingCallback", None)
    if base is None:  # before xgboost 1.3
        stops = {"early_stopping_rounds": patience, "maximize": maximize} if watched else {}
        return {"callbacks": [_print_metrics], **stops}
    callbacks: list[Any] = [_metric_printer(base)]
    if watched:
        callbacks.append(
            xgboost.callback.EarlyStopping(
                rounds=patience, data_name="validation", metric_name=watched, maximize=maximize, save_best=True
            )
        )
    return {"callbacks": callbacks}


def _print_metrics(round_: Any) -> None:
    """Print the metrics of a round, as the callbacks of xgboost before 1.3 get it."""
    parts = [f"{entry[0]}:{entry[1]:.5f}" for entry in round_.evaluation_result_list]
    print("#011".join([f"[{round_.iteration}]", *parts]), flush=True)


def _without_trace(error: Exception) -> str:
    return str(error).partition("\nStack trace")[0].strip()


def _metric_printer(base: type) -> Any:
    class MetricPrinter(base):  # type: ignore[misc]
        """Prints the metrics of a round. The log of the container shows the tab between them as ``#011``."""

        def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]) -> bool:
            parts = [
                f"{data}-{metric}:{values[-1][0] if isinstance(values[-1], tuple) else values[-1]:.5f}"
                for data, by_metric in evals_log.items()
                for metric, values in by_metric.items()
            ]
            print("#011".join([f"[{epoch}]", *parts]), flush=True)
            return False

    return MetricPrinter()


def read_channel(directory: Path, content_type: str | None, *, has_weights: bool) -> Any:
    """Read all files of a channel, except those whose names begin with ``.`` or ``_``. The label is the first column.

    :raises CustomerError: there is no data, or it is not what the content type says.
    """
    kind, _, options = (content_type or "text/libsvm").lower().partition(";")
    if kind.strip() not in _CONTENT_TYPES:
        raise CustomerError(f"{content_type} is not an accepted ContentType: {', '.join(_CONTENT_TYPES)}.")
    kind = _CONTENT_TYPES[kind.strip()]
    if kind == "csv" and "label_size" in options and "label_size=1" not in options.replace(" ", ""):
        raise CustomerError(
            f"{content_type} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    found = [directory] if directory.is_file() else directory.rglob("*")
    files = sorted(path for path in found if path.is_file() and path.name[0] not in "._" and path.stat().st_size)
    if not files:
        name = "training" if directory.name == "train" else directory.name
        raise CustomerError(f"No data in {name} channel path {directory}")
    if kind == "libsvm":
        return _read_libsvm(directory, files)
    return _read_table(files, kind, has_weights=has_weights)


def _read_libsvm(directory: Path, files: list[Path]) -> Any:
    import xgboost

    for path in files:
        with path.open(encoding="utf-8", errors="ignore") as file:
            line = file.readline()
        words = line.split()
        wrong = [word for word in words[:1] if not _is_number(word.partition(":")[0])]
        wrong += [word for word in words[1:] if ":" not in word]
        if wrong or not words:
            found = f" It has {wrong[0][:50]!r}." if wrong else " It is empty."
            raise CustomerError(
                f"First line '{line[:50].rstrip()}...' of file '{path.name}' is not 'LIBSVM' format. Please ensure the "
                f"file is in 'LIBSVM' format.{found}"
            )
    try:
        return xgboost.DMatrix(f"{files[0] if len(files) == 1 else directory}?format=libsvm")
    except xgboost.core.XGBoostError as error:
        raise CustomerError(f"Failed to load libsvm data with exception:\n{error}") from error


def _read_table(files: list[Path], kind: str, *, has_weights: bool) -> Any:
    import pandas
    import xgboost

    try:
        frames = [pandas.read_parquet(path) if kind == "parquet" else _read_csv(path) for path in files]
        for frame in frames:
            frame.columns = range(frame.shape[1])
        values = pandas.concat(frames).to_numpy(dtype="float32")
    except (ValueError, TypeError, OSError) as error:
        raise CustomerError(f"Failed to load {kind} data with exception:\n{error}") from error
    first = 2 if has_weights and kind == "csv" else 1
    if values.shape[1] <= first:
        raise CustomerError(
            f"Failed to load {kind} data: file '{files[0].name}' has {values.shape[1]} columns, so no features."
        )
    weights = values[:, 1] if first == 2 else None
    return xgboost.DMatrix(values[:, first:], label=values[:, 0], weight=weights)


def _read_csv(path: Path) -> Any:
    import pandas

    with path.open(encoding="utf-8", errors="ignore") as file:
        line = file.readline()
    try:
        delimiter = csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise CustomerError(f"Could not determine delimiter on line {line[:50].rstrip()}:\n{error}") from error
    words = [word.strip().strip('"') for word in line.rstrip().split(delimiter)]
    for number, word in enumerate(words, start=1):
        if word and not _is_number(word):
            raise CustomerError(
                f"First line '{line[:50].rstrip()}...' of file '{path.name}' is not 'CSV' format: field {number} is "
                f"{word[:50]!r}. SageMaker's XGBoost takes CSV without a header line, numbers only, the label first."
            )
    return pandas.read_csv(path, header=None, sep=delimiter)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read_json(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_BASE / "input" / "config" / name).read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
