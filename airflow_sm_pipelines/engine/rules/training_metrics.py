"""A training job's metrics, found in its log by regular expressions.

What belongs here: metric definitions and their values. What does not: the log itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue

LogListener: TypeAlias = Callable[[Sequence[tuple[int, str]]], None]
"""Takes lines of a job's log, each with its time in epoch milliseconds."""

_XGBOOST_METRICS = (
    "accuracy", "aft-nloglik", "auc", "aucpr", "balanced_accuracy", "cox-nloglik", "error", "f1", "f1_binary",
    "f1_macro", "gamma-deviance", "gamma-nloglik", "hinge", "logloss", "mae", "map", "mape", "merror", "mlogloss",
    "mphe", "mse", "ndcg", "poisson-nloglik", "pre", "precision", "precision_macro", "precision_micro", "r2", "recall",
    "recall_macro", "recall_micro", "rmse", "rmsle", "tweedie-nloglik",
)  # fmt: skip
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
XGBOOST_METRIC_DEFINITIONS: tuple[Mapping[str, str], ...] = tuple(
    {"Name": f"{part}:{metric}", "Regex": rf"\[[0-9]+\].*#011{part}-{re.escape(metric)}:{_NUMBER}"}
    for part in ("train", "validation")
    for metric in _XGBOOST_METRICS
)
"""What the service looks for in the log of the built-in algorithm.

After aws/sagemaker-xgboost-container, algorithm_mode/metrics.py; its ``\\S+`` would take in the next metric of a line.
"""


def compile_metrics(
    definitions: Sequence[Mapping[str, Any]],
) -> tuple[list[tuple[str, re.Pattern[str]]], list[str]]:
    """The names and patterns of metric definitions, and a sentence about each definition that cannot be used."""
    patterns: list[tuple[str, re.Pattern[str]]] = []
    faults: list[str] = []
    for definition in definitions:
        name = definition["Name"]
        try:
            pattern = re.compile(definition["Regex"])
        except re.error as error:
            faults.append(f"metric '{name}' has a broken regular expression: {error}")
            continue
        if pattern.groups:
            patterns.append((name, pattern))
        else:
            faults.append(f"metric '{name}' has a regular expression without a group for the value")
    return patterns, faults


def read_metric(pattern: re.Pattern[str], line: str) -> float | None:
    """The value that a metric's pattern finds in a line; None if there is none, or it is no finite number."""
    match = pattern.search(line)
    if match is None:
        return None
    try:
        value = float(match[1])
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


class RunningSummary:
    """Count, bounds, mean and deviation of values that come one by one (Welford's method)."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._bounds = (math.inf, -math.inf)

    def add(self, value: float) -> None:
        """Take in one value."""
        self._count += 1
        step = value - self._mean
        self._mean += step / self._count
        self._squares += step * (value - self._mean)
        self._bounds = (min(value, self._bounds[0]), max(value, self._bounds[1]))

    def to_members(self) -> dict[str, JsonValue]:
        """The members of a TrialComponentMetricSummary."""
        deviation = math.sqrt(self._squares / self._count)
        low, high = self._bounds
        return {"Count": self._count, "Min": low, "Max": high, "Avg": self._mean, "StdDev": deviation}


class MetricCollector:
    """Keeps the last value and a summary of each metric. Give :meth:`read_line` every line of the log.

    :ivar faults: a sentence about each definition that cannot be used.
    """

    def __init__(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        self._patterns, self.faults = compile_metrics(definitions)
        self._last: dict[str, tuple[float, float]] = {}
        self._all: dict[str, RunningSummary] = {}

    def read_line(self, epoch_ms: int, line: str) -> None:
        """Look for every metric in one line."""
        for name, pattern in self._patterns:
            value = read_metric(pattern, line)
            if value is not None:
                self._last[name] = (value, epoch_ms / 1000)
                self._all.setdefault(name, RunningSummary()).add(value)

    def final_metrics(self) -> list[JsonValue]:
        """``FinalMetricDataList`` of the ``DescribeTrainingJob`` answer; times are epoch seconds."""
        return [{"MetricName": name, "Value": value, "Timestamp": stamp} for name, (value, stamp) in self._last.items()]

    def summaries(self) -> list[JsonValue]:
        """What the ``Metrics`` of a trial component say of all values; times are epoch seconds."""
        return [
            {"MetricName": name, "Timestamp": stamp, "Last": value, **self._all[name].to_members()}
            for name, (value, stamp) in self._last.items()
        ]
