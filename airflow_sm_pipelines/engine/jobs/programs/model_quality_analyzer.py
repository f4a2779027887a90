"""Measures predictions against the ground truth, as SageMaker's model monitor container does for model quality.

It is run by path, without arguments; the container's environment variables are its settings. It writes
``statistics.json``, ``constraints.json`` and, with a baseline, ``constraint_violations.json``. Standard library only.
Source: developer guide, "Model quality metrics and Amazon CloudWatch monitoring". Its examples show what the metrics
are: the constant classifier always gives the last class, and a confusion matrix is by actual, then by predicted class.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.engine.jobs.programs.analysis import (
        COMPLETED,
        UserError,
        format_message,
        given,
        is_same,
        read_dataset,
        read_json,
        run,
        setting,
        write_json,
    )
else:
    # In the directory of this script.
    from analysis import (
        COMPLETED,
        UserError,
        format_message,
        given,
        is_same,
        read_dataset,
        read_json,
        run,
        setting,
        write_json,
    )

_SECTIONS = {
    "Regression": "regression",
    "BinaryClassification": "binary_classification",
    "MulticlassClassification": "multiclass_classification",
}
_MIN_SAMPLES = 200
_MAX_POINTS = 100
_LOWER_IS_BETTER = frozenset({"mae", "mse", "rmse", "false_positive_rate", "false_negative_rate"})
_TRUE_TEXTS = frozenset({"1", "true", "yes"})
Row = tuple[Any, Any, float | None]
"""The actual value, the predicted value, the probability."""


def main() -> str:
    """Measure, and give the message for the end."""
    problem = setting("problem_type")
    if problem not in _SECTIONS:
        raise UserError(f"problem_type is '{problem}', expected one of {', '.join(_SECTIONS)}.")
    columns = read_dataset(Path(setting("dataset_source")), json.loads(setting("dataset_format")))
    rows = select_rows(
        columns,
        problem,
        ground_truth=setting("ground_truth_attribute"),
        inference=given("inference_attribute"),
        probability=given("probability_attribute"),
        threshold=float(given("probability_threshold_attribute") or 0.5),
    )
    metrics = measure(problem, rows)
    constraints = suggest_constraints(metrics)
    output, section = Path(setting("output_path")), _SECTIONS[problem]
    statistics = {"version": 0.0, "dataset": {"item_count": len(rows)}, f"{section}_metrics": metrics}
    write_json(output / "statistics.json", statistics)
    write_json(output / "constraints.json", {"version": 0.0, f"{section}_constraints": constraints})
    baseline = given("baseline_constraints")
    if not baseline:
        return COMPLETED
    wanted = read_json(Path(baseline)).get(f"{section}_constraints")
    if not isinstance(wanted, dict):
        raise UserError(f"The baseline has no {section}_constraints: it is not that of a {problem} model.")
    violations = find_violations(metrics, wanted)
    write_json(output / "constraint_violations.json", {"violations": violations})
    return format_message(violations)


def select_rows(
    columns: dict[str, list[str | None]],
    problem: str,
    *,
    ground_truth: str,
    inference: str | None,
    probability: str | None,
    threshold: float = 0.5,
) -> list[Row]:
    """The actual and the predicted values, without the rows that lack one.

    :param ground_truth: a column by name, by index, or as ``$.name``. The same holds for ``inference`` and
        ``probability``.
    :param threshold: without predictions, a greater probability means the positive class.
    :raises UserError: there is no such column, or it has other values.
    """
    if not inference and not (probability and problem == "BinaryClassification"):
        raise UserError(f"For {problem} the environment variable inference_attribute must be set.")
    actual = _find_column(columns, ground_truth)
    scores = _find_column(columns, probability) if probability and problem == "BinaryClassification" else None
    predicted = _find_column(columns, inference) if inference else scores
    rows: list[Row] = []
    for n, (truth, guess) in enumerate(zip(actual, predicted or (), strict=True)):
        score = scores[n] if scores else None
        if truth is None or guess is None or (scores and score is None):
            continue
        if problem == "Regression":
            rows.append((_number(truth), _number(guess), None))
            continue
        chance = _number(score) if score is not None else None
        if problem == "BinaryClassification":
            guessed = _is_positive(guess) if inference or chance is None else chance > threshold
            rows.append((int(_is_positive(truth)), int(guessed), chance))
        else:
            rows.append((_class_name(truth), _class_name(guess), None))
    if not rows:
        raise UserError(f"No row has both '{ground_truth}' and '{inference or probability}'.")
    return rows


def measure(problem: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The metrics of a problem, with their standard deviations."""
    compute = {
        "Regression": _measure_regression,
        "BinaryClassification": _measure_binary,
        "MulticlassClassification": _measure_classes,
    }[problem]
    deviations = _deviate(compute, rows)
    metrics: dict[str, Any] = {}
    if problem != "Regression":
        metrics["confusion_matrix"] = _count_confusion(rows)
    for name, value in compute(rows).items():
        metrics[name] = {"value": value, "standard_deviation": deviations.get(name, "NaN")}
        if name == "false_negative_rate" and rows[0][2] is not None:
            metrics |= _draw_curves(rows)
    return metrics


def suggest_constraints(metrics: dict[str, Any]) -> dict[str, Any]:
    """A constraint for each metric that tells how good the model is."""
    constraints = {}
    for name, metric in metrics.items():
        if "value" in metric and not name.endswith("_best_constant_classifier"):
            operator = "GreaterThanThreshold" if name in _LOWER_IS_BETTER else "LessThanThreshold"
            constraints[name] = {"threshold": metric["value"], "comparison_operator": operator}
    return constraints


def find_violations(metrics: dict[str, Any], constraints: dict[str, Any]) -> list[dict[str, str]]:
    """The violations of the constraints of a baseline. If a metric cannot be compared, that is a violation too."""
    found = []
    for name, constraint in constraints.items():
        threshold, operator = constraint.get("threshold"), constraint.get("comparison_operator")
        metric = metrics.get(name) or {}
        value, deviation = metric.get("value"), metric.get("standard_deviation")
        if threshold is None:
            continue
        if isinstance(value, (int, float)):
            is_bad = {
                "LessThanThreshold": value < float(threshold) and not is_same(value, float(threshold)),
                "GreaterThanThreshold": value > float(threshold) and not is_same(value, float(threshold)),
            }.get(str(operator))
            if is_bad is None:
                raise UserError(f"The constraint of {name} has the comparison_operator '{operator}'.")
            if not is_bad:
                continue
            spread = "" if deviation == "NaN" else f" +/- {deviation}"
            text = f"Metric {name} with {value}{spread} was {operator} '{threshold}'"
        else:
            text = f"Metric {name} could not be computed for this dataset"
        found.append({"constraint_check_type": str(operator), "description": text, "metric_name": name})
    return found


def _measure_regression(rows: Sequence[Row]) -> dict[str, float]:
    errors = [predicted - actual for actual, predicted, _ in rows]
    mse = fmean(error**2 for error in errors)
    mean = fmean(actual for actual, _, _ in rows)
    variance = fmean((actual - mean) ** 2 for actual, _, _ in rows)
    found = {"mae": fmean(map(abs, errors)), "mse": mse, "rmse": math.sqrt(mse)}
    return {**found, "r2": 1 - mse / variance} if variance else found


def _measure_binary(rows: Sequence[Row]) -> dict[str, float]:
    constant = [(actual, 1, None) for actual, _, _ in rows]
    good, base = _rate_class(rows, 1), _rate_class(constant, 1)
    negative = _rate_class(rows, 0)["recall"]
    found = {
        "recall": good["recall"],
        "precision": good["precision"],
        "accuracy": _rate_accuracy(rows),
        "recall_best_constant_classifier": base["recall"],
        "precision_best_constant_classifier": base["precision"],
        "accuracy_best_constant_classifier": _rate_accuracy(constant),
        "true_positive_rate": good["recall"],
        "true_negative_rate": negative,
        "false_positive_rate": 1 - negative,
        "false_negative_rate": 1 - good["recall"],
    }
    if rows[0][2] is not None and len({actual for actual, _, _ in rows}) == 2:
        found["auc"] = _rank_auc(rows)
    names = ("f0_5", "f1", "f2")
    found |= {name: good[name] for name in names}
    return found | {f"{name}_best_constant_classifier": base[name] for name in names}


def _measure_classes(rows: Sequence[Row]) -> dict[str, float]:
    last = max((actual for actual, _, _ in rows), key=_class_order)
    found = {}
    for suffix, judged in (("", rows), ("_best_constant_classifier", [(row[0], last, None) for row in rows])):
        counts = Counter(actual for actual, _, _ in judged)
        rates = {name: _rate_class(judged, name) for name in counts}
        found[f"accuracy{suffix}"] = _rate_accuracy(judged)
        for metric in ("recall", "precision", "f0_5", "f1", "f2"):
            total = math.fsum(rates[name][metric] * count for name, count in counts.items())
            found[f"weighted_{metric}{suffix}"] = total / len(judged)
    return found


def _rate_class(rows: Sequence[Row], name: Any) -> dict[str, float]:
    hits = sum(actual == name == predicted for actual, predicted, _ in rows)
    recall = _ratio(hits, sum(actual == name for actual, _, _ in rows))
    precision = _ratio(hits, sum(predicted == name for _, predicted, _ in rows))
    rates = {"recall": recall, "precision": precision}
    for metric, beta in (("f0_5", 0.5), ("f1", 1.0), ("f2", 2.0)):
        rates[metric] = _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)
    return rates


def _rate_accuracy(rows: Sequence[Row]) -> float:
    return fmean(actual == predicted for actual, predicted, _ in rows)


def _rank_auc(rows: Sequence[Row]) -> float:
    """The chance that a positive row has a higher score than a negative one; equal scores count half."""
    points = _count_above(rows)
    return math.fsum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def _count_above(rows: Sequence[Row]) -> list[tuple[float, float, float]]:
    """The false positive rate, true positive rate and precision for each threshold, the highest first."""
    positives = sum(actual for actual, _, _ in rows)
    negatives = len(rows) - positives
    points, true, false = [(0.0, 0.0, 1.0)], 0, 0
    ordered = sorted(((score or 0.0, actual) for actual, _, score in rows), reverse=True)
    for n, (score, actual) in enumerate(ordered):
        true, false = true + actual, false + 1 - actual
        if n + 1 == len(ordered) or ordered[n + 1][0] != score:
            points.append((_ratio(false, negatives), _ratio(true, positives), true / (true + false)))
    return points


def _draw_curves(rows: Sequence[Row]) -> dict[str, Any]:
    points = _count_above(rows)
    step = max(1, math.ceil(len(points) / _MAX_POINTS))
    drawn = [*points[:-1:step], points[-1]]
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": [point[0] for point in drawn],
            "true_positive_rates": [point[1] for point in drawn],
        },
        "precision_recall_curve": {
            "precisions": [point[2] for point in drawn],
            "recalls": [point[1] for point in drawn],
        },
    }


def _count_confusion(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    counts = Counter((actual, predicted) for actual, predicted, _ in rows)
    names = sorted({name for pair in counts for name in pair}, key=_class_order)
    if isinstance(rows[0][0], int):
        names = [0, 1]
    return {str(actual): {str(predicted): counts[actual, predicted] for predicted in names} for actual in names}


def _deviate(compute: Callable[[Sequence[Row]], dict[str, float]], rows: Sequence[Row]) -> dict[str, float]:
    """The spread of each metric over five random samples of 80 %; empty if there are few rows (documented)."""
    if len(rows) < _MIN_SAMPLES:
        return {}
    chance = random.Random(0)  # noqa: S311 - no secret
    samples = [compute(chance.sample(rows, len(rows) * 4 // 5)) for _ in range(5)]
    return {name: pstdev(found[name] for found in samples) for name in samples[0] if all(name in s for s in samples)}


def _find_column(columns: dict[str, list[str | None]], attribute: str) -> list[str | None]:
    name = attribute.removeprefix("$.")
    for candidate in (attribute, name, f"_c{name}"):
        if candidate in columns:
            return columns[candidate]
    if name.isdecimal() and int(name) < len(columns):
        return list(columns.values())[int(name)]
    raise UserError(f"The dataset has no column '{attribute}'; it has {', '.join(columns)}.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"Expected a number, found '{text}'.") from None


def _is_positive(text: str) -> bool:
    try:
        return float(text) == 1
    except ValueError:
        return text.strip().lower() in _TRUE_TEXTS


def _class_name(text: str) -> str:
    """The name of a class in one spelling: 1 and 1.0 are the same."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def _class_order(name: Any) -> tuple[int, float, str]:
    try:
        return (0, float(name), "")
    except ValueError:
        return (1, 0.0, str(name))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


if __name__ == "__main__":
    sys.exit(run(main))
