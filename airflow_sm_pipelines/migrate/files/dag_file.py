"""The DAG file of a plan: Python that a person would have written, to be read and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import MISSING
from airflow_sm_pipelines.definition.parameters import SCHEMA_TYPES
from airflow_sm_pipelines.migrate.dag_plan.units import BranchUnit, PipelineUnit, TaskUnit, Unit, Upstream, iter_units
from airflow_sm_pipelines.migrate.files.airflow_expressions import AirflowValues
from airflow_sm_pipelines.migrate.files.branch_code import BranchConditions
from airflow_sm_pipelines.migrate.files.dag_helpers import CALL, FAIL, ITEMS, WAIT
from airflow_sm_pipelines.migrate.files.python_text import INDENT, Code, Value, Variables, render_call, render_value
from airflow_sm_pipelines.migrate.workflow import CallNode, MissingNode, OperatorNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import Parameter
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
"""The role's default where the source names none: for runs on one's own machine, which has no roles."""

_AFTER_CHOICE = "none_failed_min_one_success"
_RULES = {"Failed": "one_failed", "Stopped": "one_failed", "Any": "all_done"}


@dataclass(frozen=True, slots=True)
class _Ids:
    """The tasks of a unit.

    :param first: the id of the task that begins it.
    :param last: the id of the task that has its result.
    :param variable: the Python name of that one; ``first_variable`` that of the other.
    :param is_dict: whether each key of its result is an XCom of its own.
    """

    first: str
    last: str
    first_variable: str
    variable: str
    is_dict: bool = False


@dataclass(slots=True)
class _Body:
    """The lines of the DAG, and what they need above them."""

    lines: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)


def render_dag(plan: DagPlan, *, doc: str, definitions: Mapping[str, str]) -> str:
    """The source of the DAG file.

    :param doc: its docstring, which Airflow shows.
    :param definitions: the path of each pipeline's definition, from the DAG file's folder, by unit.
    """
    return _Writer(plan, definitions).render(doc)


class _Writer:
    def __init__(self, plan: DagPlan, definitions: Mapping[str, str]) -> None:
        self._plan = plan
        self._definitions = definitions
        self._body = _Body()
        names = Variables(["DAG", "Param", "task", "role", *(one[0] for one in (CALL, FAIL, ITEMS, WAIT))])
        self._units = {unit.name: unit for unit in iter_units(plan.units)}
        self._ids = {name: self._name(unit, names) for name, unit in self._units.items()}

    def _name(self, unit: Unit, names: Variables) -> _Ids:
        if isinstance(unit, PipelineUnit):
            is_call = False
            ending = f"_{unit.name}" if len(self._plan.pipelines) > 1 else ""
            first, last = f"deploy{ending}", f"run{ending}"
        else:
            is_call = isinstance(unit.node, CallNode)
            is_awaited = isinstance(unit.node, CallNode) and unit.node.wait is not None
            first, last = unit.name, f"{unit.name}_end" if is_awaited else unit.name
        first_variable = names.claim(first)
        if first != last:
            return _Ids(first, last, first_variable, names.claim(last))
        return _Ids(first, last, first_variable, first_variable, is_dict=is_call)

    def render(self, doc: str) -> str:
        for unit in self._plan.units:
            self._unit(unit, None)
        if self._body.edges:
            self._line("")
            self._body.lines.extend(self._body.edges)
        return "".join([self._head(doc), *(f"{line}\n" if line else "\n" for line in self._body.lines)])

    # --- the head ---------------------------------------------------------------------------------------------------

    def _head(self, doc: str) -> str:
        from_sdk = ["DAG"]
        if self._plan.workflow.parameters:
            from_sdk.append("Param")
        if self._body.helpers or "task" in self._body.imports:
            from_sdk.append("task")
        with_dag = self._with_dag()
        parts = [f'"""{doc}"""\n\n']
        standard = sorted(one for one in self._body.imports if one.startswith("from datetime"))
        parts.extend(f"{one}\n" for one in standard)
        parts.append("\n" if standard else "")
        others = [f"from airflow.sdk import {', '.join(from_sdk)}"]
        others += [one for one in self._body.imports if one.startswith("from airflow.")]
        parts.extend(f"{one}\n" for one in sorted(others))
        if self._plan.pipelines:
            parts.append(
                "\nfrom airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator\n"
            )
            default = self._plan.role_arn or ROLE
            parts.append(f"\nROLE = \"{{{{ var.value.get('sagemaker_role_arn', '{default}') }}}}\"\n")
        parts.extend(f"\n\n{source}" for name, source in (CALL, WAIT, ITEMS, FAIL) if name in self._body.helpers)
        parts.append("\n\n" if self._body.helpers else "\n")
        parts.append(with_dag)
        return "".join(parts)

    def _with_dag(self) -> str:
        workflow = self._plan.workflow
        arguments: list[tuple[str, Value]] = [
            ("", workflow.name),
            ("schedule", workflow.schedule),
            ("doc_md", Code("__doc__")),
            ("tags", ["sagemaker", "migrated"]),
        ]
        if workflow.description:
            arguments.insert(1, ("description", workflow.description))
        if workflow.schedule is not None:
            arguments.append(("catchup", False))
        if workflow.timeout_seconds is not None:
            arguments.append(("dagrun_timeout", self._seconds(workflow.timeout_seconds)))
        if workflow.parameters:
            params = {one.name: self._param(one) for one in workflow.parameters}
            arguments.append(("params", cast("Value", params)))
        return f"with {render_call('DAG', arguments, depth=0, before=6)}:\n"

    def _param(self, parameter: Parameter) -> Code:
        kind = SCHEMA_TYPES.get(parameter.type, "string")
        arguments: list[tuple[str, Value]] = []
        types: Value = kind
        if parameter.default is not MISSING:
            arguments.append(("", cast("Value", parameter.default)))
        elif self._plan.workflow.schedule is not None:
            # A DAG with a schedule must have a value for each param; the run's parameters are checked once more.
            arguments.append(("", None))
            types = ["null", kind]
        arguments.append(("type", types))
        if parameter.enum_values:
            arguments.append(("enum", cast("Value", list(parameter.enum_values))))
        return Code(render_call("Param", arguments, depth=2, before=len(parameter.name) + 5))

    def _seconds(self, seconds: float) -> Code:
        self._body.imports.add("from datetime import timedelta")
        return Code(f"timedelta(seconds={seconds:g})")

    # --- units ------------------------------------------------------------------------------------------------------

    def _unit(self, unit: Unit, branch: BranchUnit | None) -> None:
        """One unit, and those inside of it.

        :param branch: the choice on one of whose ways it stands, if it is the first there.
        """
        rule = self._rule(unit.upstream)
        if isinstance(unit, PipelineUnit):
            self._pipeline(unit, rule)
        elif isinstance(unit, BranchUnit):
            self._branch(unit, rule)
        else:
            self._task(unit, rule)
        before = [last for upstream in unit.upstream for last in self._lasts(upstream.unit)]
        if branch is not None and not unit.upstream:
            before = [self._ids[branch.name].variable]
        ids = self._ids[unit.name]
        self._edge(list(dict.fromkeys(before)), ids.first_variable, ids.variable)
        if isinstance(unit, BranchUnit):
            for _, inner in unit.ways:
                for one in inner:
                    self._unit(one, unit)

    def _rule(self, upstream: Sequence[Upstream]) -> str:
        triggers = [one.trigger for one in upstream if one.trigger != "Completed"]
        if triggers:
            return _RULES[triggers[0]]
        return _AFTER_CHOICE if any(isinstance(self._units[one.unit], BranchUnit) for one in upstream) else ""

    def _lasts(self, name: str) -> list[str]:
        """The Python names of the tasks with which a unit ends."""
        unit = self._units[name]
        if not isinstance(unit, BranchUnit):
            return [self._ids[name].variable]
        lasts = []
        for _, inner in unit.ways:
            waited_for = {upstream.unit for one in inner for upstream in one.upstream}
            for one in inner:
                if one.name not in waited_for:
                    lasts.extend(self._lasts(one.name))
            if not inner:
                lasts.append(self._ids[name].variable)
        return lasts

    def _firsts(self, units: Sequence[Unit]) -> list[str]:
        return [self._ids[unit.name].first for unit in units if not unit.upstream]

    def _values(self, unit: Unit) -> AirflowValues:
        tasks = {name: ids.last for name, ids in self._ids.items()}
        variables = {name: ids.variable for name, ids in self._ids.items()}
        dicts = {name for name, ids in self._ids.items() if ids.is_dict}
        return AirflowValues(
            reader=unit.name, results=self._plan.results, tasks=tasks, variables=variables, dicts=dicts
        )

    # --- pipelines --------------------------------------------------------------------------------------------------

    def _pipeline(self, unit: PipelineUnit, rule: str) -> None:
        ids, pipeline = self._ids[unit.name], self._plan.pipelines[unit.name]
        deploy: list[tuple[str, Value]] = [
            ("task_id", ids.first),
            ("pipeline", self._definitions[unit.name]),
            ("pipeline_name", pipeline.name),
            ("role_arn", Code("ROLE")),
        ]
        if rule:
            deploy.append(("trigger_rule", rule))
        self._assign(ids.first_variable, "SageMakerDeployPipelineOperator", deploy)
        values = self._values(unit)
        given: dict[str, Value] = {name: values.render(value) for name, value in pipeline.values.items()}
        run: list[tuple[str, Value]] = [
            ("task_id", ids.last),
            ("pipeline_name", Code(f'{ids.first_variable}.output["pipeline_name"]')),
            ("version", Code(f'{ids.first_variable}.output["pipeline_version_id"]')),
        ]
        outputs = self._plan.results.outputs_of(unit.name)
        if unit.loop is None:
            if given:
                run.append(("parameters", cast("Value", given)))
            if outputs:
                run.append(("outputs", cast("Value", outputs)))
            run.append(("deferrable", True))
            self._assign(ids.variable, "SageMakerRunPipelineOperator", run)
        else:
            run.append(("deferrable", True))
            run.append(("max_active_tis_per_dagrun", unit.loop.max_concurrency))
            self._mapped(ids, run, values.render_list(unit.loop.items), pipeline.items, given)

    def _mapped(
        self,
        ids: _Ids,
        run: list[tuple[str, Value]],
        items: Value,
        fields: Mapping[str, str],
        given: dict[str, Value],
    ) -> None:
        self._body.helpers.add(ITEMS[0])
        each = render_call(
            ITEMS[0],
            [("", items), ("fields", cast("Value", dict(fields))), ("same", cast("Value", given))],
            depth=2,
            before=12,
        )
        partial = render_call("SageMakerRunPipelineOperator.partial", run, depth=1, before=len(ids.variable) + 3)
        self._line(f"{ids.variable} = {partial}.expand(")
        self._line(f"{INDENT}parameters={each},")
        self._line(")")

    # --- single tasks -----------------------------------------------------------------------------------------------

    def _task(self, unit: TaskUnit, rule: str) -> None:
        ids, node, values = self._ids[unit.name], unit.node, self._values(unit)
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        if isinstance(node, (CallNode, OperatorNode)):
            if node.retries:
                options.append(("retries", node.retries))
            if node.timeout_seconds is not None:
                options.append(("execution_timeout", self._seconds(node.timeout_seconds)))
        if isinstance(node, OperatorNode):
            module, _, name = node.operator.rpartition(".")
            self._body.imports.add(f"from {module} import {name}")
            given = [(key, values.render(value)) for key, value in node.arguments.items()]
            self._assign(ids.variable, name, [*options[:1], *given, *options[1:]])
        elif isinstance(node, CallNode):
            self._call(ids, node, options, values)
        else:
            self._body.helpers.add(FAIL[0])
            message = node.action if isinstance(node, MissingNode) else node.arguments.get("ErrorMessage", "")
            self._apply(ids.variable, FAIL[0], options, [("", values.render(message))])

    def _call(self, ids: _Ids, node: CallNode, options: list[tuple[str, Value]], values: AirflowValues) -> None:
        self._body.helpers.add(CALL[0])
        given = values.render(node.arguments)
        self._apply(ids.first_variable, CALL[0], options, [("", node.service), ("", node.operation), ("", given)])
        if node.wait is not None:
            self._body.helpers.add(WAIT[0])
            wait: list[tuple[str, Value]] = [
                ("", Code(f"{ids.first_variable}")),
                ("service", node.service),
                ("operation", node.wait.operation),
                ("arguments", cast("Value", dict(node.wait.arguments))),
                ("given", given),
                ("path", node.wait.path),
                ("success", list(node.wait.success)),
                ("failure", list(node.wait.failure)),
            ]
            self._apply(ids.variable, WAIT[0], [("task_id", ids.last)], wait)

    # --- choices ----------------------------------------------------------------------------------------------------

    def _branch(self, unit: BranchUnit, rule: str) -> None:
        self._body.imports.add("task")
        ids, values, tests = self._ids[unit.name], self._values(unit), BranchConditions()
        lines = []
        for conditions, inner in unit.ways:
            chosen: Value = list(self._firsts(inner)) if inner else list(self._after(unit))
            test = tests.render(conditions) if conditions else ""
            if test:
                lines.append(f"    if {test}:")
            lines.append(f"{'        ' if test else '    '}return {render_value(chosen, depth=3, before=7)}")
        if unit.ways[-1][0]:
            lines.append("    return []")
        function = f"choose_{ids.variable}"
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        self._line("")
        self._line(f"@{render_call('task.branch', options, depth=1, before=1)}")
        self._line(f"def {function}({', '.join(tests.arguments)}):")
        self._line(f'    """{_docstring(unit.node.source)}"""')
        for line in lines:
            self._line(line)
        self._line("")
        given = [(name, values.render(value)) for name, value in tests.arguments.items()]
        self._assign(ids.variable, function, given)

    def _after(self, unit: BranchUnit) -> list[str]:
        """The tasks that begin what comes after a choice."""
        return [
            self._ids[one.name].first
            for one in self._units.values()
            if any(upstream.unit == unit.name for upstream in one.upstream)
        ]

    # --- lines ------------------------------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        self._body.lines.append(INDENT + text if text else "")

    def _assign(self, variable: str, function: str, arguments: Sequence[tuple[str, Value]]) -> None:
        self._line(f"{variable} = {render_call(function, arguments, depth=1, before=len(variable) + 3)}")

    def _apply(
        self,
        variable: str,
        helper: str,
        options: Sequence[tuple[str, Value]],
        arguments: Sequence[tuple[str, Value]],
    ) -> None:
        override = f"{helper}.override({', '.join(f'{name}={render_value(value)}' for name, value in options)})"
        self._assign(variable, override, arguments)

    def _edge(self, before: Sequence[str], first: str, last: str) -> None:
        """What runs before a unit, and its own tasks one after the other."""
        chain = [f"[{', '.join(before)}]"] if len(before) > 1 else list(before)
        chain += [first] if first == last else [first, last]
        if len(chain) > 1:
            self._body.edges.append(INDENT + " >> ".join(chain))


def _docstring(source: str) -> str:
    return f"The way that {source} goes.".replace("\\", "/").replace('"""', "'''")
