"""What the page shows of a DAG run: its executions, their steps, one picture, and what can be done. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_page.run_rows import find_links
from airflow_sm_pipelines.airflow_task.ended_task_listener import ENDED, RUN
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
from airflow_sm_pipelines.cost import JobUse, PriceTable, estimate_cost
from airflow_sm_pipelines.definition.arns import execution_id_of
from airflow_sm_pipelines.definition.shape import PipelineShape, StepShape, parse_shape
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.render import StepRun, render_gantt_svg, render_shape_svg, without_style
from airflow_sm_pipelines.runs.page_record import EXECUTION_KEY, GRAPH_KEY, INSTANCES_KEY, RECORDS_KEY
from airflow_sm_pipelines.runs.repair import parse_executions
from airflow_sm_pipelines.runs.step_end import find_decision_against

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.airflow_page.run_rows import RunRows, TaskKey

MAX_BARS = 200
"""So many steps are shown over time: those that run, those that failed, then the longest."""

REASON_BUDGET = 20_000
"""Characters of all reasons in one answer; the whole reason is in the answer about one step."""

_SHOWN_ABOVE = ("name", "type", "status", "seconds", "job_arn", "outcome", "cached_from", "failure_reason")
_OPEN = ("Executing", "Starting", "Stopping")
ENDED_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")
"""States of a task that will not change by themselves."""

_TASK_STATUSES = {
    "success": "Succeeded",
    "skipped": "Skipped",
    "failed": "Not reached",
    "upstream_failed": "Not reached",
}
"""What the page says of a step that has no record, by its task's state."""


@dataclass(frozen=True, slots=True)
class PipelineTask:
    """A task, or a group of tasks, that runs a pipeline.

    :param task: the one that has started it.
    :param prefix: of the group's tasks, with a dot at the end; None for a task by itself.
    """

    task: TaskKey
    prefix: str | None

    @property
    def name(self) -> str:
        """What people know it by."""
        name = self.task[0] if self.prefix is None else self.prefix.rstrip(".")
        return name if self.task[1] < 0 else f"{name} [{self.task[1]}]"

    @property
    def ended(self) -> TaskKey:
        """The task whose end is the run's."""
        return self.task if self.prefix is None else (f"{self.prefix}{ENDED[1:]}", self.task[1])

    def step_task(self, step: str) -> TaskKey:
        """The task of a step of a group."""
        return (f"{self.prefix}steps.{step}", self.task[1])

    def has(self, task: TaskKey) -> bool:
        """Whether a task is this one, or one of the group."""
        is_inside = self.prefix is not None and task[0].startswith(self.prefix)
        return task[1] == self.task[1] and (is_inside or task[0] == self.task[0])


def find_sources(rows: RunRows) -> list[PipelineTask]:
    """The tasks and groups of a run that have started an execution, in the order of their names."""
    found = []
    for task in sorted(key for key, xcoms in rows.xcoms.items() if xcoms.get(EXECUTION_KEY)):
        is_group = GROUP_KEY in rows.xcoms[task]
        found.append(PipelineTask(task, f"{task[0].removesuffix(RUN[1:])}" if is_group else None))
    groups = [one for one in found if one.prefix is not None]
    return [one for one in found if not any(one.task == group.ended for group in groups)]


class RunView:
    """One source, and one of its executions, as the page shows it.

    :param arn: the execution to show; None for the run as a whole, where each step is as its newest execution has it.
    """

    def __init__(self, rows: RunRows, source: PipelineTask, arn: str | None = None) -> None:
        self._rows = rows
        self.source = source
        own = rows.xcoms[source.task]
        self.arns = self._find_arns(own)
        self.arn = arn if arn in self.arns else None
        ended = rows.xcoms.get(source.ended, {}).get(EXECUTION_KEY) or {}
        self.record: dict[str, Any] = {**own[EXECUTION_KEY], **(ended if ended.get("arn") == self.arns[-1] else {})}
        self._records = self._find_records(own)
        self.shape = self._find_shape(own)
        self._instances: Mapping[str, Any] = own.get(INSTANCES_KEY) or {}

    # --- what there is ----------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it may still change by itself."""
        states = [self._state(self.source.ended)]
        if self.source.prefix is not None:
            states += [self._state(self.source.step_task(one.name)) for one in self.shape.steps]
        return any(state not in ENDED_STATES for state in states)

    @property
    def status(self) -> str:
        """The status of the execution."""
        if self._state(self.source.ended) not in ENDED_STATES:
            return "Executing"
        known = str(self.record.get("status"))
        if known not in _OPEN:
            return known
        steps = [record.get("status") for records in self._records.values() for record in records[-1:]]
        return "Stopping" if any(status in _OPEN for status in steps) else "Stopped"

    def list_steps(self) -> list[dict[str, Any]]:
        """The steps for the list beside the picture, in the order of the shape."""
        steps = [self._make_step(step) for step in self.shape.steps]
        reasons = [step for step in steps if step.get("reason")]
        limit = max(20, min(300, REASON_BUDGET // max(len(reasons), 1)))
        for step in reasons:
            step["reason"] = step["reason"][:limit]
        return steps

    def find_tries(self, step: str) -> list[Mapping[str, Any]]:
        """The records of a step, oldest first."""
        return self._records.get(step, [])

    def list_runs(self) -> list[StepRun]:
        """The steps for the pictures: those that began, and those that are known not to."""
        return [run for step in self.shape.steps if (run := self._find_run(step)) is not None]

    def list_executions(self) -> list[dict[str, str]]:
        """The executions to choose from, newest first."""
        return [{"arn": arn, "id": execution_id_of(arn)} for arn in reversed(self.arns)]

    def estimate_cost(self, prices: PriceTable, now: datetime) -> dict[str, Any] | None:
        """What the instances of the steps have cost, by the times of all their tries; None where no step has any.

        Results from the cache cost nothing. Steps of ForEach bodies and training jobs of a tuning are not in it.

        :return: ``hours`` of all instances together, ``amount`` and ``currency``, and the instance types ``unpriced``.
        """
        uses = list(self._iter_uses(now))
        if not uses:
            return None
        found = estimate_cost(uses, prices)
        return {
            "hours": sum(use.hours for use in uses),
            "amount": found.total,
            "currency": found.currency,
            "unpriced": list(found.unpriced),
        }

    # --- what can be done -------------------------------------------------------------------------------------------

    def find_actions(self) -> dict[str, Any]:
        """The tasks that each button clears or marks; an action that is not there cannot be done now.

        docs/steps-as-tasks.md holds the rules; whoever clears or marks these tasks by hand gets the same.
        """
        found: dict[str, Any] = {}
        ended = self.source.ended
        if self._state(ended) not in ENDED_STATES:
            found["stop"] = _name(ended)
        if self.source.prefix is not None and not self.has_fail_step:
            tasks = [self.source.step_task(step.name) for step in self.shape.steps]
            failed = [_name(task) for task in tasks if self._state(task) == "failed"]
            if failed:
                found["resume"] = failed
        elif self._state(ended) == "failed" and self.record.get("status") in ("Failed", "Stopped"):
            found |= {} if self.has_fail_step else {"resume": [_name(ended)]}
        return found

    @property
    def has_fail_step(self) -> bool:
        """Whether a Fail step has ended it, so that it cannot be resumed."""
        failing = [step.name for step in self.shape.steps if step.type == "Fail"]
        return any((self._latest(name) or {}).get("status") == "Failed" for name in failing)

    def _iter_uses(self, now: datetime) -> Iterator[JobUse]:
        """The time of each step's instances in each of its tries; one that has not ended goes on until now."""
        for name, instances in self._instances.items():
            for record in self.find_tries(name):
                began, ended = parse_time(record.get("start")), parse_time(record.get("end"))
                if began is None or record.get("cached_from") or self.arn not in (None, record["arn"]):
                    continue
                seconds = max(0.0, ((ended or now) - began).total_seconds())
                for kind, instance_type, count in instances:
                    yield JobUse(name, kind, instance_type, count, seconds)

    # --- from the rows ----------------------------------------------------------------------------------------------

    def _find_arns(self, own: Mapping[str, Any]) -> list[str]:
        first = own[EXECUTION_KEY]["arn"]
        group = own.get(GROUP_KEY)
        if not group:
            return [first]
        entries = parse_executions(own.get(REPAIRS_KEY), root=group["arn"])
        return [one.arn for one in entries if one.arn is not None]

    def _find_records(self, own: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
        """The records of each step, oldest first; of a group, from the steps' own tasks."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        lists: list[Iterable[Mapping[str, Any]]] = [own.get(RECORDS_KEY) or ()]
        if self.source.prefix is not None:
            begin = f"{self.source.prefix}steps."
            of_steps = {
                key: xcoms[RECORDS_KEY]
                for key, xcoms in self._rows.xcoms.items()
                if key[1] == self.source.task[1] and key[0].startswith(begin) and xcoms.get(RECORDS_KEY)
            }
            judged = self._rows.xcoms.get(self.source.ended, {}).get(RECORDS_KEY) or ()
            known = {key[0].removeprefix(begin) for key in of_steps}
            lists = [*of_steps.values(), [one for one in judged if one["name"] not in known]]
        for records in lists:
            for record in records:
                if record.get("iteration") is None and record["arn"] in self.arns:
                    found.setdefault(record["name"], []).append(record)
        return found

    def _find_shape(self, own: Mapping[str, Any]) -> PipelineShape:
        """The shape that was kept; without one, the steps that are known, without edges."""
        try:
            shape = parse_shape(json.dumps(own[GRAPH_KEY]), name=GRAPH_KEY)
        except (KeyError, DefinitionError):
            shape = PipelineShape(())
        others = [name for name in self._records if name not in shape.names]
        steps = [StepShape(name, str(self._records[name][-1].get("type") or "Step")) for name in others]
        return PipelineShape((*shape.steps, *steps))

    def _state(self, task: TaskKey) -> str | None:
        row = self._rows.tasks.get(task)
        return None if row is None else row.state

    def _latest(self, step: str) -> Mapping[str, Any] | None:
        """The record to show; None where the step has not begun, or not in this execution."""
        records = [one for one in self.find_tries(step) if self.arn in (None, one["arn"])]
        if not records:
            return None
        if self.arn is None and self.source.prefix is not None:
            row = self._rows.tasks.get(self.source.step_task(step))
            state = None if row is None else row.state
            if state in (None, "scheduled", "queued", "skipped", "upstream_failed"):
                return None  # cleared and not begun again, or not run again
            if state == "failed" and records[-1]["status"] == "Succeeded":
                return None  # succeeded in an earlier execution alone
        return records[-1]

    def _find_run(self, step: StepShape) -> StepRun | None:
        record = self._latest(step.name)
        if record is not None:
            return StepRun(
                name=step.name,
                status=str(record["status"]),
                started=parse_time(record.get("start")),
                ended=parse_time(record.get("end")),
                is_cached=bool(record.get("cached_from")),
                failure_reason=record.get("reason"),
            )
        status = self._find_absence(step)
        return None if status is None else StepRun(step.name, status)

    def _find_absence(self, step: StepShape) -> str | None:
        """Why a step did not run; None while it still may."""
        if self.arn is None and self.source.prefix is not None:
            return _TASK_STATUSES.get(str(self._state(self.source.step_task(step.name))))
        if find_decision_against(step.branches, lambda name: (self._latest(name) or {}).get("outcome")):
            return "Skipped"
        if self.is_open and self.arn in (None, self.arns[-1]):
            return None
        return "Not reached" if self.arn is None and self.status in ("Failed", "Stopped") else "Skipped"

    def _make_step(self, step: StepShape) -> dict[str, Any]:
        run, record = self._find_run(step), self._latest(step.name) or {}
        found: dict[str, Any] = {"name": step.name, "type": step.type}
        found["status"] = "Waiting" if run is None else run.status
        if run is not None and run.ended is not None:
            found["seconds"] = run.seconds(None)
        for name, value in (("reason", record.get("reason")), ("outcome", record.get("outcome"))):
            if value:
                found[name] = value
        if run is not None and run.is_cached:
            found["is_cached"] = True
        row = None if self.source.prefix is None else self._rows.tasks.get(self.source.step_task(step.name))
        if row is not None:
            found["state"], found["tries"] = row.state, row.try_number
        return found


def answer_run(
    rows: RunRows,
    *,
    task: TaskKey | None,
    wanted: str | None,
    arn: str | None,
    view: str,
    now: datetime,
    prices: PriceTable | None = None,
) -> dict[str, Any]:
    """The answer about a run, without its links and rights.

    :param task: the task whose tab asks; None for the run's.
    :param wanted: the name of the source to show.
    :param arn: the execution to show.
    :param view: ``"graph"`` or ``"timeline"``.
    :param prices: of instances, for what the run has cost.
    """
    sources = find_sources(rows)
    source = choose_source(sources, task=task, wanted=wanted)
    names = [one.name for one in sources]
    if source is None:
        return {
            "sources": names if task is None else [],
            "is_open": any(one.state not in ENDED_STATES for one in rows.tasks.values()),
        }
    shown = RunView(rows, source, arn)
    runs = shown.list_runs()
    record = shown.record
    draw = _draw_timeline if view == "timeline" else _draw_graph
    return {
        "sources": names if task is None else [source.name],
        "source": source.name,
        "source_task": list(source.task),
        "is_group": source.prefix is not None,
        "step_prefix": None if source.prefix is None else f"{source.prefix}steps.",
        "map_index": source.task[1],
        "step": _find_step(source, task, shown),
        "executions": shown.list_executions(),
        "execution": shown.arn,
        "pipeline": record.get("pipeline"),
        "version": record.get("version"),
        "status": shown.status,
        "reason": record.get("reason"),
        "has_fail_step": shown.has_fail_step,
        "start": min((run.started.isoformat() for run in runs if run.started), default=None),
        "end": None if shown.is_open else max((run.ended.isoformat() for run in runs if run.ended), default=None),
        "parameters": record.get("parameters"),
        "outputs": record.get("outputs"),
        "cost": shown.estimate_cost(prices or PriceTable(), now),
        "steps": shown.list_steps(),
        "actions": shown.find_actions(),
        "is_open": shown.is_open,
        "picture": draw(shown, runs, now),
    }


def answer_step(shown: RunView, step: str, *, task: TaskKey, xcoms: Mapping[str, Any]) -> dict[str, Any]:
    """The answer about one step.

    :param task: the step's task, or the one that runs the whole pipeline.
    :param xcoms: of that task.
    """
    is_own = shown.source.prefix is not None
    values = xcoms.get("return_value") if is_own else (xcoms.get("step_outputs") or {})
    outputs = values if is_own or not isinstance(values, dict) else values.get(step)
    outputs = outputs if isinstance(outputs, dict) else {}
    return {
        "name": step,
        "task_id": task[0],
        "map_index": task[1],
        "tries": [dict(one) for one in shown.find_tries(step)],
        "outputs": {key: one for key, one in outputs.items() if key not in _SHOWN_ABOVE},
        "links": find_links(xcoms) if is_own else [],
    }


def choose_source(sources: Sequence[PipelineTask], *, task: TaskKey | None, wanted: str | None) -> PipelineTask | None:
    """The source to show: the wanted one, that of a task, or the first."""
    if task is not None:
        return next((one for one in sources if one.has(task)), None)
    return next((one for one in sources if one.name == wanted), sources[0] if sources else None)


def _find_step(source: PipelineTask, task: TaskKey | None, shown: RunView) -> str | None:
    """The step whose task's tab asks."""
    if task is None or source.prefix is None:
        return None
    return next((name for name in shown.shape.names if source.step_task(name) == task), None)


def _draw_graph(shown: RunView, runs: Sequence[StepRun], now: datetime) -> str:
    return without_style(render_shape_svg(shown.shape, runs=runs, now=now))


def _draw_timeline(shown: RunView, runs: Sequence[StepRun], now: datetime) -> str:
    started = [run for run in runs if run.started is not None]
    started.sort(key=lambda run: (run.ended is not None, run.status != "Failed", -(run.seconds(now) or 0.0)))
    kept = sorted(started[:MAX_BARS], key=lambda run: run.started or now)
    title = "" if len(kept) == len(started) else f"{len(kept)} of {len(started)} steps: running, failed and longest"
    return without_style(render_gantt_svg(kept, now=now, title=title))


def _name(task: TaskKey) -> str | list[Any]:
    """A task as Airflow's API takes it."""
    return task[0] if task[1] < 0 else [task[0], task[1]]


def parse_time(text: str | None) -> datetime | None:
    """An aware time of a record."""
    return None if text is None else datetime.fromisoformat(text)
