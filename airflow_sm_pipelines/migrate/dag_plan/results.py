"""Where Airflow has the result of each node: as an output of a pipeline's task, or as what a task returns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.dag_plan.units import BranchUnit, PipelineUnit, iter_units
from airflow_sm_pipelines.migrate.references import parse_node_reference
from airflow_sm_pipelines.migrate.workflow import iter_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.dag_plan.units import Unit


@dataclass(frozen=True, slots=True)
class Result:
    """A value that another unit made.

    :param unit: which one.
    :param key: of the output, where a pipeline made it.
    :param path: what follows the node's name, where a task made it: ``.Count`` or nothing.
    """

    unit: str
    key: str = ""
    path: str = ""


class Results:
    """Which unit made what; each pipeline's outputs grow as others ask for them."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._owner: dict[str, Unit] = {}
        self._ways: dict[str, tuple[tuple[str, int], ...]] = {}
        self._outputs: dict[str, dict[str, JsonValue]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        for unit in iter_units(units):
            if isinstance(unit, PipelineUnit):
                self._outputs[unit.name] = {}
                for node in iter_nodes(unit.nodes):
                    self._owner[node.name] = unit
            elif not isinstance(unit, BranchUnit):
                self._owner[unit.node.name] = unit
        self._note_ways(units, ())

    def _note_ways(self, units: Sequence[Unit], ways: tuple[tuple[str, int], ...]) -> None:
        for unit in units:
            self._ways[unit.name] = ways
            if isinstance(unit, BranchUnit):
                for index, (_, inner) in enumerate(unit.ways):
                    self._note_ways(inner, (*ways, (unit.name, index)))

    def find(self, expression: JsonObject, *, reader: str) -> Result | None:
        """Where another unit than the reader has the value of an expression; None for all other expressions."""
        text, spec = _name_and_spec(expression)
        reference = parse_node_reference(text)
        if reference is None:
            return None
        namespace, node, tail = reference
        owner = self._owner.get(node)
        if owner is None or owner.name == reader:
            return None
        if namespace == "Tasks" or not isinstance(owner, PipelineUnit):
            return Result(owner.name, path=tail)
        return Result(owner.name, key=self._key(owner.name, node, spec))

    def _key(self, unit: str, node: str, spec: JsonValue) -> str:
        known = self._keys.get((unit, repr(spec)))
        if known is not None:
            return known
        last = re.findall(r"[A-Za-z0-9_-]+", spec if isinstance(spec, str) else str(_member(spec, "path")))[-1]
        base = re.sub(r"\W+", "_", f"{node}_{last}")
        key, number = base, 1
        while key in self._outputs[unit]:
            number += 1
            key = f"{base}_{number}"
        self._keys[unit, repr(spec)] = key
        self._outputs[unit][key] = spec
        return key

    def outputs_of(self, unit: str) -> dict[str, JsonValue]:
        """What others read of a pipeline, as the run operator's ``outputs``."""
        return dict(self._outputs[unit])

    def is_certain(self, unit: str, *, reader: str) -> bool:
        """Whether the unit has always run when the reader runs: each branch around it is around the reader too."""
        ways = self._ways[unit]
        return self._ways[reader][: len(ways)] == ways


def _name_and_spec(expression: JsonObject) -> tuple[str, JsonValue]:
    """The text that names the node, and how the run operator reads the value."""
    text = expression.get("Get")
    if isinstance(text, str):
        return text, text
    body = expression.get("Std:JsonGet")
    file = _member(body, "PropertyFile")
    text = _member(file, "Get")
    if not isinstance(text, str):
        return "", None
    return text, {"property_file": text, "path": _member(body, "Path")}


def _member(value: JsonValue, key: str) -> JsonValue:
    return value.get(key) if isinstance(value, dict) else None
