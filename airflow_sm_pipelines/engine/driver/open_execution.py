"""What the driver keeps in memory of an open execution; all of it can be read again from the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import ForEachStep
from airflow_sm_pipelines.engine.rules.fan_out import FanOut, Iteration, plan_fan_out
from airflow_sm_pipelines.engine.rules.scheduler import Schedule

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future

    from airflow_sm_pipelines.definition import JsonValue, Step
    from airflow_sm_pipelines.definition.status import StepStatus
    from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinition


@dataclass(slots=True)
class LiveExecution:
    """An open execution.

    :param selected: the only steps that may start; None means all.
    :param is_stale: whether ``schedule`` must be made anew of what the store has.
    :param schedule: the steps' statuses, as far as the driver knows.
    :param stops: what asks each begun step to stop.
    :param queued: the begun steps that a worker performs, or will.
    :param fan_outs: the ForEach steps that have their items, by name.
    """

    parsed: ParsedDefinition
    selected: frozenset[str] | None
    outcomes: dict[str, bool]
    stops: dict[str, threading.Event] = field(default_factory=dict)
    queued: dict[str, Future[Any]] = field(default_factory=dict)
    fan_outs: dict[str, FanOut] = field(default_factory=dict)
    iterations: dict[str, Iteration] = field(default_factory=dict)
    is_stale: bool = True
    schedule: Schedule = field(init=False)

    def refresh(self, statuses: Mapping[str, StepStatus]) -> None:
        """Begin again with these statuses."""
        self.schedule = Schedule(self.parsed.graph, statuses=statuses, outcomes=self.outcomes, selected=self.selected)
        for name, fan_out in self.fan_outs.items():
            self.schedule.fan_out(name, fan_out)
        self.is_stale = False

    def note_outcome(self, name: str, *, is_true: bool) -> None:
        """Know what a Condition step found."""
        self.outcomes[name] = is_true
        if not self.is_stale:
            self.schedule.note_outcome(name, is_true=is_true)

    def fan_out(self, name: str, items: Iterable[JsonValue]) -> None:
        """Know the steps that a ForEach step makes of its items."""
        step = self.parsed.graph.nodes[name].step
        if isinstance(step, ForEachStep):
            self.fan_outs[name] = plan_fan_out(step, items)
            self.iterations.update(self.fan_outs[name].iterations)
            if not self.is_stale:
                self.schedule.fan_out(name, self.fan_outs[name])

    def find_step(self, name: str) -> tuple[Step, Iteration | None]:
        """A step of the definition, or one that a ForEach step makes, and its iteration."""
        iteration = self.iterations.get(name)
        graph = self.parsed.graph if iteration is None else self.fan_outs[iteration.parent].graph
        return graph.nodes[name].step, iteration

    def stop_all(self) -> None:
        """Ask everything that runs to stop."""
        for stop in self.stops.values():
            stop.set()
