"""Checks the hyperparameters of SageMaker's built-in XGBoost as the container does.

``xgboost_algorithm.py`` imports it; standard library only. Source:
aws/sagemaker-xgboost-container, algorithm_mode/hyperparameter_validation.py at cb8df91c.
"""

from __future__ import annotations

import json
import math
from typing import Any


class CustomerError(Exception):
    """Something wrong that the user can change; SageMaker writes it as ``ClientError``."""


_INF = math.inf
_NUMBERS: dict[str, tuple[type, float, float, str]] = {
    "num_round": (int, 1, _INF, ""),
    "csv_weights": (int, 0, 1, ""),
    "early_stopping_rounds": (int, 1, _INF, ""),
    "verbosity": (int, 0, 3, ""),
    "nthread": (int, 1, _INF, ""),
    "eta": (float, 0, 1, ""),
    "gamma": (float, 0, _INF, ""),
    "max_depth": (int, 0, _INF, ""),
    "min_child_weight": (float, 0, _INF, ""),
    "max_delta_step": (float, 0, _INF, ""),
    "subsample": (float, 0, 1, "low"),
    "colsample_bytree": (float, 0, 1, "low"),
    "colsample_bylevel": (float, 0, 1, "low"),
    "colsample_bynode": (float, 0, 1, "low"),
    "lambda": (float, 0, _INF, ""),
    "alpha": (float, 0, _INF, ""),
    "sketch_eps": (float, 0, 1, "low high"),
    "scale_pos_weight": (float, 0, _INF, "low"),
    "refresh_leaf": (int, 0, 1, ""),
    "max_leaves": (int, 0, _INF, ""),
    "max_bin": (int, 0, _INF, ""),
    "rate_drop": (float, 0, 1, ""),
    "one_drop": (int, 0, 1, ""),
    "skip_drop": (float, 0, 1, ""),
    "lambda_bias": (float, 0, 1, ""),
    "tweedie_variance_power": (float, 1, 2, "low high"),
    "num_class": (int, 2, _INF, ""),
    "base_score": (float, 0, _INF, ""),
    "_kfold": (int, 2, _INF, ""),
    "_num_cv_round": (int, 1, _INF, ""),
    "seed": (int, -(2**31), 2**31 - 1, "low high"),
    "num_parallel_tree": (int, 1, _INF, ""),
    "aft_loss_distribution_scale": (float, 0, _INF, ""),
    "prob_buffer_row": (int, 1, _INF, "low"),
}
"""By name: type, lowest value, highest value, and which of these two bounds are excluded."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "booster": ("gbtree", "gblinear", "dart"),
    "tree_method": ("auto", "exact", "approx", "hist", "gpu_hist"),
    "dsplit": ("row", "col"),
    "process_type": ("default", "update"),
    "grow_policy": ("depthwise", "lossguide"),
    "predictor": ("auto", "cpu_predictor", "gpu_predictor"),
    "sample_type": ("uniform", "weighted"),
    "normalize_type": ("tree", "forest"),
    "objective": (
        "aft_loss_distribution", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson", "multi:softmax",
        "multi:softprob", "rank:pairwise", "rank:ndcg", "rank:map", "reg:linear", "reg:squarederror", "reg:logistic",
        "reg:gamma", "reg:pseudohubererror", "reg:squaredlogerror", "reg:absoluteerror", "reg:tweedie", "survival:aft",
        "survival:cox",
    ),
    "save_model_on_termination": ("true", "false"),
    "aft_loss_distribution": ("normal", "logistic", "extreme"),
    "deterministic_histogram": ("true", "false"),
    "sampling_method": ("uniform", "gradient_based"),
    "use_dask_gpu_training": ("true", "false"),
}  # fmt: skip
_ALIASES = {"learning_rate": "eta", "min_split_loss": "gamma", "reg_lambda": "lambda", "reg_alpha": "alpha"}
_PASSED = ("_tuning_objective_metric", "updater", "monotone_constraints", "interaction_constraints", "silent")
MAXIMIZE_METRICS = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map", "ndcg", "pre", "precision",
    "precision_macro", "precision_micro", "r2", "recall", "recall_macro", "recall_micro",
)  # fmt: skip
MINIMIZE_METRICS = (
    "aft-nloglik", "cox-nloglik", "error", "gamma-deviance", "gamma-nloglik", "hinge", "logloss", "mae", "mape",
    "merror", "mlogloss", "mphe", "mse", "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik",
)  # fmt: skip


def parse_hyperparameters(given: dict[str, str]) -> dict[str, Any]:
    """Check and convert the strings of ``hyperparameters.json``.

    :raises CustomerError: one is wrong; the text is that of the container for the first fault.
    """
    named = {_ALIASES.get(name, name): value for name, value in given.items()}
    if "num_round" not in named:
        raise CustomerError("Missing required hyperparameter: num_round")
    parsed = {name: _parse(name, value) for name, value in named.items()}
    objective = parsed.get("objective")
    if objective in ("multi:softmax", "multi:softprob") and "num_class" not in parsed:
        raise CustomerError("Require input for parameter 'num_class' for multi-classification")
    if objective is None and "num_class" in parsed:
        raise CustomerError(
            "Do not need to setup parameter 'num_class' for learning task other than multi-classification."
        )
    metrics = parsed.get("eval_metric", [])
    if "auc" in metrics and not str(objective).startswith(("binary:", "rank:", "multi:")):
        raise CustomerError("Metric 'auc' can only be applied for classification and ranking problems.")
    return parsed


def _parse(name: str, value: str) -> Any:
    if name in _NUMBERS:
        return _parse_number(name, value)
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise CustomerError(f"Hyperparameter {name}: {value} is not in {list(_CHOICES[name])}")
        return value
    if name == "eval_metric":
        metrics = [metric.strip() for metric in value.strip("[]").replace('"', "").replace("'", "").split(",")]
        for metric in metrics:
            _check_metric(metric)
        return metrics
    if name == "interaction_constraints":
        return json.loads(value)
    if name in _PASSED:
        return value
    raise CustomerError(f"Extraneous hyperparameter found: {name}")


def _parse_number(name: str, value: str) -> float:
    kind, low, high, excluded = _NUMBERS[name]
    try:
        number = kind(value)
    except ValueError:
        raise CustomerError(f"Hyperparameter {name}: could not parse value (caused by ValueError)") from None
    is_low = number < low or ("low" in excluded and number == low)
    is_high = number > high or ("high" in excluded and number == high)
    if is_low or is_high or math.isnan(number):
        interval = (
            f"{'(' if 'low' in excluded else '['}{low:g}, {high:g}{')' if 'high' in excluded or high == _INF else ']'}"
        )
        raise CustomerError(f"Hyperparameter {name}: {value} is not in {interval}")
    return number  # type: ignore[no-any-return]


def _check_metric(metric: str) -> None:
    name, at, threshold = metric.partition("@")
    if not at:
        if metric not in (*MAXIMIZE_METRICS, *MINIMIZE_METRICS):
            known = sorted((*MAXIMIZE_METRICS, *MINIMIZE_METRICS))
            raise CustomerError(f"Hyperparameter eval_metric: value {metric} not in range {known}")
        return
    if name.strip() not in ("error", "ndcg", "map"):
        raise CustomerError(
            f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized threshold should be one of "
            "these options: 'error', 'ndcg', 'map'."
        )
    try:
        float(threshold)
    except ValueError:
        raise CustomerError(f"Threshold value 't' in '{name}@t' expects float input.") from None
