"""Writes the DAG file of a plan, as Python that people can read and keep.

All text of the source goes through :mod:`python_text`; this module writes only names and code of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import MISSING
from airflow_sm_pipelines.definition.parameters import SCHEMA_TYPES
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.migrate.dag_plan.units import ChoiceUnit, PipelineUnit, TaskUnit, Unit, Upstream, iter_units
from airflow_sm_pipelines.migrate.files.airflow_expressions import AirflowValues, BranchConditions
from airflow_sm_pipelines.migrate.files.python_text import (
    INDENT,
    Code,
    Value,
    escape_templates,
    quote_jinja,
    quote_python,
    render_call,
    render_docstring,
    render_import,
    render_value,
)
from airflow_sm_pipelines.migrate.names import PythonNames
from airflow_sm_pipelines.migrate.workflow import CallNode, MissingNode, OperatorNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import Parameter
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan

DEFAULT_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/SageMakerExecution"
"""The role if the source names none; it serves for runs on one's own machine, which has no roles."""

_RULE_AFTER_CHOICE = "none_failed_min_one_success"
_RULES = {"Failed": "one_failed", "Stopped": "one_failed", "Any": "all_done"}
"""Airflow's trigger rule for a dependency's trigger, where it is not ``Completed``."""

# The functions that a DAG file may need above its DAG: the name and the source of each.

_CALL = (
    "call_aws",
    '''@task
def call_aws(service: str, operation: str, arguments: dict) -> dict:
    """Make one AWS call with the connection aws_default, and return its answer."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    def typed(value, shape):
        # Templates give text, also where the call takes numbers and booleans.
        if shape.type_name == "structure" and isinstance(value, dict):
            known = shape.members
            return {key: typed(item, known[key]) if key in known else item for key, item in value.items()}
        if shape.type_name == "list" and isinstance(value, list):
            return [typed(item, shape.member) for item in value]
        if shape.type_name == "map" and isinstance(value, dict):
            return {key: typed(item, shape.value) for key, item in value.items()}
        if shape.type_name == "boolean" and isinstance(value, str):
            return value.lower() == "true"
        if shape.type_name in ("integer", "long", "float", "double") and isinstance(value, str):
            return json.loads(value)
        return value

    client = AwsBaseHook(client_type=service).conn
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    answer = getattr(client, operation)(**typed(arguments, model.input_shape) if arguments else {})
    answer.pop("ResponseMetadata", None)
    return json.loads(json.dumps(answer, default=str))
''',
)

_WAIT = (
    "wait_for",
    '''@task.sensor(poke_interval=60, mode="reschedule")
def wait_for(started: dict, service, operation, arguments, given, path, success, failure):
    """Wait for the end of what a call has started, and return its description."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk import PokeReturnValue

    from airflow_sm_pipelines.airflow_names import AirflowFailException

    known = {**given, **started}
    request = {name: known[key] for name, key in arguments.items()}
    answer = getattr(AwsBaseHook(client_type=service).conn, operation)(**request)
    answer.pop("ResponseMetadata", None)
    status = answer
    for part in path.split("."):
        status = status[part]
    if status in failure:
        raise AirflowFailException(f"{service} {operation} {request}: {status}. {answer.get('FailureReason', '')}")
    return PokeReturnValue(is_done=status in success, xcom_value=json.loads(json.dumps(answer, default=str)))
''',
)

_ITEMS = (
    "parameters_of_items",
    '''@task
def parameters_of_items(items: list | str, fields: dict, same: dict) -> list[dict]:
    """Make the pipeline parameters for each item: the item or its fields, and what is the same for all items."""
    import json

    while isinstance(items, str):  # JSON text, or JSON text of such text
        items = json.loads(items)
    return [{**same, **{name: item[field] if field else item for name, field in fields.items()}} for item in items]
''',
)

_FAIL = (
    "fail",
    '''@task
def fail(message: str) -> None:
    """Fail without a retry."""
    from airflow_sm_pipelines.airflow_names import AirflowFailException

    raise AirflowFailException(message)
''',
)


@dataclass(frozen=True, slots=True)
class _TaskNames:
    """The ids and Python names of a unit's tasks.

    :param first: the id of the unit's first task.
    :param last: the id of the task that has the unit's result; the same if there is one task only.
    :param first_variable: the Python name of the first task.
    :param variable: the Python name of the last task.
    :param is_dict: whether each key of the result has an XCom of its own.
    """

    first: str
    last: str
    first_variable: str
    variable: str
    is_dict: bool = False


@dataclass(slots=True)
class _Body:
    """The lines inside the DAG, and what they need above it.

    :ivar edges: the lines at the end that put the tasks in order.
    :ivar helpers: the names of the functions above the DAG.
    """

    lines: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)


def render_dag(plan: DagPlan, *, doc: str, definitions: Mapping[str, str]) -> str:
    """The source of the DAG file.

    :param doc: the file's docstring, which Airflow shows as the DAG's documentation.
    :param definitions: for each unit, the path of its pipeline's definition, relative to the DAG file's folder.
    """
    return _DagWriter(plan, definitions).render(doc)


class _DagWriter:
    def __init__(self, plan: DagPlan, definitions: Mapping[str, str]) -> None:
        self._plan = plan
        self._definitions = definitions
        self._body = _Body()
        helpers = [name for name, _ in (_CALL, _FAIL, _ITEMS, _WAIT)]
        self._names = PythonNames(["DAG", "Param", "task", "role", "timedelta", *helpers])
        self._units = {unit.name: unit for unit in iter_units(plan.units)}
        self._ids = {name: self._name_tasks(unit) for name, unit in self._units.items()}

    def _name_tasks(self, unit: Unit) -> _TaskNames:
        if isinstance(unit, PipelineUnit):
            is_call = False
            ending = f"_{unit.name}" if len(self._plan.pipelines) > 1 else ""
            first, last = f"deploy{ending}", f"run{ending}"
        else:
            is_call = isinstance(unit.node, CallNode)
            is_awaited = isinstance(unit.node, CallNode) and unit.node.wait is not None
            first, last = unit.name, f"{unit.name}_end" if is_awaited else unit.name
        first_variable = self._names.claim(first)
        if first != last:
            return _TaskNames(first, last, first_variable, self._names.claim(last))
        return _TaskNames(first, last, first_variable, first_variable, is_dict=is_call)

    def render(self, doc: str) -> str:
        for unit in self._plan.units:
            self._write_unit(unit, None)
        if self._body.edges:
            self._write_line("")
            self._body.lines.extend(self._body.edges)
        return "".join([self._render_head(doc), *(f"{line}\n" if line else "\n" for line in self._body.lines)])

    # --- the head ---------------------------------------------------------------------------------------------------

    def _render_head(self, doc: str) -> str:
        from_sdk = ["DAG"]
        if self._plan.workflow.parameters:
            from_sdk.append("Param")
        if self._body.helpers or "task" in self._body.imports:
            from_sdk.append("task")
        with_dag = self._render_with_dag()
        parts = [f"{render_docstring(doc)}\n\n"]
        standard = sorted(one for one in self._body.imports if one.startswith("from datetime"))
        parts.extend(f"{one}\n" for one in standard)
        parts.append("\n" if standard else "")
        others = [f"from airflow.sdk import {', '.join(from_sdk)}"]
        others += [one for one in self._body.imports if one.startswith("from ") and one not in standard]
        parts.extend(f"{one}\n" for one in sorted(others))
        if self._plan.pipelines:
            parts.append(
                "\nfrom airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator\n"
            )
            default = quote_jinja(self._plan.role_arn or DEFAULT_ROLE)
            role = quote_python(f"{{{{ var.value.get('sagemaker_role_arn', {default}) }}}}")
            parts.append(f"\nROLE = {role}\n")
        parts.extend(f"\n\n{source}" for name, source in (_CALL, _WAIT, _ITEMS, _FAIL) if name in self._body.helpers)
        parts.append("\n\n" if self._body.helpers else "\n")
        parts.append(with_dag)
        return "".join(parts)

    def _render_with_dag(self) -> str:
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
            arguments.append(("dagrun_timeout", self._render_seconds(workflow.timeout_seconds)))
        if workflow.parameters:
            params = {one.name: self._render_param(one) for one in workflow.parameters}
            arguments.append(("params", cast("Value", params)))
        return f"with {render_call('DAG', arguments, depth=0, before=6)}:\n"

    def _render_param(self, parameter: Parameter) -> Code:
        kind = SCHEMA_TYPES.get(parameter.type, "string")
        arguments: list[tuple[str, Value]] = []
        types: Value = kind
        if parameter.default is not MISSING:
            arguments.append(("", cast("Value", parameter.default)))
        elif self._plan.workflow.schedule is not None:
            # A DAG with a schedule needs a value for each param. The run operator checks the parameters once more.
            arguments.append(("", None))
            types = ["null", kind]
        arguments.append(("type", types))
        if parameter.enum_values:
            arguments.append(("enum", cast("Value", list(parameter.enum_values))))
        return Code(render_call("Param", arguments, depth=2, before=len(parameter.name) + 5))

    def _render_seconds(self, seconds: float) -> Code:
        self._body.imports.add("from datetime import timedelta")
        return Code(f"timedelta(seconds={render_value(int(seconds) if seconds == int(seconds) else seconds)})")

    # --- units ------------------------------------------------------------------------------------------------------

    def _write_unit(self, unit: Unit, branch: ChoiceUnit | None) -> None:
        """Write a unit and the units inside it.

        :param branch: the choice that has the unit in one of its branches; None outside a choice.
        """
        rule = self._find_trigger_rule(unit.upstream)
        if isinstance(unit, PipelineUnit):
            self._write_pipeline(unit, rule)
        elif isinstance(unit, ChoiceUnit):
            self._write_choice(unit, rule)
        else:
            self._write_task(unit, rule)
        before = [last for upstream in unit.upstream for last in self._find_last_variables(upstream.unit)]
        if branch is not None and not unit.upstream:
            before = [self._ids[branch.name].variable]
        ids = self._ids[unit.name]
        self._write_order(list(dict.fromkeys(before)), ids.first_variable, ids.variable)
        if isinstance(unit, ChoiceUnit):
            for _, inner in unit.branches:
                for one in inner:
                    self._write_unit(one, unit)

    def _find_trigger_rule(self, upstream: Sequence[Upstream]) -> str:
        triggers = [one.trigger for one in upstream if one.trigger != "Completed"]
        if triggers:
            return _RULES[triggers[0]]
        return _RULE_AFTER_CHOICE if any(isinstance(self._units[one.unit], ChoiceUnit) for one in upstream) else ""

    def _find_last_variables(self, name: str) -> list[str]:
        """The Python names of a unit's last tasks."""
        unit = self._units[name]
        if not isinstance(unit, ChoiceUnit):
            return [self._ids[name].variable]
        lasts = []
        for _, inner in unit.branches:
            waited_for = {upstream.unit for one in inner for upstream in one.upstream}
            for one in inner:
                if one.name not in waited_for:
                    lasts.extend(self._find_last_variables(one.name))
            if not inner:
                lasts.append(self._ids[name].variable)
        return lasts

    def _find_first_ids(self, units: Sequence[Unit]) -> list[str]:
        return [self._ids[unit.name].first for unit in units if not unit.upstream]

    def _make_values(self, unit: Unit) -> AirflowValues:
        tasks = {name: ids.last for name, ids in self._ids.items()}
        variables = {name: ids.variable for name, ids in self._ids.items()}
        dicts = {name for name, ids in self._ids.items() if ids.is_dict}
        return AirflowValues(
            reader=unit.name, results=self._plan.results, tasks=tasks, variables=variables, dicts=dicts
        )

    # --- pipelines --------------------------------------------------------------------------------------------------

    def _write_pipeline(self, unit: PipelineUnit, rule: str) -> None:
        ids, pipeline = self._ids[unit.name], self._plan.pipelines[unit.name]
        deploy: list[tuple[str, Value]] = [
            ("task_id", ids.first),
            ("pipeline", self._definitions[unit.name]),
            ("pipeline_name", pipeline.name),
            ("role_arn", Code("ROLE")),
        ]
        if rule:
            deploy.append(("trigger_rule", rule))
        self._write_assignment(ids.first_variable, "SageMakerDeployPipelineOperator", deploy)
        values = self._make_values(unit)
        given: dict[str, Value] = {name: values.render(value) for name, value in pipeline.values.items()}
        run: list[tuple[str, Value]] = [
            ("task_id", ids.last),
            ("pipeline_name", Code(f'{ids.first_variable}.output["pipeline_name"]')),
            ("version", Code(f'{ids.first_variable}.output["pipeline_version_id"]')),
        ]
        outputs = self._plan.results.get_outputs(unit.name)
        if unit.loop is None:
            if given:
                run.append(("parameters", cast("Value", given)))
            if outputs:
                run.append(("outputs", escape_templates(outputs)))
            run.append(("deferrable", True))
            self._write_assignment(ids.variable, "SageMakerRunPipelineOperator", run)
        else:
            run.append(("deferrable", True))
            run.append(("max_active_tis_per_dagrun", unit.loop.max_concurrency))
            self._write_mapped_run(ids, run, values.render_list(unit.loop.items), pipeline.items, given)

    def _write_mapped_run(
        self,
        ids: _TaskNames,
        run: list[tuple[str, Value]],
        items: Value,
        fields: Mapping[str, str],
        given: dict[str, Value],
    ) -> None:
        self._body.helpers.add(_ITEMS[0])
        each = render_call(
            _ITEMS[0],
            [("", items), ("fields", escape_templates(dict(fields))), ("same", cast("Value", given))],
            depth=2,
            before=12,
        )
        partial = render_call("SageMakerRunPipelineOperator.partial", run, depth=1, before=len(ids.variable) + 3)
        self._write_line(f"{ids.variable} = {partial}.expand(")
        self._write_line(f"{INDENT}parameters={each},")
        self._write_line(")")

    # --- single tasks -----------------------------------------------------------------------------------------------

    def _write_task(self, unit: TaskUnit, rule: str) -> None:
        ids, node, values = self._ids[unit.name], unit.node, self._make_values(unit)
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        if isinstance(node, (CallNode, OperatorNode)):
            if node.retries:
                options.append(("retries", node.retries))
            if node.timeout_seconds is not None:
                options.append(("execution_timeout", self._render_seconds(node.timeout_seconds)))
        if isinstance(node, OperatorNode):
            line, name = render_import(node.operator)
            self._body.imports.add(line)
            given = [(key, values.render(value)) for key, value in node.arguments.items()]
            self._write_assignment(ids.variable, name, [*options[:1], *given, *options[1:]])
        elif isinstance(node, CallNode):
            self._write_call(ids, node, options, values)
        else:
            self._body.helpers.add(_FAIL[0])
            message = node.action if isinstance(node, MissingNode) else node.arguments.get("ErrorMessage", "")
            self._write_helper_call(ids.variable, _FAIL[0], options, [("", values.render(message))])

    def _write_call(
        self, ids: _TaskNames, node: CallNode, options: list[tuple[str, Value]], values: AirflowValues
    ) -> None:
        self._body.helpers.add(_CALL[0])
        given = values.render(node.arguments)
        called: list[tuple[str, Value]] = [
            ("", escape_templates(node.service)),
            ("", escape_templates(node.operation)),
            ("", given),
        ]
        self._write_helper_call(ids.first_variable, _CALL[0], options, called)
        if node.wait is not None:
            self._body.helpers.add(_WAIT[0])
            wait: list[tuple[str, Value]] = [
                ("", Code(ids.first_variable)),
                ("service", escape_templates(node.service)),
                ("operation", escape_templates(node.wait.operation)),
                ("arguments", escape_templates(dict(node.wait.arguments))),
                ("given", given),
                ("path", escape_templates(node.wait.path)),
                ("success", escape_templates(list(node.wait.success))),
                ("failure", escape_templates(list(node.wait.failure))),
            ]
            self._write_helper_call(ids.variable, _WAIT[0], [("task_id", ids.last)], wait)

    # --- choices ----------------------------------------------------------------------------------------------------

    def _write_choice(self, unit: ChoiceUnit, rule: str) -> None:
        self._body.imports.add("task")
        ids, values, tests = self._ids[unit.name], self._make_values(unit), BranchConditions()
        lines = []
        for conditions, inner in unit.branches:
            chosen: Value = list(self._find_first_ids(inner)) if inner else list(self._find_ids_after(unit))
            test = tests.render(conditions) if conditions else ""
            if test:
                lines.append(f"    if {test}:")
            lines.append(f"{'        ' if test else '    '}return {render_value(chosen, depth=3, before=7)}")
        if unit.branches[-1][0]:
            lines.append("    return []")
        function = self._names.claim(f"choose_{ids.variable}")
        options: list[tuple[str, Value]] = [("task_id", ids.first)]
        if rule:
            options.append(("trigger_rule", rule))
        self._write_line("")
        self._write_line(f"@{render_call('task.branch', options, depth=1, before=1)}")
        self._write_line(f"def {function}({', '.join(tests.arguments)}):")
        self._write_line(INDENT + render_docstring(" ".join(f"Choose the branch of {unit.node.source}.".split())))
        for line in lines:
            self._write_line(line)
        self._write_line("")
        given = [(name, values.render(value)) for name, value in tests.arguments.items()]
        self._write_assignment(ids.variable, function, given)

    def _find_ids_after(self, unit: ChoiceUnit) -> list[str]:
        """The ids of the first tasks after a choice."""
        return [
            self._ids[one.name].first
            for one in self._units.values()
            if any(upstream.unit == unit.name for upstream in one.upstream)
        ]

    # --- lines ------------------------------------------------------------------------------------------------------

    def _write_line(self, text: str) -> None:
        self._body.lines.append(INDENT + text if text else "")

    def _write_assignment(self, variable: str, function: str, arguments: Sequence[tuple[str, Value]]) -> None:
        self._write_line(f"{variable} = {render_call(function, arguments, depth=1, before=len(variable) + 3)}")

    def _write_helper_call(
        self,
        variable: str,
        helper: str,
        options: Sequence[tuple[str, Value]],
        arguments: Sequence[tuple[str, Value]],
    ) -> None:
        override = f"{helper}.override({', '.join(f'{name}={render_value(value)}' for name, value in options)})"
        self._write_assignment(variable, override, arguments)

    def _write_order(self, before: Sequence[str], first: str, last: str) -> None:
        """Note the order: the tasks before a unit, then the unit's own tasks."""
        chain = [f"[{', '.join(before)}]"] if len(before) > 1 else list(before)
        chain += [first] if first == last else [first, last]
        if len(chain) > 1:
            self._body.edges.append(INDENT + " >> ".join(chain))
