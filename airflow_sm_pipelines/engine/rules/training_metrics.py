"""A training job's metrics, found in its log by regular expressions.

Belongs here: metric definitions and their last values. Does not belong here: the log.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonValue

_XGBOOST_METRICS = (
    "accuracy", "aft-nloglik", "auc", "aucpr", "balanced_accuracy", "cox-nloglik", "error", "f1", "f1_binary",
    "f1_macro", "gamma-deviance", "gamma-nloglik", "hinge", "logloss", "mae", "map", "mape", "merror", "mlogloss",
    "mphe", "mse", "ndcg", "poisson-nloglik", "pre", "precision", "precision_macro", "precision_micro", "r2", "recall",
    "recall_macro", "recall_micro", "rmse", "rmsle", "tweedie-nloglik",
)  # fmt: skip
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
XGBOOST_METRIC_DEFINITIONS = tuple(
    {"Name": f"{part}:{metric}", "Regex": rf"\[[0-9]+\].*#011{part}-{re.escape(metric)}:{_NUMBER}"}
    for part in ("train", "validation")
    for metric in _XGBOOST_METRICS
)
"""What the service looks for in the built-in algorithm's log.

After aws/sagemaker-xgboost-container, algorithm_mode/metrics.py; its ``\\S+`` would take in the next metric of a line.
"""


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

    def describe(self) -> dict[str, JsonValue]:
        """Give the members of TrialComponentMetricSummary."""
        deviation = math.sqrt(self._squares / self._count)
        low, high = self._bounds
        return {"Count": self._count, "Min": low, "Max": high, "Avg": self._mean, "StdDev": deviation}


class MetricCollector:
    """Keeps the last value of each metric; give its :meth:`read_line` every line of the log."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        self.faults: list[str] = []
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._last: dict[str, tuple[float, float]] = {}
        self._all: dict[str, RunningSummary] = {}
        for definition in definitions:
            try:
                pattern = re.compile(definition["Regex"])
            except re.error as error:
                self.faults.append(f"metric '{definition['Name']}' has a broken regular expression: {error}")
                continue
            if pattern.groups:
                self._patterns.append((definition["Name"], pattern))
            else:
                self.faults.append(
                    f"metric '{definition['Name']}' has a regular expression without a group for the value"
                )

    def read_line(self, epoch_ms: int, line: str) -> None:
        """Look for every metric in one line."""
        for name, pattern in self._patterns:
            if match := pattern.search(line):
                try:
                    value = float(match[1])
                except (TypeError, ValueError):
                    continue  # the group caught no number here
                self._last[name] = (value, epoch_ms / 1000)
                self._all.setdefault(name, RunningSummary()).add(value)

    def final_metrics(self) -> list[JsonValue]:
        """Give ``FinalMetricDataList`` of the ``DescribeTrainingJob`` response; times are epoch seconds."""
        return [{"MetricName": name, "Value": value, "Timestamp": stamp} for name, (value, stamp) in self._last.items()]

    def summaries(self) -> list[JsonValue]:
        """Give what a trial component's ``Metrics`` say of all values; times are epoch seconds."""
        return [
            {"MetricName": name, "Timestamp": stamp, "Last": value, **self._all[name].describe()}
            for name, (value, stamp) in self._last.items()
        ]
