"""When to stop a training job that does worse than the others did: the median rule.

Source: developer guide, "Stop Training Jobs Early". It does not say how many jobs the rule needs: three here.
"""

from __future__ import annotations

import re
import threading
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.engine.tuning.request import TrialDefinition

_MIN_OTHERS = 3


class MedianRule:
    """Knows the objective of every training job after each epoch; may be asked from several threads."""

    def __init__(self, *, is_minimized: bool) -> None:
        self._sign = 1.0 if is_minimized else -1.0
        self._losses: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def observe(self, job: str, value: float) -> bool:
        """Take in a job's next value; whether the job should stop.

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

    def __init__(self, definition: TrialDefinition) -> None:
        from airflow_sm_pipelines.engine.rules.training_metrics import XGBOOST_METRIC_DEFINITIONS

        algorithm = definition.request.get("AlgorithmSpecification") or {}
        # A job without definitions of its own has an objective only if it is the built-in algorithm's.
        known: Iterable[Mapping[str, str]] = algorithm.get("MetricDefinitions") or XGBOOST_METRIC_DEFINITIONS
        self._patterns = []
        for one in known:
            if one["Name"] == definition.metric:
                try:
                    self._patterns.append(re.compile(one["Regex"]))
                except re.error:
                    # The job itself says so in its log.
                    continue

    def read(self, line: str) -> float | None:
        """The value in a line, if there is one."""
        for pattern in self._patterns:
            match = pattern.search(line)
            if match and match.groups():
                try:
                    return float(match[1])
                except (TypeError, ValueError):
                    return None
        return None
