"""Writes a DAG file in which deploy and run tasks stand in place of segments of SageMaker tasks.

Where the last task of a segment stood, deploy and run stand; the others' statements go. A statement that puts tasks
into an order is edited where it stands, or moved behind the run task if it stood before it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.airflow.imports import add_import, iter_imported, remove_names
from airflow_sm_pipelines.migrate.airflow.known_values import Mark, Marks
from airflow_sm_pipelines.migrate.airflow.segments import CONNECTION, PLACE, RUN, find_roots
from airflow_sm_pipelines.migrate.airflow.source_file import Edit
from airflow_sm_pipelines.migrate.files.python_text import Code, quote_python, render_call
from airflow_sm_pipelines.migrate.names import PythonNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.migrate.airflow.dag_reader import DagFile, JobTask, Order, Stage
    from airflow_sm_pipelines.migrate.airflow.job_steps import SegmentSteps
    from airflow_sm_pipelines.migrate.airflow.segments import Segment
    from airflow_sm_pipelines.migrate.files.python_text import Value

_IMPORT = "from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator"


@dataclass(slots=True)
class SegmentPlan:
    """A segment with its pipeline.

    :param pipeline: the pipeline's name.
    :param file_name: of its definition.
    :param deploy_id: the task id of the deploy task.
    :param run_id: the task id of the run task.
    :param outputs: what the run task publishes, by XCom key.
    """

    segment: Segment
    steps: SegmentSteps
    pipeline: str
    file_name: str
    deploy_id: str
    run_id: str
    outputs: dict[str, str] = field(default_factory=dict)
    deploy: str = ""
    run: str = ""

    @property
    def last(self) -> JobTask:
        """The task in whose place deploy and run stand."""
        return self.segment.tasks[-1]

    def request(self, step: str, found: str) -> str:
        """The XCom key of a property of a step."""
        value = f"Steps.{step}.{found}"
        known = next((key for key, one in self.outputs.items() if one == value), None)
        if known is None:
            words = "".join(character if character.isalnum() else "_" for character in found).strip("_")
            known = f"{step}_{words}".replace("-", "_")
            self.outputs[known] = value
        return known


class DagEditor:
    """Makes the edits of a file.

    :param plans: of all segments, in the order of their last tasks.
    :param default_role: the template of the role where no task names one.
    """

    def __init__(self, dag: DagFile, plans: Sequence[SegmentPlan], marks: Marks, *, default_role: str) -> None:
        self._dag = dag
        self._file = dag.file
        self._plans = plans
        self._marks = marks
        self._default_role = default_role
        self._plan_of = {id(task): plan for plan in plans for task in plan.segment.tasks}
        taken = {node.id for node in ast.walk(dag.file.tree) if isinstance(node, ast.Name)}
        names = PythonNames(sorted({*taken, *dag.imports.names}))
        for plan in plans:
            short = plan.segment.tasks[0].variable or plan.segment.tasks[0].task_id
            plan.deploy, plan.run = names.claim(f"deploy_{short}"), names.claim(f"run_{short}")
        self._behind: dict[int, list[str]] = {}

    def make_edits(self, pulls: Mapping[str, tuple[str, str]]) -> list[Edit]:
        """All edits of tasks, orders and imports.

        :param pulls: for each parameter that a pull of another segment gives, as ``pipeline/parameter``, the id of its
            run task and the XCom key.
        """
        edits = [edit for order in self._dag.orders for edit in self._edit_order(order)]
        for plan in self._plans:
            for task in plan.segment.tasks:
                if task.statement is None:
                    raise MigrationError(f"{self._file.place(task.call)}: its statement cannot be replaced.")
                if task is not plan.last:
                    edits.append(self._remove(task.statement))
                edits += [self._remove(setting) for setting in task.settings]
        for plan in self._plans:
            statement = cast("ast.stmt", plan.last.statement)
            text = self._write_tasks(plan, pulls)
            behind = self._behind.get(id(plan), [])
            indent = self._file.indent(statement)
            joined = f"{self._file.newline}{indent}".join([*text, *behind])
            edits.append(Edit(*self._file.span(statement), joined))
        return [*edits, *self._edit_imports()]

    # --- deploy and run -----------------------------------------------------------------------------------------------

    def _write_tasks(self, plan: SegmentPlan, pulls: Mapping[str, tuple[str, str]]) -> list[str]:
        shared = self._take_over(plan, (*CONNECTION, *PLACE))
        roots = find_roots(self._dag, plan.segment)
        rule = next((one.keywords["trigger_rule"] for one in roots if "trigger_rule" in one.keywords), None)
        deploy: list[tuple[str, Value]] = [
            ("task_id", plan.deploy_id),
            ("pipeline", plan.file_name),
            ("pipeline_name", plan.pipeline),
            ("role_arn", self._render_role(plan)),
            *shared,
            *([("trigger_rule", cast("Value", Code(self._file.text(rule))))] if rule is not None else []),
        ]
        run: list[tuple[str, Value]] = [
            ("task_id", plan.run_id),
            ("pipeline_name", Code(f'{plan.deploy}.output["pipeline_name"]')),
            ("version", Code(f'{plan.deploy}.output["pipeline_version_id"]')),
        ]
        given: dict[str, Value] = {}
        for name, value in plan.steps.values.items():
            found = pulls.get(f"{plan.pipeline}/{name}")
            if found is not None:
                given[name] = f"{{{{ ti.xcom_pull(task_ids='{found[0]}', key='{found[1]}') }}}}"
            elif isinstance(value, Mark):
                given[name] = value.text if value.is_template else Code(value.text)
        if given:
            run.append(("parameters", cast("Value", given)))
        if plan.outputs:
            run.append(("outputs", cast("Value", dict(plan.outputs))))
        run += [*shared, *self._take_over(plan, RUN)]
        statement = cast("ast.stmt", plan.last.statement)
        indent, depth = self._file.indent(statement), len(self._file.indent(statement).expandtabs(4)) // 4
        lines = []
        for variable, operator, arguments in (
            (plan.deploy, "SageMakerDeployPipelineOperator", deploy),
            (plan.run, "SageMakerRunPipelineOperator", run),
        ):
            text = render_call(operator, arguments, depth=depth, before=len(variable) + 3)
            flat = text.replace(f"\n{'    ' * depth}", f"\n{indent}") if indent != "    " * depth else text
            lines.append(f"{variable} = {flat}".replace("\n", self._file.newline))
        return lines

    def _take_over(self, plan: SegmentPlan, names: Iterable[str]) -> list[tuple[str, Value]]:
        """Arguments of the segment's tasks, as the file has them."""
        found: list[tuple[str, Value]] = []
        for name in names:
            for task in plan.segment.tasks:
                if name in task.keywords and not task.is_sensor:
                    found.append((name, Code(self._file.text(task.keywords[name]))))
                    break
        return found

    def _render_role(self, plan: SegmentPlan) -> Value:
        if not plan.steps.roles:
            return self._default_role
        parts = list(self._marks.split(plan.steps.roles[0]))
        if all(isinstance(one, str) or one.is_template for one in parts):
            return self._marks.restore(plan.steps.roles[0])
        if len(parts) == 1 and isinstance(parts[0], Mark):
            return Code(parts[0].text)
        return Code(
            " + ".join(
                quote_python(one)
                if isinstance(one, str)
                else quote_python(one.text)
                if one.is_template
                else f"str({one.text})"
                for one in parts
            )
        )

    # --- the order of tasks -------------------------------------------------------------------------------------------

    def _edit_order(self, order: Order) -> list[Edit]:
        involved = {id(plan): plan for stage in order.stages for plan in self._find_plans(stage)}
        if not involved:
            return []
        edits = self._edit_in_place(order)
        start, end = self._file.span(order.statement)
        text: str | None = None
        if edits is None:
            text = self._spell_out(order)
        last = max(involved.values(), key=lambda plan: self._file.span(plan.last.call))
        is_behind = start > self._file.span(last.last.call)[0]
        if edits is not None and is_behind and edits:
            return edits
        if edits is not None:
            text = self._apply(edits, start, end) if edits else ""
        if not text:
            return [self._remove(order.statement)]
        if is_behind:
            return [Edit(start, end, text)]
        self._behind.setdefault(id(last), []).extend(text.splitlines() if edits is None else [text])
        return [self._remove(order.statement)]

    def _apply(self, edits: list[Edit], start: int, end: int) -> str:
        text = self._file.data[start:end]
        for edit in sorted(edits, key=lambda one: one.start, reverse=True):
            text = text[: edit.start - start] + edit.text.encode() + text[edit.end - start :]
        return text.decode()

    def _find_plans(self, stage: Stage) -> list[SegmentPlan]:
        return [plan for entry in stage.entries if entry.task and (plan := self._plan_of.get(id(entry.task)))]

    def _edit_in_place(self, order: Order) -> list[Edit] | None:
        """Edits of a statement whose stages are each of one segment or of none.

        :return: None if a stage is mixed; nothing if the whole statement is about one segment.
        """
        groups: list[tuple[SegmentPlan | None, list[Stage]]] = []
        for stage in order.stages:
            plans = self._find_plans(stage)
            if plans and (len(plans) < len(stage.entries) or any(one is not plans[0] for one in plans)):
                return None
            plan = plans[0] if plans else None
            if groups and plan is not None and groups[-1][0] is plan:
                groups[-1][1].append(stage)
            else:
                groups.append((plan, [stage]))
        if len(groups) == 1:
            return []
        edits = []
        for index, (plan, stages) in enumerate(groups):
            if plan is None:
                continue
            names = [plan.deploy] if index else []
            names += [plan.run] if index + 1 < len(groups) else []
            spans = [self._file.span(one.node) for one in stages]
            edits.append(Edit(min(spans)[0], max(spans)[1], (order.separator or " >> ").join(names)))
        return edits

    def _spell_out(self, order: Order) -> str:
        """A statement with mixed lists, as a line for each pair."""
        lines: list[str] = []
        for first, second in order.edges:
            for one in first:
                for two in second:
                    before = self._plan_of.get(id(one.task)) if one.task else None
                    after = self._plan_of.get(id(two.task)) if two.task else None
                    if before is not None and before is after:
                        continue
                    line = f"{before.run if before else one.text} >> {after.deploy if after else two.text}"
                    if line not in lines:
                        lines.append(line)
        return f"{self._file.newline}{self._file.indent(order.statement)}".join(lines)

    def _remove(self, statement: ast.stmt) -> Edit:
        """An edit that takes a statement away, with its line if it has it for itself; a block does not become empty."""
        start, end = self._file.span(statement)
        holder = self._file.parents[statement]
        body: list[ast.stmt] = next(
            (
                part
                for part in (getattr(holder, name, None) for name in ("body", "orelse", "finalbody"))
                if part and statement in part
            ),
            [],
        )
        if len(body) == 1:
            return Edit(start, end, "pass")
        data = self._file.data
        line = max(data.rfind(b"\n", 0, start), data.rfind(b"\r", 0, start)) + 1
        rest = data[end:].split(b"\n", 1)
        tail = rest[0].strip()
        if not data[line:start].strip() and (not tail or tail.startswith(b"#")):
            end += len(rest[0]) + (1 if len(rest) > 1 else 0)
            blank = re.match(rb"(?:[ \t]*\r?\n)*", data[end:]) if data[:line].endswith((b"\n\n", b"\n\r\n")) else None
            return Edit(line, end + (blank.end() if blank is not None else 0), "")
        return Edit(start, end, "pass")

    # --- imports ------------------------------------------------------------------------------------------------------

    def _edit_imports(self) -> list[Edit]:
        """Import deploy and run, and no longer what only the segments used."""
        gone = {id(task) for plan in self._plans for task in plan.segment.tasks}
        kept = {task.kind for task in self._dag.tasks if id(task) not in gone} | {kind for _, kind in self._dag.others}
        used = {task.kind for task in self._dag.tasks if id(task) in gone} - kept
        by_statement: dict[ast.ImportFrom, set[ast.alias]] = {}
        for one in iter_imported(self._file):
            if one.path.rpartition(".")[2] in used and "sagemaker" in one.path:
                by_statement.setdefault(one.statement, set()).add(one.alias)
        ours: str | None = _IMPORT
        edits: list[Edit] = []
        for statement, names in by_statement.items():
            if len(names) < len(statement.names):
                edits += remove_names(self._file, statement, names)
            elif ours is not None and statement in self._file.tree.body:
                edits.append(Edit(*self._file.span(statement), ours))
                ours = None
            else:
                edits.append(self._remove(statement))
        if ours is None:
            return edits
        first = min((task.call for plan in self._plans for task in plan.segment.tasks), key=self._file.span)
        return [*edits, add_import(self._file, ours, before=first)]
