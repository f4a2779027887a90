"""A state machine against the DAG that was made of it: runs both with the same scripts, and says where they differ."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.judge import judge
from airflow_sm_pipelines.comparison.machine_run import MachineRunner
from airflow_sm_pipelines.comparison.normal_form import read_dag_events, read_machine_events
from airflow_sm_pipelines.comparison.run_choice import MAX_RUNS, ChosenRuns, choose_runs
from airflow_sm_pipelines.comparison.scripts import Assignment, Resource, ScriptWriter, find_choices
from airflow_sm_pipelines.comparison.traces import Trace
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.dag_plan.dag import plan_dag
from airflow_sm_pipelines.migrate.files.static_check import find_lost_order
from airflow_sm_pipelines.migrate.stepfunctions.document_values import UnsupportedError
from airflow_sm_pipelines.migrate.stepfunctions.machine import parse_machine
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import CallbackResource, read_resource
from airflow_sm_pipelines.migrate.workflow import CallNode, MissingNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.documents.placeholders import Variables
    from airflow_sm_pipelines.migrate.report import Migration
    from airflow_sm_pipelines.migrate.stepfunctions.machine import Machine
    from airflow_sm_pipelines.migrate.stepfunctions.machine_files import HeldMachine

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_KNOWN = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
}
_MAX_EVENTS = 200
"""More calls than this in one run are a circle that no answer leads out of."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run of both.

    :param calls: how many calls and waits the machine made.
    :param end: of the machine: ``success`` or ``failed``.
    :param difference: the first difference, in words; empty for none.
    """

    number: int
    calls: int
    end: str
    failing: tuple[str, ...]
    difference: str

    def to_json(self) -> JsonObject:
        """The run as JSON."""
        return {
            "run": self.number,
            "calls": self.calls,
            "end": self.end,
            "failing": list(self.failing),
            "difference": self.difference or None,
        }


@dataclass(frozen=True, slots=True)
class MachineComparison:
    """What came out.

    :param unreached: what of the machine no run reached, in words.
    :param lost_order: what the DAG does not have, or may do in another order although no run did, in words.
    """

    runs: tuple[ComparedRun, ...]
    unreached: tuple[str, ...]
    lost_order: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether no run differs, and each order of the machine is one of the DAG."""
        return not self.lost_order and not any(run.difference for run in self.runs)

    def to_json(self) -> JsonObject:
        """The comparison as JSON."""
        return {
            "equal": self.is_equal,
            "runs": [run.to_json() for run in self.runs],
            "unreached": list(self.unreached),
            "lost_order": list(self.lost_order),
        }


def prepare_comparison(
    held: HeldMachine,
    migration: Migration,
    *,
    variables: Variables,
    samples: Sequence[JsonObject] = (),
    limit: int = MAX_RUNS,
) -> PreparedComparison:
    """Run a machine, and make the scripts with which its DAG is to be run.

    :param migration: what the machine becomes: it says which task is made of which state.
    :param samples: inputs of the machine; the first one is the base of all runs, each other one a run of its own.
    :param limit: how many runs at most.
    :raises MigrationError: they cannot be compared; the message says why.
    """
    return PreparedComparison(held, migration, variables, samples, limit)


class PreparedComparison:
    """The runs of a machine, for which those of the DAG are still to come.

    :ivar scripts: of the runs: ``input``, and ``answers`` for each task and step.
    """

    def __init__(
        self, held: HeldMachine, migration: Migration, variables: Variables, samples: Sequence[JsonObject], limit: int
    ) -> None:
        self._machine = parse_machine(held.document, locate=held.locate)
        self._states = list(self._machine.iter_all_states())
        self._workflow = migration.workflow
        placeholders = _Placeholders(variables) if held.has_placeholders else None
        document: Any = held.document if placeholders is None else placeholders.fill(held.document)
        self._runner = MachineRunner(document)
        named = {} if placeholders is None else placeholders.asked
        by_source = {state.source: state.name for state in self._states}
        nodes = list(iter_nodes(migration.workflow.nodes))
        self._by_node = {node.name: by_source[node.source] for node in nodes if node.source in by_source}
        self._tasks = {node.name for node in nodes if not isinstance(node, MissingNode)} & self._by_node.keys()
        self._repeated = {
            self._by_node[node.name]: node.name
            for node in nodes
            if isinstance(node, CallNode) and node.repeat is not None and node.name in self._by_node
        }
        filled = parse_machine(document, locate=held.locate)
        self._resources = {state.name: resource for state in filled.iter_all_states() if (resource := _read(state))}
        by_name = {state.name: state for state in self._states}
        choices = find_choices(migration.workflow, self._by_node)
        self._writers = [
            ScriptWriter(choices, self._resources, by_name, {**named, **sample}) for sample in (samples or ({},))
        ]
        self._choices = choices
        self._groups = _find_groups(self._machine)
        self._problem = ""

        chosen = self._choose(limit)
        self._unreached = chosen.unreached
        self._runs = [(self._writers[0], assignment, trace) for assignment, trace in chosen.runs]
        for writer in self._writers[1:]:
            trace = self._run(writer, Assignment())
            if trace is not None:
                self._runs.append((writer, Assignment(), trace))
        if not self._runs:
            problem = "No run of the machine came to an end with made-up values. Give --sample-input."
            raise MigrationError(f"{problem} The last one: {self._problem}")
        self.scripts = [self._write_script(writer, assignment) for writer, assignment, _ in self._runs]

    def _choose(self, limit: int) -> ChosenRuns:
        first, *others = self._writers
        limit = max(1, limit - len(others))
        return choose_runs(self._states, self._choices, self._repeated, lambda one: self._run(first, one), limit=limit)

    def judge(self, ended: Mapping[str, Any]) -> MachineComparison:
        """Compare the runs.

        :param ended: what :func:`run_dags` gives for the scripts.
        :raises MigrationError: the DAG could not be run.
        """
        if "problem" in ended:
            raise MigrationError(f"The DAG could not be run: {ended['problem']}")
        compared = [
            self._judge(number, assignment, trace, end)
            for number, ((_, assignment, trace), end) in enumerate(zip(self._runs, ended["runs"], strict=True), 1)
        ]
        copies = plan_dag(self._workflow).copies
        lost = find_lost_order(ended["files"], self._workflow, copies, ended["before"])
        return MachineComparison(tuple(compared), tuple(self._unreached), lost)

    def _run(self, writer: ScriptWriter, assignment: Assignment) -> Trace | None:
        """The machine's run; None if its input or answers are not what it can read, or if it does not end."""
        counts: Counter[str] = Counter()

        def ask(state: str, resource: str, given: Any) -> Any:
            counts[state] += 1
            if sum(counts.values()) > _MAX_EVENTS:
                raise RuntimeError("It goes on and on.")
            return writer.make_answer(state, assignment, counts[state] - 1)

        trace = self._runner.run(writer.make_input(assignment), ask)
        is_broken = trace.error.startswith("States.Runtime") or trace.error == "States.QueryEvaluationError"
        if is_broken or (not trace.events and trace.end == "failed"):
            self._problem = trace.reason
            return None
        return trace

    def _write_script(self, writer: ScriptWriter, assignment: Assignment) -> dict[str, Any]:
        answers = {}
        for node in sorted(self._tasks):
            state = self._by_node[node]
            if state in self._resources:
                count = 2 if state in assignment.first else 1
                answers[node] = [dict(writer.make_answer(state, assignment, index).task) for index in range(count)]
        return {"input": writer.make_input(assignment), "answers": answers}

    def _judge(self, number: int, assignment: Assignment, trace: Trace, ended: Mapping[str, Any]) -> ComparedRun:
        # A sensor waits between repeated calls, so their Wait state has no task of its own.
        made = set(self._by_node.values())
        noted = [one for one in trace.events if one.what != "wait" or one.state in made or not self._repeated]
        events = read_machine_events(noted, self._resources)
        machine = Trace(events, trace.end, trace.error, trace.reason)
        failed = [name.rpartition(" ")[0] for name, state in ended["states"].items() if state == "failed"]
        reason = f"Failed tasks: {', '.join(failed)}." if failed else ""
        dag = Trace(read_dag_events(ended["events"], self._by_node), str(ended["end"]), reason=reason)
        difference = judge(machine, dag, self._groups)
        return ComparedRun(number, len(events), trace.end, tuple(sorted(assignment.failing)), difference)


def _read(state: Any) -> Resource | None:
    if state.type != "Task":
        return None
    try:
        return read_resource(state.body.get("Resource"))
    except UnsupportedError:
        return CallbackResource()


def _find_groups(machine: Machine, outer: str = "") -> dict[str, str]:
    """For each state in a Map state, the outermost of these."""
    found: dict[str, str] = {}
    for state in machine.states.values():
        group = outer or (state.name if state.type == "Map" else "")
        if group and group != state.name:
            found[state.name] = group
        for inner in state.machines:
            found |= _find_groups(inner, group)
    return found


class _Placeholders:
    """Puts values in place of placeholders: those that are given, and made-up ones, which a run is asked for."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self.asked: dict[str, str] = {}

    def fill(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self.fill(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, key) for item in value]
        if not isinstance(value, str):
            return value
        return _PLACEHOLDER.sub(lambda match: self._find(match[1].strip(), is_whole=match[0] == value, key=key), value)

    def _find(self, name: str, *, is_whole: bool, key: str) -> str:
        value = self._variables.find(name)
        if value is not None:
            return str(value)
        if name.lower().endswith("partition"):
            return "aws"
        if name not in self.asked:
            is_function = is_whole and (key == "Resource" or key.startswith("FunctionName"))
            slug = re.sub(r"\W+", "-", name).strip("-") or "it"
            made = f"arn:aws:lambda:us-east-1:123456789012:function:{slug}" if is_function else f"some-{slug}"
            self.asked[name] = _KNOWN.get(name, made)
        return self.asked[name]
