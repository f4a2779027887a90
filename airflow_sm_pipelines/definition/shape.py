"""The shape of a pipeline: the names and types of its steps, and which step waits for which. Nothing else.

A shape is the same for every account, role, parameter and edit of a step's code, so it can lie in the repository beside
the script. A DAG file reads it while it is parsed and makes a task of each step, without building the pipeline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import list_names
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition.graph import StepGraph
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition

SHAPE_VERSION = 1
"""The version of the file's form; a file of another version is refused."""


@dataclass(frozen=True, slots=True)
class StepShape:
    """One step.

    :param name: as the definition has it; of a ForEach step, the step itself, not those of its body.
    :param type: the step's type, as ``Training``.
    :param waits_for: the steps that must end before it can start.
    :param after_failure: those of them after whose failure it runs as well.
    :param branches: the Condition steps in whose branches it stands, outermost first, each with the outcome by which it
        runs.
    """

    name: str
    type: str
    waits_for: tuple[str, ...] = ()
    after_failure: tuple[str, ...] = ()
    branches: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineShape:
    """The steps of a pipeline, each after all that it waits for."""

    steps: tuple[StepShape, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, in their order."""
        return tuple(step.name for step in self.steps)

    def downstream(self, names: frozenset[str] | set[str]) -> frozenset[str]:
        """These steps, and all that wait for one of them, directly or through others."""
        found = set(names)
        for step in self.steps:
            if not found.isdisjoint(step.waits_for):
                found.add(step.name)
        return frozenset(found)

    def needs(self, names: frozenset[str] | set[str]) -> frozenset[str]:
        """The other steps for which one of these waits directly."""
        return frozenset(one for step in self.steps if step.name in names for one in step.waits_for) - set(names)


def make_shape(definition: PipelineDefinition) -> PipelineShape:
    """The shape of a definition."""
    from airflow_sm_pipelines.definition.graph import build_graph  # not while a DAG file is parsed, which reads a shape

    graph = build_graph(definition)
    steps = []
    for name in graph.order:
        node = graph.nodes[name]
        after = {one.step for one in node.upstream if one.trigger != "Completed"}
        waits_for = tuple(sorted(node.waits_for))
        after_failure = tuple(one for one in waits_for if one in after)
        steps.append(StepShape(name, str(node.step.type), waits_for, after_failure, _find_branches(graph, name)))
    return PipelineShape(tuple(steps))


def _find_branches(graph: StepGraph, name: str) -> tuple[tuple[str, bool], ...]:
    node = graph.nodes[name]
    if node.parent is None:
        return ()
    return (*_find_branches(graph, node.parent), (node.parent, node.branch == "If"))


def render_shape(shape: PipelineShape) -> str:
    """The shape as the text of a file: JSON, a line for each step, so that a diff can be read."""
    lines = []
    for step in shape.steps:
        entry: dict[str, Any] = {"name": step.name, "type": step.type, "waits_for": list(step.waits_for)}
        if step.after_failure:
            entry["after_failure"] = list(step.after_failure)
        if step.branches:
            entry["branches"] = [{"condition": name, "outcome": outcome} for name, outcome in step.branches]
        lines.append(f"    {json.dumps(entry, ensure_ascii=False)}")
    steps = ",\n".join(lines)
    return f'{{\n  "shape_version": {SHAPE_VERSION},\n  "steps": [\n{steps}\n  ]\n}}\n'


def parse_shape(text: str | bytes, *, name: str) -> PipelineShape:
    """The shape in a file's text.

    :param name: what to call it in messages.
    :raises DefinitionError: if it is no shape.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DefinitionError(f"{name} is no JSON: {error}. Write it with `sm-pipelines shape`.") from None
    if not isinstance(document, dict) or document.get("shape_version") != SHAPE_VERSION:
        raise DefinitionError(
            f"{name} is no shape of a pipeline: expected an object with 'shape_version': {SHAPE_VERSION}. "
            "Write it with `sm-pipelines shape`."
        )
    entries = document.get("steps")
    if not isinstance(entries, list) or not entries:
        raise DefinitionError(f"{name}: expected a list of at least one step in 'steps'.")
    steps: list[StepShape] = []
    known: set[str] = set()
    for entry in entries:
        step = _parse_step(entry, name=name)
        unknown = [one for one in step.waits_for if one not in known]
        if unknown or step.name in known:
            what = "stands twice" if step.name in known else f"waits for {list_names(unknown)}, not before it"
            raise DefinitionError(f"{name}: step '{step.name}' {what}. Write it anew with `sm-pipelines shape`.")
        known.add(step.name)
        steps.append(step)
    return PipelineShape(tuple(steps))


def _parse_step(entry: Mapping[str, Any], *, name: str) -> StepShape:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "type")):
        raise DefinitionError(f"{name}: expected steps with a 'name' and a 'type', found {entry!r}.")
    lists = []
    for key in ("waits_for", "after_failure"):
        value = entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise DefinitionError(f"{name}: step '{entry['name']}': expected a list of names in '{key}'.")
        lists.append(tuple(value))
    waits_for, after_failure = lists
    return StepShape(entry["name"], entry["type"], waits_for, after_failure, _parse_branches(entry, name=name))


def _parse_branches(entry: Mapping[str, Any], *, name: str) -> tuple[tuple[str, bool], ...]:
    branches = entry.get("branches", [])
    try:
        found = tuple((str(one["condition"]), one["outcome"]) for one in branches)
    except (KeyError, TypeError):
        found = (("", None),)
    if not all(isinstance(outcome, bool) for _, outcome in found):
        raise DefinitionError(
            f"{name}: step '{entry['name']}': expected a 'condition' and an 'outcome' in each entry of 'branches'."
        )
    return found


def find_shape_changes(expected: PipelineShape, found: PipelineShape) -> list[str]:
    """How one shape differs from another, a line for each difference; empty if they are the same.

    :param expected: the file's.
    :param found: the pipeline's.
    """
    before, after = ({step.name: step for step in shape.steps} for shape in (expected, found))
    changes = [f"step '{name}' is new" for name in after if name not in before]
    changes += [f"step '{name}' is gone" for name in before if name not in after]
    for name, step in before.items():
        other = after.get(name)
        if other is None or other == step:
            continue
        if other.type != step.type:
            changes.append(f"step '{name}' is of type {other.type}, not {step.type}")
        if other.branches != step.branches:
            changes.append(f"step '{name}' stands in another branch")
        if (other.waits_for, other.after_failure) != (step.waits_for, step.after_failure):
            changes.append(
                f"step '{name}' waits for {list_names(other.waits_for)}, not for {list_names(step.waits_for)}"
                if other.waits_for != step.waits_for
                else f"step '{name}' runs after other failures than before"
            )
    return changes
