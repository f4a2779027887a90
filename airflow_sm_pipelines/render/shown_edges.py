"""Chooses the edges of a pipeline's graph that a picture shows, without those that others imply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.render.labels import BRANCH_LABELS

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import StepGraph
    from airflow_sm_pipelines.definition.shape import PipelineShape


@dataclass(frozen=True, slots=True)
class ShownEdge:
    """A line from one step to another.

    :param label: ``true`` or ``false`` at a condition's branches; ``Failed``, ``Stopped`` or ``Any`` if the source must
        end so.
    """

    source: str
    target: str
    label: str = ""


def find_shown_edges(graph: StepGraph) -> tuple[ShownEdge, ...]:
    """The edges to draw. An edge without a label is left out if a longer path connects the same steps."""
    ancestors: dict[str, set[str]] = {}
    shown = []
    for name in graph.order:
        node = graph.nodes[name]
        upstream = node.waits_for
        ancestors[name] = set(upstream).union(*(ancestors[other] for other in upstream))
        triggers = {item.step: item.trigger for item in node.upstream if item.trigger != "Completed"}
        for other in upstream:
            label = triggers.get(other, "")
            if other == node.parent:
                label = BRANCH_LABELS.get(node.branch or "", "")
            if label or not any(other in ancestors[near] for near in upstream):
                shown.append(ShownEdge(other, name, label))
    return tuple(shown)


def find_shape_edges(shape: PipelineShape) -> tuple[ShownEdge, ...]:
    """The same for a pipeline of which only the shape is known."""
    ancestors: dict[str, set[str]] = {}
    shown = []
    for step in shape.steps:
        ancestors[step.name] = set(step.waits_for).union(*(ancestors[other] for other in step.waits_for))
        parent, outcome = step.branches[-1] if step.branches else (None, None)
        for other in step.waits_for:
            label = "Failed" if other in step.after_failure else ""
            if other == parent:
                label = BRANCH_LABELS["If" if outcome else "Else"]
            if label or not any(other in ancestors[near] for near in step.waits_for):
                shown.append(ShownEdge(other, step.name, label))
    return tuple(shown)
