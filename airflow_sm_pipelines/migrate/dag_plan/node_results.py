"""Tells where Airflow has the result of each node: in an output of a pipeline's task, or in what a task returns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.dag_plan.units import (
    ChoiceUnit,
    LoopUnit,
    PipelineUnit,
    TaskUnit,
    TryUnit,
    iter_units,
)
from airflow_sm_pipelines.migrate.names import find_free_name
from airflow_sm_pipelines.migrate.node_references import (
    find_json_path,
    find_last_word,
    find_read_text,
    parse_node_reference,
)
from airflow_sm_pipelines.migrate.workflow import CallNode, LoopNode, ValueNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.dag_plan.units import Unit


ERROR_KEY = "error"
"""The XCom in which the task that looks how work has ended leaves the error for a handler."""


@dataclass(frozen=True, slots=True)
class Result:
    """A value that another unit made.

    :param unit: the unit's name.
    :param key: the key of the output, if a pipeline made it; ``error`` for a caught error.
    :param path: what follows the node's name in the reference, if a task made it: ``.Count``, or nothing.
    """

    unit: str
    key: str = ""
    path: str = ""


def _is_whole(unit: Unit) -> bool:
    """Whether a task gives its result as one XCom, of which only a template takes a part: a sensor, a loop, a value."""
    node = unit.node if isinstance(unit, (TaskUnit, LoopUnit)) else None
    is_sensor = isinstance(node, CallNode) and (node.wait is not None or node.repeat is not None)
    return is_sensor or isinstance(node, (LoopNode, ValueNode))


class Results:
    """Which unit made which value. A pipeline gets an output for each of its values that another unit asks for."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._owner: dict[str, Unit] = {}
        self._branches: dict[str, tuple[tuple[str, int], ...]] = {}
        self._outputs: dict[str, dict[str, JsonValue]] = {}
        self._keys: dict[tuple[str, str, str | None], str] = {}
        self._loops: dict[str, str] = {}
        for unit in iter_units(units):
            if isinstance(unit, PipelineUnit):
                self._outputs[unit.name] = {}
                for node in iter_nodes(unit.nodes):
                    self._owner[node.name] = unit
            elif isinstance(unit, TaskUnit):
                self._owner.update(dict.fromkeys((unit.node.name, *unit.lost), unit))
            elif isinstance(unit, (TryUnit, LoopUnit)):
                self._owner[unit.name] = unit
        self._note_branches(units, ())

    def _note_branches(self, units: Sequence[Unit], around: tuple[tuple[str, int], ...]) -> None:
        for unit in units:
            self._branches[unit.name] = around
            if isinstance(unit, LoopUnit):
                inside = (*around, (unit.name, 0))
                self._loops.update((inner.name, unit.name) for inner in iter_units(unit.body))
                self._note_branches(unit.body, inside)
            if isinstance(unit, TryUnit):
                # A handler runs without the results of the work, so the work is like a branch of its own.
                self._note_branches(unit.body, (*around, (unit.name, -1)))
            if isinstance(unit, (ChoiceUnit, TryUnit)):
                for index, (_, inner) in enumerate(unit.branches):
                    self._note_branches(inner, (*around, (unit.name, index)))

    def find(self, expression: JsonObject, *, reader: str) -> Result | None:
        """Where another unit than the reader has the value of an expression; None for all other expressions."""
        reference = parse_node_reference(find_read_text(expression))
        if reference is None:
            return None
        namespace, node, tail = reference
        if tail.startswith(".PropertyFiles.") and find_json_path(expression) is None:
            return None  # the file that Std:JsonGet reads, not a value
        owner = self._owner.get(node)
        if owner is None or owner.name == reader:
            return None
        if namespace == "Errors":
            return Result(owner.name, key=ERROR_KEY, path=tail)
        if namespace == "Tasks" or not isinstance(owner, PipelineUnit):
            return Result(owner.name, path=tail)
        return Result(owner.name, key=self._claim_key(owner.name, node, expression))

    def _claim_key(self, unit: str, node: str, expression: JsonObject) -> str:
        """The key of the output that gives a value; added to the unit's outputs at the first request."""
        file, path = find_read_text(expression), find_json_path(expression)
        known = self._keys.get((unit, file, path))
        if known is not None:
            return known
        outputs = self._outputs[unit]
        base = re.sub(r"\W+", "_", f"{node}_{find_last_word(expression)}")
        key = find_free_name(base, outputs.__contains__, separator="_")
        self._keys[unit, file, path] = key
        outputs[key] = file if path is None else {"property_file": file, "path": path}
        return key

    def get_outputs(self, unit: str) -> dict[str, JsonValue]:
        """The values that others read from a pipeline, as the run operator's ``outputs``."""
        return dict(self._outputs[unit])

    def is_certain(self, unit: str, *, reader: str) -> bool:
        """Whether the unit has always run before the reader, and is skipped only where the reader is, too.

        Airflow counts a task whose result is taken directly as one to wait for. One outside the reader's branch would
        let a task run that follows a choice in a branch that was not taken.
        """
        owner = self._owner[unit]
        return self._branches[reader] == self._branches[unit] and not _is_whole(owner)

    def find_loop(self, unit: str) -> str | None:
        """The loop that Airflow repeats and that has a unit in it."""
        return self._loops.get(unit)
