"""Reports of executions that many triggers of a triggerer read in the same moment: one call serves them all."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport

FRESH_SECONDS = 2.0
"""How long a report is handed out again."""


class FinalReports:
    """Reads executions with their steps; whoever asks for one that was just read gets the same report.

    Used by many threads. While one reads an execution, the others that want it wait for the answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._reports: dict[str, tuple[float, ExecutionReport]] = {}

    def read(self, calls: SageMakerCalls, arn: str) -> ExecutionReport:
        """An execution with its steps, at most :data:`FRESH_SECONDS` old."""
        with self._lock:
            reading = self._reading.setdefault(arn, threading.Lock())
        with reading:
            known = self._reports.get(arn)
            if known is not None and time.monotonic() - known[0] < FRESH_SECONDS:
                return known[1]
            report = calls.describe_report(arn)
            self._reports[arn] = (time.monotonic(), report)
        self._forget_old()
        return report

    def _forget_old(self) -> None:
        now = time.monotonic()
        with self._lock:
            for arn in [arn for arn, (read_at, _) in self._reports.items() if now - read_at > 60]:
                del self._reports[arn]
                self._reading.pop(arn, None)
