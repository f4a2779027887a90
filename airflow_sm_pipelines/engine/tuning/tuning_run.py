"""Runs a tuning job: proposes hyperparameters, starts training jobs, reads their objectives, and knows when to end.

A run after an interruption goes on with what the training jobs found before. The texts of failures are the service's.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS, Interrupted
from airflow_sm_pipelines.engine.rules.job_documents import ENDED_STATUSES
from airflow_sm_pipelines.engine.rules.training_metrics import (
    XGBOOST_METRIC_DEFINITIONS,
    compile_metrics,
    read_metric,
)
from airflow_sm_pipelines.engine.tuning.strategies import History, propose_point
from airflow_sm_pipelines.engine.tuning.training_jobs import (
    TrainingJobSummary,
    count_statuses,
    objective_of,
    rank_summaries,
    summarize_training_job,
)
from airflow_sm_pipelines.engine.tuning.warm_start import find_known_losses, summarize_parent_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.engine.rules.job_documents import EndStatus
    from airflow_sm_pipelines.engine.rules.training_metrics import LogListener
    from airflow_sm_pipelines.engine.tuning.ranges import Point
    from airflow_sm_pipelines.engine.tuning.request import TrainingJobDefinition, TuningPlan


_POLL_SECONDS = 0.2
_MAX_JOBS_WITHOUT_OBJECTIVE = 5
"""A tuning job ends when so many training jobs have ended and none has an objective value."""


class TrainingJobs(Protocol):
    """What a tuning run does with the training jobs of its tuning job. The job host implements it."""

    def create(self, name: str, request: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Record a training job; ``notes`` are what the tuning job wants to know about it later."""
        ...

    def run(self, name: str, stop: threading.Event, on_log: LogListener | None) -> None:
        """Run one to its end; ``on_log`` gets the lines of its log meanwhile.

        :raises Interrupted: the engine shuts down.
        """
        ...

    def stop(self, name: str) -> None:
        """Ask one to stop; this does nothing if it has ended."""
        ...

    def fail(self, name: str, reason: str) -> None:
        """Record that one failed in the engine."""
        ...

    def documents(self) -> list[dict[str, Any]]:
        """The records of all of them, in the order in which they were made."""
        ...


@dataclass(frozen=True, slots=True)
class TuningEnd:
    """How a tuning job ended.

    :param details: members of its Describe answer.
    :param properties: what property paths find besides: ``TrainingJobSummaries``, the best first.
    """

    status: EndStatus
    failure_reason: str | None
    details: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


_MIN_OTHERS = 3


class MedianRule:
    """Says when to stop a training job that does worse than the others. Several threads may use it.

    Source: developer guide, "Stop Training Jobs Early". It does not say how many other jobs the rule needs; here it
    needs three.
    """

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


class TuningRun:
    """One run of a tuning job, in the calling thread and one more for each parallel training job.

    :param save: called with members of the Describe answer whenever a training job has started or ended.
    :param parent_jobs: the records of the training jobs to start from.
    """

    def __init__(
        self,
        name: str,
        plan: TuningPlan,
        jobs: TrainingJobs,
        *,
        stop: threading.Event,
        save: Callable[[dict[str, Any]], None],
        parent_jobs: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._name, self._plan, self._jobs = name, plan, jobs
        self._stop, self._save = stop, save
        self._parent_jobs = parent_jobs
        self._rules = [MedianRule(is_minimized=definition.is_minimized) for definition in plan.definitions]
        self._known = [find_known_losses(parent_jobs, definition) for definition in plan.definitions]
        self._running: dict[Future[None], tuple[str, threading.Event]] = {}
        self._is_timed_out = False

    def run(self) -> TuningEnd:
        """Run it to its end.

        :raises Interrupted: the engine shuts down.
        """
        started = time.monotonic()
        # More trainings at once than there are processors only make each slower.
        workers = min(self._plan.max_parallel, max(2, os.cpu_count() or 1))
        with ThreadPoolExecutor(workers, thread_name_prefix="training") as pool:
            try:
                for document in self._jobs.documents():
                    if document["TrainingJobStatus"] not in ENDED_STATUSES:
                        self._start(pool, document["TrainingJobName"], document["$trial"]["DefinitionIndex"])
                while not self._stop.is_set() and not self._is_over(started):
                    while len(self._running) < workers and self._launch(pool):
                        pass
                    if not self._running:
                        break
                    self._wait()
            finally:
                self._stop_running()
        return self._end(time.monotonic() - started)

    def _is_over(self, started: float) -> bool:
        limit = self._plan.max_runtime_seconds
        self._is_timed_out = limit is not None and time.monotonic() - started >= limit
        return self._is_timed_out or self._is_good_enough(self._summaries())

    def _is_good_enough(self, summaries: list[TrainingJobSummary]) -> bool:
        ended = [summary for summary in summaries if summary["TrainingJobStatus"] in ENDED_STATUSES]
        best = self._rank(ended)
        value = objective_of(best[0]) if best else None
        if value is None:
            return len(ended) >= _MAX_JOBS_WITHOUT_OBJECTIVE
        if self._plan.target is not None:
            is_minimized = self._plan.definitions[0].is_minimized
            if value <= self._plan.target if is_minimized else value >= self._plan.target:
                return True
        patience = self._plan.patience
        return patience is not None and len(ended) - 1 - ended.index(best[0]) >= patience

    def _launch(self, pool: ThreadPoolExecutor) -> bool:
        """Start one more training job; False if there is none to start."""
        documents = self._jobs.documents()
        number = len(documents) + 1
        if self._plan.max_jobs is not None and number > self._plan.max_jobs:
            return False
        index = len(documents) % len(self._plan.definitions)
        definition = self._plan.definitions[index]
        # The seed has the number in it, so that a run after a restart goes on as the first would have.
        seed = self._name if self._plan.seed is None else self._plan.seed
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a search, not a secret
        history = _history(documents, index, definition, known=self._known[index])
        point = propose_point(self._plan.strategy, definition.space, history, rng)
        if point is None:
            return False
        values = definition.space.values_at(point)
        name = f"{self._name}-{number:03d}-{rng.getrandbits(32):08x}"
        notes = {
            "TunedHyperParameters": values,
            "MetricName": definition.metric,
            "DefinitionName": definition.name,
            "DefinitionIndex": index,
            "Point": list(point),
        }
        self._jobs.create(name, definition.training_request(name, values), notes)
        self._start(pool, name, index)
        self._save(count_statuses(self._summaries()))
        return True

    def _start(self, pool: ThreadPoolExecutor, name: str, index: int) -> None:
        stop = threading.Event()
        on_log = self._judge_early(name, index) if self._plan.stops_early else None
        self._running[pool.submit(self._jobs.run, name, stop, on_log)] = (name, stop)

    def _judge_early(self, name: str, index: int) -> LogListener:
        """A listener to a training job's log that stops the job if it does worse than the others."""
        reader, rule = ObjectiveReader(self._plan.definitions[index]), self._rules[index]
        is_over = False

        def listen(lines: Sequence[tuple[int, str]]) -> None:
            nonlocal is_over
            values = [value for _, line in lines if (value := reader.read(line)) is not None]
            # Every value is taken in: those after the decision still count for the other jobs.
            verdicts = [rule.observe(name, value) for value in values]
            if any(verdicts) and not is_over:
                is_over = True
                self._jobs.stop(name)

        return listen

    def _wait(self) -> None:
        done, _ = wait(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            name, _ = self._running.pop(future)
            self._take(name, future)
        if done:
            self._save(count_statuses(self._summaries()))

    def _take(self, name: str, future: Future[None]) -> None:
        try:
            future.result()
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - what goes wrong in the engine fails this training job only
            self._jobs.fail(name, f"InternalServerError: {type(error).__name__}: {error}")

    def _stop_running(self) -> None:
        for name, event in self._running.values():
            event.set()
            self._jobs.stop(name)
        for future, (name, _) in list(self._running.items()):
            self._running.pop(future)
            self._take(name, future)

    def _summaries(self) -> list[TrainingJobSummary]:
        return [summarize_training_job(document) for document in self._jobs.documents()]

    def _rank(self, summaries: list[TrainingJobSummary]) -> list[TrainingJobSummary]:
        return rank_summaries(summaries, is_minimized=self._plan.definitions[0].is_minimized)

    def _end(self, seconds: float) -> TuningEnd:
        summaries = self._summaries()
        ranked = self._rank(summaries)
        details: dict[str, Any] = {
            **count_statuses(summaries),
            "ConsumedResources": {"RuntimeInSeconds": max(1, round(seconds))},
        }
        if ranked:
            details["BestTrainingJob"] = ranked[0]
            if self._plan.has_same_data:
                # Documented: the best job of this tuning job and its parents.
                everything = [*ranked, *summarize_parent_jobs(self._parent_jobs)]
                details["OverallBestTrainingJob"] = self._rank(everything)[0]
            elif len(self._plan.definitions) > 1:
                details["OverallBestTrainingJob"] = ranked[0]
        rest = [summary for summary in summaries if summary not in ranked]
        properties = {"TrainingJobSummaries": [*ranked, *rest]}
        if self._stop.is_set():
            return TuningEnd("Stopped", None, details, properties)
        if ranked:
            return TuningEnd("Completed", None, details, properties)
        return TuningEnd("Failed", _describe_failure(summaries, is_timed_out=self._is_timed_out), details, properties)


def _history(
    documents: list[dict[str, Any]],
    index: int,
    definition: TrainingJobDefinition,
    *,
    known: Sequence[tuple[Point, float]],
) -> History:
    own = [document for document in documents if document["$trial"]["DefinitionIndex"] == index]
    points = [tuple(float(position) for position in document["$trial"]["Point"]) for document in own]
    values = [objective_of(summarize_training_job(document)) for document in own]
    sign = 1.0 if definition.is_minimized else -1.0
    losses = [(point, sign * value) for point, value in zip(points, values) if value is not None]  # noqa: B905
    return History((*points, *(point for point, _ in known)), (*losses, *known))


def _describe_failure(summaries: list[TrainingJobSummary], *, is_timed_out: bool) -> str:
    if any(summary["TrainingJobStatus"] == "Completed" for summary in summaries):
        return (
            f"ClientError: No objective metrics found after running {len(summaries)} training jobs. Please ensure that "
            "the custom algorithm is emitting the objective metric as defined by the regular expression provided."
        )
    if is_timed_out and not any(summary["TrainingJobStatus"] == "Failed" for summary in summaries):
        return "ClientError: No training job ended within MaxRuntimeInSeconds."
    reason = next((summary["FailureReason"] for summary in summaries if summary.get("FailureReason")), "")
    cause = f" The first: {reason}" if reason else ""
    return (
        f"ClientError: No training job succeeded after {len(summaries)} attempts. Please take a look at the training "
        f"job failures to get more details.{cause}"
    )[:MAX_REASON_CHARACTERS]
