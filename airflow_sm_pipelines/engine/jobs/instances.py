"""Runs the processes of one job, one for each instance, until all have ended.

What belongs here: reading their output, stopping, the time limit, and ending all when one fails. What does not: what
they run.
"""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.job_log import LineSplitter

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.process import JobProcess, Launcher, LaunchPlan, ProcessEnd

_POLL_SECONDS = 0.2
_CHUNK = 65536
_DRAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance to start.

    :param spec_path: where to write the instructions for the launcher.
    """

    host: str
    plan: LaunchPlan
    spec_path: Path
    launcher: Launcher


def mark_failed(spec_path: Path) -> None:
    """Note beside the instructions of an instance that it was the one that failed."""
    with suppress(OSError):  # on a full disk the first instance will be entered
        spec_path.with_suffix(".failed").touch()


def has_failed(spec_path: Path) -> bool:
    """Whether the instance with these instructions was the one that failed."""
    return spec_path.with_suffix(".failed").exists()


@dataclass(frozen=True, slots=True)
class InstancesEnd:
    """How the instances ended.

    :param ends: by host. Instances that were ended because another one failed are left out.
    :param is_stopped: whether they were ended because the job was stopped.
    :param is_timed_out: whether they were ended because their time was over.
    """

    ends: Mapping[str, ProcessEnd]
    is_stopped: bool = False
    is_timed_out: bool = False

    @property
    def failure(self) -> tuple[str, ProcessEnd] | None:
        """The first instance that failed, and how."""
        return next(((host, end) for host, end in self.ends.items() if not end.is_success), None)


@dataclass(slots=True)
class PeriodicWork:
    """Work to do again and again while the job runs."""

    run: Callable[[], object]
    interval_seconds: float
    next_time: float = 0.0


def run_instances(
    instances: Sequence[Instance],
    log: JobLog,
    *,
    stop: threading.Event,
    max_runtime_seconds: float | None,
    grace_seconds: float,
    periodic: Sequence[PeriodicWork] = (),
    check_disk: Callable[[], None] | None = None,
) -> InstancesEnd:
    """Start all instances, and wait until all have ended.

    They get SIGTERM, and SIGKILL after the grace time, when ``stop`` is set, when the time is over, or when one of
    them has failed.

    :param check_disk: of the job's context.
    :raises OSError: a process could not be started; the others were killed.
    :raises JobFailure: `check_disk` ended the job; all of it was killed.
    """
    work = [*periodic, *([PeriodicWork(check_disk, _POLL_SECONDS)] if check_disk else [])]
    return _InstanceRun(instances, log, stop, max_runtime_seconds, grace_seconds, work).run()


class _InstanceRun:
    def __init__(
        self,
        instances: Sequence[Instance],
        log: JobLog,
        stop: threading.Event,
        max_runtime_seconds: float | None,
        grace_seconds: float,
        periodic: Sequence[PeriodicWork],
    ) -> None:
        self._instances, self._log, self._stop = instances, log, stop
        self._limit, self._grace, self._periodic = max_runtime_seconds, grace_seconds, periodic
        self._selector = selectors.DefaultSelector()
        self._running: dict[str, JobProcess] = {}
        self._open_outputs: set[int] = set()
        self._ends: dict[str, ProcessEnd] = {}
        self._is_stopped = self._is_timed_out = False
        self._kill_time: float | None = None

    def run(self) -> InstancesEnd:
        if self._stop.is_set():
            return InstancesEnd({}, is_stopped=True)
        processes: list[JobProcess] = []
        started = time.monotonic()
        try:
            for instance in self._instances:
                process = instance.launcher.start(instance.plan, instance.spec_path)
                processes.append(process)
                self._watch(instance.host, process)
            while self._running:
                self._select(_POLL_SECONDS)
                self._enforce(started)
                self._log.flush_due()
                self._work()
            self._drain()
        finally:
            for process in processes:
                process.close()
            self._selector.close()
            self._log.flush()
        end = InstancesEnd(self._ends, self._is_stopped, self._is_timed_out)
        for instance in self._instances:
            if end.failure is not None and instance.host == end.failure[0]:
                mark_failed(instance.spec_path)
        return end

    def _watch(self, host: str, process: JobProcess) -> None:
        self._running[host] = process
        splitter = LineSplitter(partial(self._log.add_all, host))
        os.set_blocking(process.output_fd, False)
        self._open_outputs.add(process.output_fd)
        self._selector.register(
            process.output_fd, selectors.EVENT_READ, partial(self._read, process.output_fd, splitter)
        )
        self._selector.register(process.status_fd, selectors.EVENT_READ, partial(self._finish, host))

    def _select(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()

    def _read(self, fd: int, splitter: LineSplitter) -> None:
        chunk = os.read(fd, _CHUNK)
        splitter.feed(chunk)
        if not chunk:
            self._selector.unregister(fd)
            self._open_outputs.discard(fd)

    def _finish(self, host: str) -> None:
        process = self._running.pop(host)
        process.read_status()
        self._selector.unregister(process.status_fd)
        end = process.end
        if end is None or self._kill_time is not None:
            # It was told to end. Its end counts only if the reason was not another instance.
            if end is not None and (self._is_stopped or self._is_timed_out):
                self._ends[host] = end
            return
        self._ends[host] = end
        if not end.is_success and self._running:
            self._log.add(host, f"{host} {end.text}; the other instances are stopped.")
            self._ask_to_stop()

    def _enforce(self, started: float) -> None:
        now = time.monotonic()
        if self._kill_time is not None:
            if now >= self._kill_time:
                for process in self._running.values():
                    process.kill()
        elif not self._running:
            return
        elif self._stop.is_set():
            self._is_stopped = True
            self._ask_to_stop()
        elif self._limit is not None and now - started >= self._limit:
            self._is_timed_out = True
            self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self._kill_time = time.monotonic() + self._grace
        for process in self._running.values():
            process.request_stop()

    def _work(self) -> None:
        now = time.monotonic()
        for work in self._periodic:
            if now >= work.next_time:
                work.run()
                work.next_time = time.monotonic() + work.interval_seconds

    def _drain(self) -> None:
        """Read what is still in the pipes, but not for long: a process that escaped may hold one open."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._open_outputs and (left := deadline - time.monotonic()) > 0:
            self._select(min(left, _POLL_SECONDS))
