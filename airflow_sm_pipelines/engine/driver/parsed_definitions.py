"""Parsed definitions with their graphs, kept by hash, so that each is parsed only once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep, build_graph, parse_definition

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import PipelineDefinition, Step, StepGraph
    from airflow_sm_pipelines.engine.store import VersionRecord


@dataclass(frozen=True, slots=True)
class ParsedDefinition:
    """A definition and the graph of its steps."""

    definition: PipelineDefinition
    graph: StepGraph

    def declared_step(self, name: str, *, parent: str | None = None) -> Step:
        """The step of an execution as the definition declares it.

        :param parent: the ForEach step that made it, if one did.
        """
        if parent is None:
            return self.graph.nodes[name].step
        container = self.graph.nodes[parent].step
        body_name = name.rpartition("-")[0]
        body = container.body if isinstance(container, ForEachStep) else ()
        return next(step for step in body if step.name == body_name)


class ParsedDefinitions:
    """The most recently used parsed definitions.

    :param capacity: how many are kept.
    """

    def __init__(self, *, capacity: int = 64) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, ParsedDefinition] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, version: VersionRecord) -> ParsedDefinition:
        """The parsed definition of a pipeline version."""
        with self._lock:
            if version.hash in self._entries:
                self._entries.move_to_end(version.hash)
                return self._entries[version.hash]
        definition = parse_definition(version.definition, name=f"Pipeline {version.pipeline}")
        parsed = ParsedDefinition(definition, build_graph(definition))
        with self._lock:
            self._entries[version.hash] = parsed
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
        return parsed
