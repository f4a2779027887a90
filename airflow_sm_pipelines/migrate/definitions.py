"""The pipeline definition of a unit: its steps, and the parameters that bring in what others made."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.migrate.names import Names
from airflow_sm_pipelines.migrate.references import replace_expressions
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, StepNode, iter_nodes
from airflow_sm_pipelines.service_model import find_parameter_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import Dependency, JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.cutting import PipelineUnit
    from airflow_sm_pipelines.migrate.results import Results
    from airflow_sm_pipelines.migrate.workflow import Branch, Node

VERSION = "2020-12-01"

_ITEM = re.compile(r"ForEach\.CurrentItem(.*)\Z", re.DOTALL)
_OPERANDS = ("LeftValue", "RightValue", "QueryValue")


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """A pipeline of the migrated workflow.

    :param unit: the unit it does.
    :param name: of the pipeline.
    :param definition: its document.
    :param values: what each of its parameters is given, as an expression of the workflow.
    :param items: for a pipeline that runs once for each item: the item's field that each parameter is given; ``""``
        for the item itself.
    """

    unit: str
    name: str
    definition: JsonObject
    values: dict[str, JsonObject]
    items: dict[str, str] = field(default_factory=dict)


def plan_pipeline(
    unit: PipelineUnit, *, name: str, parameters: Mapping[str, Parameter], results: Results, names: Names
) -> PipelinePlan:
    """The pipeline that does a unit.

    :param parameters: of the workflow, by name.
    :param names: of the workflow's steps, to claim more from.
    """
    return _Writer(unit, parameters=parameters, results=results, names=names).plan(name)


class _Writer:
    def __init__(
        self, unit: PipelineUnit, *, parameters: Mapping[str, Parameter], results: Results, names: Names
    ) -> None:
        self._unit = unit
        self._known = parameters
        self._results = results
        self._names = names
        self._parameter_names = Names()
        for one in parameters:
            self._parameter_names.claim(one)
        self._own = {node.name for node in iter_nodes(unit.nodes)}
        self._parameters: dict[str, Parameter] = {}
        self._values: dict[str, JsonObject] = {}
        self._items: dict[str, str] = {}
        self._added: dict[tuple[str, str], str] = {}

    def plan(self, name: str) -> PipelinePlan:
        steps = self._steps(self._unit.nodes)
        definition: JsonObject = {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [one.to_json() for one in self._parameters.values()],
            "Steps": cast("list[JsonValue]", steps),
        }
        return PipelinePlan(self._unit.name, name, definition, self._values, self._items)

    def _steps(self, nodes: Sequence[Node]) -> list[JsonObject]:
        return [self._step(node) for node in nodes]

    def _step(self, node: Node) -> JsonObject:
        if isinstance(node, ChoiceNode):
            return self._condition(node.name, node.branches, node.after)
        if isinstance(node, LoopNode):
            body: JsonObject = {
                "IterableItems": self._translate(node.items, "", is_argument=False),
                "MaxConcurrency": node.max_concurrency,
                "Steps": cast("list[JsonValue]", self._steps(node.nodes)),
            }
            return {"Name": node.name, "Type": "ForEach", **body, **self._depends_on(node.after)}
        if not isinstance(node, StepNode):
            raise TypeError(f"{node.name} is no step")
        return {
            "Name": node.name,
            "Type": node.type,
            **cast("JsonObject", self._translate(node.members, node.type, is_argument=False)),
            "Arguments": self._translate(node.arguments, node.type, is_argument=True),
            **self._depends_on(node.after),
        }

    def _condition(self, name: str, branches: Sequence[Branch], after: tuple[Dependency, ...]) -> JsonObject:
        first, rest = branches[0], branches[1:]
        otherwise: list[JsonObject] = []
        if len(rest) == 1 and not rest[0].conditions:
            otherwise = self._steps(rest[0].nodes)
        elif rest:
            otherwise = [self._condition(self._names.claim(name), rest, ())]
        arguments: JsonObject = {
            "Conditions": [self._compare(condition) for condition in first.conditions],
            "IfSteps": cast("list[JsonValue]", self._steps(first.nodes)),
            "ElseSteps": cast("list[JsonValue]", otherwise),
        }
        return {"Name": name, "Type": "Condition", "Arguments": arguments, **self._depends_on(after)}

    def _compare(self, condition: JsonObject) -> JsonValue:
        """A condition with its operands translated; what a foreign operand is compared with tells its type."""
        literals = [condition.get(key) for key in _OPERANDS] + cast("list[JsonValue]", condition.get("Values") or [])
        expected = next(
            (_type_of(one) for one in literals if not isinstance(one, (dict, list)) and one is not None), "String"
        )
        translated: JsonObject = {}
        for key, value in condition.items():
            if key == "Conditions" and isinstance(value, list):
                translated[key] = [self._compare(cast("JsonObject", inner)) for inner in value]
            elif key == "Condition" and isinstance(value, dict):
                translated[key] = self._compare(value)
            else:
                translated[key] = self._translate(value, "", is_argument=False, otherwise=expected)
        return translated

    def _depends_on(self, after: tuple[Dependency, ...]) -> JsonObject:
        own = [one.to_json() for one in after if one.step in self._own]
        return {"DependsOn": own} if own else {}

    # --- what comes from elsewhere ----------------------------------------------------------------------------------

    def _translate(
        self, value: JsonValue, step_type: str, *, is_argument: bool, otherwise: str = "String"
    ) -> JsonValue:
        def replaced(expression: JsonObject, path: JsonPath) -> JsonValue | None:
            text = str(expression.get("Get", ""))
            item = _ITEM.match(text)
            if item is not None and self._unit.loop is not None:
                return self._parameter(expression, otherwise, field=item[1].lstrip("."))
            if text.startswith("Parameters."):
                self._declare(text.removeprefix("Parameters."))
                return None
            if self._results.find(expression, reader=self._unit.name) is None:
                return None
            wanted = (find_parameter_type(step_type, path) if is_argument else None) or otherwise
            return self._parameter(expression, wanted)

        return replace_expressions(value, replaced)

    def _declare(self, name: str) -> None:
        if name in self._known:
            self._parameters[name] = self._known[name]
            self._values[name] = {"Get": f"Parameters.{name}"}

    def _parameter(self, expression: JsonObject, type_name: str, *, field: str | None = None) -> JsonValue:
        """A parameter that brings in the value of an expression."""
        key = (json.dumps(expression, sort_keys=True), type_name)
        name = self._added.get(key)
        if name is None:
            wanted = f"Item-{field}" if field is not None else _name_of(expression)
            name = self._added[key] = self._parameter_names.claim(wanted, otherwise="Value")
            self._parameters[name] = Parameter(name, type_name)
            if field is None:
                self._values[name] = expression
            else:
                self._items[name] = field
        return {"Get": f"Parameters.{name}"}


def _type_of(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "Boolean"
    return "Float" if isinstance(value, (int, float)) else "String"


def _name_of(expression: JsonObject) -> str:
    """A name for the parameter that carries a value: the node's, and the last word of the path."""
    text = json.dumps(expression) if "Get" not in expression else str(expression["Get"])
    words = re.findall(r"[A-Za-z0-9_-]+", text.replace("Std:JsonGet", ""))
    node = words[words.index("Steps") + 1] if "Steps" in words else words[min(1, len(words) - 1)]
    return f"{node}-{words[-1]}" if words[-1] != node else node
