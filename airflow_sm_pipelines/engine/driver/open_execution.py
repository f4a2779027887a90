"""What the driver keeps in memory about an execution that has not ended. It can read all of it from the store again."""

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
class OpenExecution:
    """An execution that has not ended.

    :param selected: the only steps that may start; None means all.
    :param outcomes: what each evaluated Condition step found.
    :param stops: by step that has begun, the event that asks it to stop.
    :param queued: the steps that a worker performs or will perform.
    :param fan_outs: the ForEach steps that have their items, by name.
    :param iterations: the iteration of each step that a ForEach step made.
    :param is_stale: whether ``schedule`` must be made again from the store.
    :param schedule: the statuses of the steps, as far as the driver knows.
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

    def reset_schedule(self, statuses: Mapping[str, StepStatus]) -> None:
        """Make the schedule again from these statuses."""
        self.schedule = Schedule(self.parsed.graph, statuses=statuses, outcomes=self.outcomes, selected=self.selected)
        for name, fan_out in self.fan_outs.items():
            self.schedule.add_fan_out(name, fan_out)
        self.is_stale = False

    def set_outcome(self, name: str, *, is_true: bool) -> None:
        """Record what a Condition step found."""
        self.outcomes[name] = is_true
        if not self.is_stale:
            self.schedule.set_outcome(name, is_true=is_true)

    def fan_out(self, name: str, items: Iterable[JsonValue]) -> None:
        """Add the steps that a ForEach step makes for its items."""
        step = self.parsed.graph.nodes[name].step
        if isinstance(step, ForEachStep):
            self.fan_outs[name] = plan_fan_out(step, items)
            self.iterations.update(self.fan_outs[name].iterations)
            if not self.is_stale:
                self.schedule.add_fan_out(name, self.fan_outs[name])

    def find_step(self, name: str) -> tuple[Step, Iteration | None]:
        """A step of the definition, or a step that a ForEach step made and its iteration."""
        iteration = self.iterations.get(name)
        graph = self.parsed.graph if iteration is None else self.fan_outs[iteration.parent].graph
        return graph.nodes[name].step, iteration

    def stop_all(self) -> None:
        """Ask every step that has begun to stop."""
        for stop in self.stops.values():
            stop.set()
