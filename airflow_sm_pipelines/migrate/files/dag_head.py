"""The head of a DAG file: what it imports, the role, and the DAG with its params."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import MISSING
from airflow_sm_pipelines.definition.parameters import SCHEMA_TYPES
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.migrate.files.python_text import (
    Code,
    Value,
    quote_jinja,
    quote_python,
    render_call,
    render_docstring,
    render_value,
)

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import Parameter
    from airflow_sm_pipelines.migrate.dag_plan.dag import DagPlan
    from airflow_sm_pipelines.migrate.workflow import InputField

DEFAULT_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/SageMakerExecution"
"""The role if the source names none; it serves for runs on one's own machine, which has no roles."""

HELPERS = (
    *("CombineItemsOperator", "NumberItemsOperator", "ReadItemsOperator", "UploadComponentsOperator", "WaitOperator"),
    *("answer_text", "bind_definition", "call_aws", "choose_by_outcome", "collect_items", "fail", "give_value"),
    *("holds", "invoke_lambda", "lay_over", "list_items", "make_call", "only_if_chosen", "parameters_of_items", "poke"),
    "wait_for",
)
"""What a DAG file may import from :mod:`airflow_sm_pipelines.migrated_tasks`."""

_QUERIES = "airflow_sm_pipelines.migrated_queries"
MACROS = ("query_json", "query_jsonata")
"""What templates call, of :mod:`airflow_sm_pipelines.migrated_queries`."""

SDK_NAMES = ("task", "task_group")
"""What a DAG file may import from :mod:`airflow.sdk`, besides ``DAG`` and ``Param``."""


@dataclass(slots=True)
class DagBody:
    """The lines inside the DAG, and what they need above it.

    :ivar edges: the lines at the end that put the tasks in order.
    :ivar helpers: what the file imports from :mod:`airflow_sm_pipelines.migrated_tasks`.
    :ivar imports: other lines that import something, and names of :data:`SDK_NAMES`.
    """

    lines: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)


def render_seconds(body: DagBody, seconds: float) -> Code:
    """A time as ``timedelta``."""
    body.imports.add("from datetime import timedelta")
    return Code(f"timedelta(seconds={render_value(int(seconds) if seconds == int(seconds) else seconds)})")


def _import_order(name: str) -> tuple[bool, str]:
    """Names as an import has them: classes first."""
    return not name[0].isupper(), name


def render_head(plan: DagPlan, body: DagBody, doc: str) -> str:
    """What stands above the tasks: imports, the role, and the DAG with its params.

    :param body: is written before; it says what is imported.
    """
    from_sdk = ["DAG"]
    if plan.workflow.parameters or plan.workflow.inputs:
        from_sdk.append("Param")
    from_sdk += [name for name in SDK_NAMES if name in body.imports]
    with_dag = _render_with_dag(plan, body)
    parts = [f"{render_docstring(doc)}\n\n"]
    standard = sorted(one for one in body.imports if one.startswith("from datetime"))
    parts.extend(f"{one}\n" for one in standard)
    parts.append("\n" if standard else "")
    others = [f"from airflow.sdk import {', '.join(from_sdk)}"]
    queries = [one for one in body.imports if one.startswith(f"from {_QUERIES} ")]
    others += [one for one in body.imports if one.startswith("from ") and one not in (*standard, *queries)]
    parts.extend(f"{one}\n" for one in sorted(others))
    if plan.pipelines or body.helpers or queries:
        parts.append("\n")
    if plan.pipelines:
        parts.append("from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator\n")
    parts.extend(f"{one}\n" for one in queries)
    if body.helpers:
        helpers = ", ".join(sorted(body.helpers, key=_import_order))
        parts.append(f"from airflow_sm_pipelines.migrated_tasks import {helpers}\n")
    if plan.pipelines:
        default = quote_jinja(plan.role_arn or DEFAULT_ROLE)
        role = quote_python(f"{{{{ var.value.get('sagemaker_role_arn', {default}) }}}}")
        parts.append(f"\nROLE = {role}\n")
    parts.append("\n")
    parts.append(with_dag)
    return "".join(parts)


def _render_with_dag(plan: DagPlan, body: DagBody) -> str:
    workflow = plan.workflow
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
        arguments.append(("dagrun_timeout", render_seconds(body, workflow.timeout_seconds)))
    params: dict[str, Value] = {
        one.name: _render_param(one, is_scheduled=workflow.schedule is not None) for one in workflow.parameters
    }
    params |= {one.name: _render_input(one) for one in workflow.inputs}
    if params:
        arguments.append(("params", params))
    macros = [name for name in MACROS if any(f"{name}(" in line for line in (*body.lines, *body.edges))]
    if macros:
        body.imports.add(f"from {_QUERIES} import {', '.join(macros)}")
        arguments.append(("user_defined_macros", {name: Code(name) for name in macros}))
    return f"with {render_call('DAG', arguments, depth=0, before=6)}:\n"


def _render_param(parameter: Parameter, *, is_scheduled: bool) -> Code:
    kind = SCHEMA_TYPES.get(parameter.type, "string")
    arguments: list[tuple[str, Value]] = []
    types: Value = kind
    if parameter.default is not MISSING:
        arguments.append(("", cast("Value", parameter.default)))
    elif is_scheduled:
        # A DAG with a schedule needs a value for each param. The run operator checks the parameters once more.
        arguments.append(("", None))
        types = ["null", kind]
    arguments.append(("type", types))
    if parameter.enum_values:
        arguments.append(("enum", cast("Value", list(parameter.enum_values))))
    return Code(render_call("Param", arguments, depth=2, before=len(parameter.name) + 5))


def _render_input(field: InputField) -> Code:
    """A param that may be anything, as a member of a JSON document may."""
    given: list[tuple[str, Value]] = [] if field.default is MISSING else [("", cast("Value", field.default))]
    return Code(render_call("Param", given, depth=2, before=len(field.name) + 5))
