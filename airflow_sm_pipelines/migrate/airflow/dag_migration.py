"""Migrates a DAG file with SageMaker operators: the edited file, the definitions of its pipelines, and the report."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.airflow.dag_editor import DagEditor, SegmentPlan
from airflow_sm_pipelines.migrate.airflow.dag_reader import NOUNS, SENSORS, DagFile, JobTask, read_dag_file
from airflow_sm_pipelines.migrate.airflow.job_steps import ReadConfig, check_config, make_steps, read_config
from airflow_sm_pipelines.migrate.airflow.known_values import Evaluator, Marks, UnknownValueError
from airflow_sm_pipelines.migrate.airflow.modern_airflow import modernise
from airflow_sm_pipelines.migrate.airflow.result_reads import (
    Pull,
    find_property,
    iter_reads,
    parse_template,
)
from airflow_sm_pipelines.migrate.airflow.segments import (
    DROPPED,
    Segment,
    cut_into_segments,
    find_roots,
    find_unknown_arguments,
    is_true,
)
from airflow_sm_pipelines.migrate.airflow.source_file import Edit, read_source
from airflow_sm_pipelines.migrate.dag_plan.dag import plan_dag
from airflow_sm_pipelines.migrate.files.package import MigrationPackage, check_text, render_json, render_reports
from airflow_sm_pipelines.migrate.job_requests import get_request_kind
from airflow_sm_pipelines.migrate.names import ClaimedNames, clean_name
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record
from airflow_sm_pipelines.migrate.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

_ROLE = "{{ var.value.sagemaker_role_arn }}"
MAX_TASKS = 500
"""The most SageMaker tasks that a file may have."""


def mentions_jobs(source: bytes) -> bool:
    """Whether a file may use one of the operators."""
    return any(name.encode() in source for name in NOUNS)


def migrate_dag_file(
    source: bytes,
    *,
    file_name: str,
    name: str,
    load: Callable[[str], SourceFile | None],
    rendered: Mapping[str, Any] | None = None,
) -> MigrationPackage:
    """Migrate one DAG file.

    :param file_name: the file, for places.
    :param name: of the written files, without an ending.
    :param load: finds an imported module by its dotted name.
    :param rendered: the rendered ``config`` of tasks, by task id.
    :raises MigrationError: it is no Python 3, or has no task of the operators.
    """
    file = read_source(source, name=file_name)
    if not file.encoding.startswith("utf-8"):
        raise MigrationError(f"{file_name}:1:1: this file is written in {file.encoding}. Save it as UTF-8 first.")
    dag = read_dag_file(file)
    if not dag.tasks:
        raise MigrationError(
            f"{file_name}:1:1: no task there is made by a SageMaker operator that a pipeline step replaces."
        )
    if len(dag.tasks) > MAX_TASKS:
        found = f"{len(dag.tasks):,} SageMaker tasks; at most {MAX_TASKS} can be read"
        raise MigrationError(f"{file.place(dag.tasks[MAX_TASKS].call)}: this file has {found}. Split it.")
    return _DagMigration(dag, name, load, rendered or {}).migrate()


@dataclass(slots=True)
class _Told:
    """What the report says of a task that became a part of a segment."""

    plan: SegmentPlan
    reasons: list[Reason] = field(default_factory=list)
    is_exact: bool = True


class _DagMigration:
    def __init__(
        self,
        dag: DagFile,
        name: str,
        load: Callable[[str], SourceFile | None],
        rendered: Mapping[str, Any],
    ) -> None:
        self._dag = dag
        self._file = dag.file
        self._name = name
        self._rendered = rendered
        self._marks = Marks()
        self._evaluator = Evaluator(dag.file, marks=self._marks, load=load)
        self._configs: dict[str, ReadConfig] = {}
        self._needs_input: dict[str, str] = {}
        self._by_id = {task.task_id: task for task in dag.tasks}
        self._reads = [read for read in iter_reads(dag.file) if _find_task(self._by_id, read.pull.task_id)]
        self._entries: set[str] = set()
        self._seen: dict[str, set[ast.AST]] = {}
        self._texts: dict[str, list[ast.Constant]] = {}

    def migrate(self) -> MigrationPackage:
        self._read_configs()
        self._find_entries()
        segments = self._settle_segments()
        plans = self._plan_segments(segments)
        pulls = self._connect(plans)
        edits = self._edit_reads(plans)
        if plans:
            edits += DagEditor(self._dag, plans, self._marks, default_role=_ROLE).make_edits(pulls)
        after = self._file.apply(edits)
        after, fixes = modernise(after, name=f"{self._file.name} after the changes")
        return self._make_package(plans, after, fixes)

    # --- which tasks can go -------------------------------------------------------------------------------------------

    def _read_configs(self) -> None:
        for task in self._dag.tasks:
            place = self._file.place(task.call)
            if task.is_sensor:
                continue
            unknown = find_unknown_arguments(task)
            if unknown:
                task.problems.append(f"{place}: neither a step nor the run task has {', '.join(unknown)}.")
            self._evaluator.seen = set()
            config = read_config(task, self._evaluator, self._marks, place=place)
            self._seen[task.task_id] = self._evaluator.seen
            if config.problems and task.task_id in self._rendered:
                value = self._rendered[task.task_id]
                config = check_config(task, value, self._marks, place=place, is_rendered=True)
            elif config.problems and not config.requests and not task.problems:
                self._needs_input[task.task_id] = config.problems[0]
            self._configs[task.task_id] = config
            task.problems += config.problems

    def _find_entries(self) -> None:
        """Find the ids that a text names: those of branches begin a segment; others keep their task as it is."""
        pulls = {id(read.node) for read in self._reads}
        in_configs = set().union(*self._seen.values())
        for node in ast.walk(self._file.tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in in_configs:
                continue
            self._texts.setdefault(node.value, []).append(node)
            task = _find_task(self._by_id, node.value)
            holder = self._file.parents.get(node)
            if task is None or (isinstance(holder, ast.keyword) and holder.arg == "task_id"):
                continue
            if isinstance(holder, ast.keyword) and holder.arg == "external_task_id":
                task.problems.append(f"{self._file.place(node)}: a sensor of another DAG waits for it.")
            elif not self._is_in_pull(node, pulls):
                self._entries.add(task.task_id)
        for read in self._reads:
            task = _find_task(self._by_id, read.pull.task_id)
            if task is not None and (task.is_sensor or find_property(task.kind, read.pull.path) is None):
                task.problems.append(f"{self._file.place(read.node)}: its whole result is read here.")

    def _is_in_pull(self, node: ast.AST, pulls: set[int]) -> bool:
        while node in self._file.parents:
            if id(node) in pulls:
                return True
            node = self._file.parents[node]
        return False

    def _settle_segments(self) -> list[Segment]:
        """Cut into segments; a job whose sensor cannot be folded stays, and everything is cut again."""
        while True:
            tasks = [task for task in self._dag.tasks if not task.problems]
            segments = cut_into_segments(self._dag, tasks, entries=self._entries, waits_for=self._waits_for)
            inside = {id(task) for one in segments for task in one.tasks}
            stuck = [
                (job, sensor)
                for sensor in self._dag.tasks
                if sensor.is_sensor and id(sensor) not in inside and sensor.kind != "SageMakerEndpointSensor"
                for job in tasks
                if not job.is_sensor and self._waits_for(sensor, job)
            ]
            if not stuck:
                return segments
            for job, sensor in stuck:
                job.problems.append(
                    f"{self._file.place(sensor.call)}: a sensor waits for it by its name, and cannot go."
                )

    def _waits_for(self, sensor: JobTask, job: JobTask) -> bool:
        node = sensor.keywords.get(SENSORS[sensor.kind])
        if node is None or job.is_sensor or job.task_id not in self._configs:
            return False
        try:
            value = self._marks.mark_templates(self._evaluator.leaf(node))
        except UnknownValueError:
            return False
        if not isinstance(value, str):
            return False
        marks = list(self._marks.split(value))
        pull = parse_template(marks[0].text) if len(marks) == 1 and not isinstance(marks[0], str) else None
        if pull is not None:
            return pull.task_id == job.task_id
        names = [
            request.get(get_request_kind(noun).name_member) for noun, request in self._configs[job.task_id].requests
        ]
        return value in names

    # --- the pipelines ------------------------------------------------------------------------------------------------

    def _plan_segments(self, segments: list[Segment]) -> list[SegmentPlan]:
        names, ids = ClaimedNames(max_length=200), self._find_task_ids()
        kinds = {task.task_id: task.kind for one in segments for task in one.tasks}
        plans = []
        for segment in segments:
            jobs = [task for task in segment.tasks if not task.is_sensor]
            before = self._find_before(segment)
            steps = make_steps(Segment(jobs), self._configs, self._marks, before=before, kinds=kinds)
            wanted = self._name if len(segments) == 1 else f"{self._name}-{jobs[0].task_id}"
            pipeline = names.claim(clean_name(wanted.replace("_", "-"), max_length=200), otherwise="pipeline")
            roots = find_roots(self._dag, segment)
            entry = next((one.task_id for one in roots if one.task_id in self._entries), "")
            stem = jobs[0].task_id if len(segments) > 1 else pipeline
            deploy = entry or _claim(f"deploy_{stem}", ids)
            run = _claim(f"run_{stem}", ids)
            plans.append(SegmentPlan(segment, steps, pipeline, f"{pipeline}.definition.json", deploy, run))
        return sorted(plans, key=lambda plan: self._file.span(plan.last.call))

    def _find_task_ids(self) -> set[str]:
        """What may be the id of a task of the file: ids that are written out, and names of functions."""
        ids = set()
        for node in ast.walk(self._file.tree):
            if isinstance(node, ast.keyword) and node.arg == "task_id" and isinstance(node.value, ast.Constant):
                ids.add(str(node.value.value))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                ids.add(node.name)
        return ids

    def _find_before(self, segment: Segment) -> dict[str, list[str]]:
        """For each job of a segment the jobs that it follows; a sensor stands for the job that it waits for."""
        inside = {id(task): task for task in segment.tasks}
        direct: dict[str, list[str]] = {}
        for order in self._dag.orders:
            for first, second in order.edges:
                for two in second:
                    for one in first:
                        if id(one.task) in inside and id(two.task) in inside and one.task and two.task:
                            direct.setdefault(two.task.task_id, []).append(one.task.task_id)
        sensors = {task.task_id for task in segment.tasks if task.is_sensor}
        found: dict[str, list[str]] = {}
        for task in segment.tasks:
            waiting, jobs = list(direct.get(task.task_id, [])), []
            seen: set[str] = set()
            while waiting:
                name = waiting.pop(0)
                if name not in seen and name in sensors:
                    waiting += direct.get(name, [])
                elif name not in seen:
                    jobs.append(name)
                seen.add(name)
            found[task.task_id] = list(dict.fromkeys(jobs))
        return found

    def _connect(self, plans: list[SegmentPlan]) -> dict[str, tuple[str, str]]:
        """Have each segment publish what another one reads of it."""
        by_task = {task.task_id: plan for plan in plans for task in plan.segment.tasks}
        pulls = {}
        for plan in plans:
            for name, pull in plan.steps.values.items():
                task = _find_task(self._by_id, pull.task_id) if isinstance(pull, Pull) else None
                if task is not None and isinstance(pull, Pull):
                    pulls[f"{plan.pipeline}/{name}"] = self._request(by_task[task.task_id], task, pull)
        return pulls

    def _request(self, plan: SegmentPlan, task: JobTask, pull: Pull) -> tuple[str, str]:
        """The id of the run task and the XCom key that give what a pull reads."""
        found = find_property(task.kind, pull.path)
        if found is None:
            raise MigrationError(f"{self._file.place(task.call)}: the whole result of this task is read.")
        group = pull.task_id.removesuffix(task.task_id)
        return f"{group}{plan.run_id}", plan.request(plan.steps.step_of[task.task_id], found)

    def _edit_reads(self, plans: list[SegmentPlan]) -> list[Edit]:
        """Edits of reads of a task's result that stand outside the segments."""
        by_task = {task.task_id: plan for plan in plans for task in plan.segment.tasks}
        gone = {node for task_id in by_task for node in self._seen.get(task_id, ())}
        kept = {node for task_id, seen in self._seen.items() if task_id not in by_task for node in seen}
        spans = [self._file.span(task.statement) for plan in plans for task in plan.segment.tasks if task.statement]
        edits = []
        for read in self._reads:
            task = _find_task(self._by_id, read.pull.task_id)
            plan = by_task.get(task.task_id) if task is not None else None
            is_gone = read.node in gone - kept or any(start <= read.start < end for start, end in spans)
            if task is not None and plan is not None and not is_gone:
                edits.append(read.replace(*self._request(plan, task, read.pull)))
        return edits

    # --- files and report ---------------------------------------------------------------------------------------------

    def _make_package(self, plans: list[SegmentPlan], after: bytes, fixes: list[Record]) -> MigrationPackage:
        definitions, findings = {}, {}
        for plan in plans:
            workflow = Workflow(plan.pipeline, tuple(plan.steps.nodes), tuple(plan.steps.parameters))
            made = next(iter(plan_dag(workflow).pipelines.values())).definition
            definitions[plan.file_name] = render_json(made)
            findings[plan.pipeline] = check_text(definitions[plan.file_name])
        told = {id(task): _Told(plan) for plan in plans for task in plan.segment.tasks}
        records = [self._tell(task, told.get(id(task))) for task in self._dag.tasks]
        records += [
            Record(place, kind, Outcome.AIRFLOW, reasons=(Reason("AIRFLOW-STAYS-001", "No pipeline step does this."),))
            for place, kind in self._dag.others
        ]
        nodes = tuple(node for plan in plans for node in plan.steps.nodes)
        origin = f"the SageMaker operators of {self._file.name}"
        migration = Migration(
            origin, Workflow(self._name, nodes), (*records, *fixes), tuple(self._tell_differences(plans))
        )
        text = after.decode("utf-8")
        files = {
            f"{self._name}.py": text,
            **definitions,
            **render_reports(migration, [plan.pipeline for plan in plans], findings),
        }
        return MigrationPackage(migration, files, findings)

    def _tell(self, task: JobTask, told: _Told | None) -> Record:
        source = f"{self._file.place(task.call)} task {task.task_id!r}" if task.task_id else self._file.place(task.call)
        if told is None:
            return self._tell_kept(task, source)
        if task.is_sensor:
            reason = Reason("AIRFLOW-SENSOR-001", "The step that starts the job waits for it.")
            return Record(source, task.kind, Outcome.FOLDED, told.plan.run_id, (reason,))
        reasons = list(told.plan.steps.reasons.get(task.task_id, []))
        is_exact = task.task_id not in told.plan.steps.inexact
        for place in self._find_uses_of_names(task):
            reasons.append(
                Reason("AIRFLOW-NAMES-002", f"{place} names what it made; SageMaker gives that another name.")
            )
            is_exact = False
        if not is_true(task.keywords.get("wait_for_completion"), otherwise=True):
            reasons.append(Reason("AIRFLOW-WAIT-001", "The task did not wait for the job. The step does."))
            is_exact = False
        dropped = [name for name in task.keywords if name in DROPPED]
        reasons += [Reason("AIRFLOW-ARGUMENT-001", f"{name} is gone: {DROPPED[name]}.") for name in dropped]
        outcome = Outcome.TRANSLATED if is_exact else Outcome.APPROXIMATED
        lost = told.plan.steps.lost.get(task.task_id, ())
        target = told.plan.steps.step_of[task.task_id]
        return Record(source, task.kind, outcome, target, tuple(reasons), lost)

    def _find_uses_of_names(self, task: JobTask) -> Iterator[str]:
        """Where the file says a name that a task gave to its job, outside the configs of tasks."""
        names = set()
        for noun, request in self._configs[task.task_id].requests:
            name = request.get(get_request_kind(noun).name_member)
            if isinstance(name, str) and noun != "Endpoint":
                names.add(self._marks.restore(name))
        sensors = {task.call for task in self._dag.tasks if task.is_sensor}
        for node in (node for name in sorted(names) for node in self._texts.get(name, ())):
            if self._file.parents.get(self._file.parents[node]) not in sensors:
                yield self._file.place(node)

    def _tell_kept(self, task: JobTask, source: str) -> Record:
        if task.is_sensor and not task.problems:
            reason = Reason("AIRFLOW-STAYS-002", "It waits for nothing that a pipeline makes now.")
            return Record(source, task.kind, Outcome.AIRFLOW, reasons=(reason,))
        reasons = tuple(Reason("AIRFLOW-REFUSED-001", text) for text in task.problems)
        needed = self._needs_input.get(task.task_id)
        if needed is None:
            action = " ".join([*task.problems, "It stays as it is."])
            return Record(source, task.kind, Outcome.UNSUPPORTED, reasons=reasons, action=action)
        action = (
            f"{needed} It stays as it is. Give the rendered fields of a run with --rendered: "
            f'curl -H "Authorization: Bearer $TOKEN" $AIRFLOW/api/v2/dags/DAG/dagRuns/RUN/taskInstances/{task.task_id}'
        )
        return Record(source, task.kind, Outcome.NEEDS_INPUT, reasons=reasons, action=action)

    def _tell_differences(self, plans: list[SegmentPlan]) -> Iterator[Reason]:
        if not plans:
            return
        text = (
            "SageMaker names the jobs, models and endpoint configurations of the steps. A task that names one of them, "
            "as SageMakerDeleteModelOperator does, must read the name from the XCom step_outputs of the run task."
        )
        yield Reason("AIRFLOW-NAMES-001", text)
        if any(len(plan.segment.tasks) > 1 for plan in plans):
            text = (
                "Tasks behind a segment wait for its whole pipeline. A retry of the run task resumes the failed steps."
            )
            yield Reason("AIRFLOW-SEGMENT-001", text)


def _find_task(tasks: Mapping[str, JobTask], text: str) -> JobTask | None:
    """The task that a text names, perhaps with the groups that it stands in."""
    return tasks.get(text) or tasks.get(text.rpartition(".")[2]) if text else None


def _claim(wanted: str, taken: set[str]) -> str:
    name, number = re.sub(r"[^A-Za-z0-9_.-]", "_", wanted), 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name
