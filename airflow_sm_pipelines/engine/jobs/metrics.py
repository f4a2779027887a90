"""A training job's metrics, found in its log by regular expressions.

Belongs here: metric definitions and their last values. Does not belong here: the log.
"""

from __future__ import annotations

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


class MetricCollector:
    """Keeps the last value of each metric; give its :meth:`read_line` every line of the log."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        self.faults: list[str] = []
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._last: dict[str, tuple[float, float]] = {}
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
                    self._last[name] = (float(match[1]), epoch_ms / 1000)
                except (TypeError, ValueError):
                    continue  # the group caught no number here

    def final_metrics(self) -> list[JsonValue]:
        """Give ``FinalMetricDataList`` of the ``DescribeTrainingJob`` response; times are epoch seconds."""
        return [{"MetricName": name, "Value": value, "Timestamp": stamp} for name, (value, stamp) in self._last.items()]
