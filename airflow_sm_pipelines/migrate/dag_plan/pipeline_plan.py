"""Writes the pipeline definition of a unit: its steps, and the parameters that bring in the values of other units."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.node_references import (
    find_last_word,
    find_read_text,
    is_for_airflow,
    is_input,
    parse_node_reference,
    replace_expressions,
)
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, PipelineStepNode, iter_nodes
from airflow_sm_pipelines.service_model import find_parameter_type, find_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import Dependency, JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.dag_plan.node_results import Results
    from airflow_sm_pipelines.migrate.dag_plan.units import PipelineUnit
    from airflow_sm_pipelines.migrate.workflow import Branch, Node

VERSION = "2020-12-01"

_ITEM = re.compile(r"ForEach\.CurrentItem(.*)\Z", re.DOTALL)
_OPERANDS = ("LeftValue", "RightValue", "QueryValue")


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """A pipeline of the migrated workflow.

    :param unit: the name of the unit that it does.
    :param name: the pipeline's name.
    :param definition: the definition document.
    :param values: for each parameter, its value as an expression of the workflow.
    :param items: for a pipeline that runs once for each item, the field of the item that each parameter gets; ``""``
        for the item itself.
    :param bound: structures that are put into the definition before it is deployed, since no parameter can hold one: by
        the name in the definition's placeholder, ``"${Hyperparameters}"``, the expression for the value.
    """

    unit: str
    name: str
    definition: JsonObject
    values: dict[str, JsonObject]
    items: dict[str, str] = field(default_factory=dict)
    bound: dict[str, JsonObject] = field(default_factory=dict)


def plan_pipeline(
    unit: PipelineUnit,
    *,
    name: str,
    parameters: Mapping[str, Parameter],
    results: Results,
    names: ClaimedNames,
    has_run_id: bool = False,
) -> PipelinePlan:
    """Plan the pipeline that does a unit.

    :param parameters: the workflow's parameters, by name.
    :param results: of all units. The outputs that this pipeline reads from others are added.
    :param names: of the workflow's steps; the names of added steps are claimed from them.
    :param has_run_id: whether an id of the DAG's run stands in for that of the execution: the pipelines of one run
        have executions of their own, and paths made from their ids would not meet.
    """
    writer = _DefinitionWriter(unit, parameters=parameters, results=results, names=names, has_run_id=has_run_id)
    return writer.plan(name)


class _DefinitionWriter:
    def __init__(
        self,
        unit: PipelineUnit,
        *,
        parameters: Mapping[str, Parameter],
        results: Results,
        names: ClaimedNames,
        has_run_id: bool,
    ) -> None:
        self._unit = unit
        self._has_run_id = has_run_id
        self._loops = 0
        self._workflow_parameters = parameters
        self._results = results
        self._names = names
        self._parameter_names = ClaimedNames()
        for one in parameters:
            self._parameter_names.claim(one)
        self._own = {node.name for node in iter_nodes(unit.nodes)}
        self._parameters: dict[str, Parameter] = {}
        self._values: dict[str, JsonObject] = {}
        self._items: dict[str, str] = {}
        self._bound: dict[str, JsonObject] = {}
        self._parameter_of: dict[tuple[str, str], str] = {}

    def plan(self, name: str) -> PipelinePlan:
        steps = self._write_steps(self._unit.nodes)
        definition: JsonObject = {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [one.to_json() for one in self._parameters.values()],
            "Steps": cast("list[JsonValue]", steps),
        }
        return PipelinePlan(self._unit.name, name, definition, self._values, self._items, self._bound)

    def _write_steps(self, nodes: Sequence[Node]) -> list[JsonObject]:
        return [self._write_step(node) for node in nodes]

    def _write_step(self, node: Node) -> JsonObject:
        if isinstance(node, ChoiceNode):
            return self._write_condition(node.name, node.branches, node.after)
        if isinstance(node, LoopNode):
            return self._write_loop(node)
        if not isinstance(node, PipelineStepNode):
            raise TypeError(f"{node.name} is no step")
        return {
            "Name": node.name,
            "Type": node.type,
            **cast("JsonObject", self._translate(node.members, node.type, is_argument=False)),
            "Arguments": self._translate(node.arguments, node.type, is_argument=True),
            **self._write_dependencies(node.after),
        }

    def _write_loop(self, node: LoopNode) -> JsonObject:
        items = self._translate(node.items, "", is_argument=False)
        self._loops += 1
        body = self._write_steps(node.nodes)
        self._loops -= 1
        arguments: JsonObject = {
            "IterableItems": items,
            "MaxConcurrency": node.max_concurrency,
            "ForEachBody": cast("list[JsonValue]", body),
        }
        return {
            "Name": node.name,
            "Type": "ForEach",
            "Arguments": arguments,
            **self._write_dependencies(node.after),
        }

    def _write_condition(self, name: str, branches: Sequence[Branch], after: tuple[Dependency, ...]) -> JsonObject:
        first, rest = branches[0], branches[1:]
        otherwise: list[JsonObject] = []
        if len(rest) == 1 and not rest[0].conditions:
            otherwise = self._write_steps(rest[0].nodes)
        elif rest:
            otherwise = [self._write_condition(self._names.claim(name), rest, ())]
        arguments: JsonObject = {
            "Conditions": [self._translate_condition(condition) for condition in first.conditions],
            "IfSteps": cast("list[JsonValue]", self._write_steps(first.nodes)),
            "ElseSteps": cast("list[JsonValue]", otherwise),
        }
        return {"Name": name, "Type": "Condition", "Arguments": arguments, **self._write_dependencies(after)}

    def _translate_condition(self, condition: JsonObject) -> JsonValue:
        """A condition with its operands translated; a literal tells the type of the value that it is compared with."""
        literals = [condition.get(key) for key in _OPERANDS] + cast("list[JsonValue]", condition.get("Values") or [])
        expected = next(
            (_find_literal_type(one) for one in literals if not isinstance(one, (dict, list)) and one is not None),
            "String",
        )
        translated: JsonObject = {}
        for key, value in condition.items():
            if key == "Conditions" and isinstance(value, list):
                translated[key] = [self._translate_condition(cast("JsonObject", inner)) for inner in value]
            elif key == "Condition" and isinstance(value, dict):
                translated[key] = self._translate_condition(value)
            else:
                translated[key] = self._translate(value, "", is_argument=False, otherwise=expected)
        return translated

    def _write_dependencies(self, after: tuple[Dependency, ...]) -> JsonObject:
        own = [one.to_json() for one in after if one.step in self._own]
        return {"DependsOn": own} if own else {}

    # --- values of other units ----------------------------------------------------------------------------------

    def _translate(
        self, value: JsonValue, step_type: str, *, is_argument: bool, otherwise: str = "String"
    ) -> JsonValue:
        def replaced(expression: JsonObject, path: JsonPath) -> JsonValue | None:
            text = str(expression.get("Get", ""))
            item = _ITEM.match(text)
            if item is not None and self._unit.loop is not None and not self._loops:
                return self._refer_to_parameter(expression, otherwise, field=item[1].lstrip("."))
            if text.startswith("Parameters."):
                self._declare(text.removeprefix("Parameters."))
                return None
            if not self._comes_from_airflow(expression):
                return None
            shape = find_shape(step_type, path) if is_argument else None
            if shape is not None and shape.type_name in ("structure", "list", "map"):
                return self._bind(expression)
            wanted = (find_parameter_type(step_type, path) if is_argument else None) or otherwise
            return self._refer_to_parameter(expression, wanted)

        return replace_expressions(value, replaced)

    def _comes_from_airflow(self, expression: JsonObject) -> bool:
        """Whether Airflow gives a value to the pipeline, as a parameter."""
        text = str(expression.get("Get", ""))
        if text == "Execution.PipelineExecutionId":
            return self._has_run_id
        if is_for_airflow(expression) or is_input(text):
            return True
        if _ITEM.match(text):
            return not self._loops  # the item of a loop that Airflow repeats
        return self._results.find(expression, reader=self._unit.name) is not None

    def _bind(self, expression: JsonObject) -> JsonValue:
        """A placeholder for a structure; it is put there before the definition is deployed."""
        known = next((name for name, one in self._bound.items() if one == expression), None)
        if known is None:
            known = self._parameter_names.claim(_make_name(expression), otherwise="Value")
            self._bound[known] = expression
        return f"${{{known}}}"

    def _declare(self, name: str) -> None:
        if name in self._workflow_parameters:
            self._parameters[name] = self._workflow_parameters[name]
            self._values[name] = {"Get": f"Parameters.{name}"}

    def _refer_to_parameter(self, expression: JsonObject, type_name: str, *, field: str | None = None) -> JsonValue:
        """A reference to the parameter that brings in the value of an expression; the parameter is added if new."""
        key = (json.dumps(expression, sort_keys=True), type_name)
        name = self._parameter_of.get(key)
        if name is None:
            wanted = f"Item-{field}" if field is not None else _make_name(expression)
            name = self._parameter_of[key] = self._parameter_names.claim(wanted, otherwise="Value")
            self._parameters[name] = Parameter(name, type_name)
            if field is None:
                self._values[name] = expression
            else:
                self._items[name] = field
        return {"Get": f"Parameters.{name}"}


def _find_literal_type(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "Boolean"
    return "Float" if isinstance(value, (int, float)) else "String"


def _make_name(expression: JsonObject) -> str:
    """A name for the parameter that brings in a value: the node's, and the last word of the path."""
    if expression == {"Get": "Execution.PipelineExecutionId"}:
        return "RunId"
    reference, word = parse_node_reference(find_read_text(expression)), find_last_word(expression)
    node = word if reference is None else reference[1]
    return f"{node}-{word}" if word != node else node
