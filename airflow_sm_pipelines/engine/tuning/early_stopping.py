"""When to stop a training job that does worse than the others: the median rule.

Source: developer guide, "Stop Training Jobs Early". It does not say how many other jobs the rule needs; here it needs
three.
"""

from __future__ import annotations

import threading
from statistics import fmean, median
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.rules.training_metrics import (
    XGBOOST_METRIC_DEFINITIONS,
    compile_metrics,
    read_metric,
)

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.tuning.request import TrainingJobDefinition

_MIN_OTHERS = 3


class MedianRule:
    """Keeps the objective of every training job after each epoch. Several threads may use it."""

    def __init__(self, *, is_minimized: bool) -> None:
        self._sign = 1.0 if is_minimized else -1.0
        self._losses: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def observe(self, job: str, value: float) -> bool:
        """Take in the next value of a job, and say whether the job should stop.

        It should if the value is worse than the median of the other jobs' running averages up to the same epoch.
        """
        with self._lock:
            own = self._losses.setdefault(job, [])
            own.append(self._sign * value)
            epoch = len(own)
            averages = [
                fmean(losses[:epoch]) for name, losses in self._losses.items() if name != job and len(losses) >= epoch
            ]
        return len(averages) >= _MIN_OTHERS and own[-1] > median(averages)


class ObjectiveReader:
    """Finds the values of the objective in the log of a training job."""

    def __init__(self, definition: TrainingJobDefinition) -> None:
        algorithm = definition.request.get("AlgorithmSpecification") or {}
        # A job without definitions of its own has an objective only if it runs the built-in algorithm.
        known = algorithm.get("MetricDefinitions") or XGBOOST_METRIC_DEFINITIONS
        # The job's own log tells of a definition that cannot be used.
        patterns, _ = compile_metrics([one for one in known if one["Name"] == definition.metric])
        self._patterns = [pattern for _, pattern in patterns]

    def read(self, line: str) -> float | None:
        """The value in a line, if there is one."""
        values = (read_metric(pattern, line) for pattern in self._patterns)
        return next((value for value in values if value is not None), None)
