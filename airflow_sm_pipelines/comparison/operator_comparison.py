"""A DAG file with the amazon provider's SageMaker operators against the migrated one: both run in Airflow.

Compared are the requests that operators and steps make, that no step begins before what its task waits for, the states
of all tasks that are in both, and the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.comparison import ComparedRun, MachineComparison
from airflow_sm_pipelines.comparison.dag_runs import run_dags
from airflow_sm_pipelines.comparison.normal_form import find_difference, read_dag_events, read_machine_events
from airflow_sm_pipelines.comparison.traces import Event
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, get_request_kind
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import StepResource
from airflow_sm_pipelines.migrate.workflow import PipelineStepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.report import Migration

MAX_RUNS = 16
_NOUNS = {kind.step_type: kind.noun for kind in reversed(REQUEST_KINDS)}


def compare_operators(
    source: Path,
    dag_file: Path,
    migration: Migration,
    environment: Mapping[str, str],
    *,
    samples: Sequence[JsonObject] = (),
    plays_others: bool = False,
    limit: int = MAX_RUNS,
) -> MachineComparison:
    """Compare a DAG file with the migrated one: as it is, and with each SageMaker task failing.

    :param migration: what the file becomes.
    :param environment: variables of an Airflow with a database.
    :param samples: confs of a run; the first one is the base of all runs.
    :param plays_others: whether all other tasks but branches give a made-up text, and do no work.
    :param limit: how many runs at most.
    :raises MigrationError: they could not be run, or nothing was migrated.
    """
    nodes = [one for one in iter_nodes(migration.workflow.nodes) if isinstance(one, PipelineStepNode)]
    if not nodes:
        raise MigrationError("Nothing of the DAG file became a pipeline, so there is nothing to compare.")
    steps = {node.name: {"task": node.source, "noun": _NOUNS[node.type]} for node in nodes}
    base, *others = samples or ({},)
    asked = [(base, ""), *((one, "") for one in others)]
    asked += [(base, task) for task in dict.fromkeys(node.source for node in nodes)]
    scripts = [
        {
            "source": str(source.resolve()),
            "steps": steps,
            "input": given,
            "failing": failing,
            "plays_others": plays_others,
        }
        for given, failing in asked[:limit]
    ]
    (ended,) = run_dags([(dag_file, scripts)], environment, worker="operator_worker")
    if "problem" in ended:
        raise MigrationError(f"The DAGs could not be run: {ended['problem']}")
    compared, reached = [], set[str]()
    for number, (script, run) in enumerate(zip(scripts, ended["runs"], strict=True), 1):
        events = run["source"]["events"]
        reached |= {event["task"].rpartition(" ")[0] for event in events}
        failing = (str(script["failing"]),) if script["failing"] else ()
        difference = judge_operators(run["source"], run["dag"], steps)
        compared.append(ComparedRun(number, len(events), run["source"]["end"], failing, difference))
    unreached = dict.fromkeys(node.source for node in nodes if node.source not in reached)
    return MachineComparison(tuple(compared), tuple(f"the task {task}" for task in unreached))


def judge_operators(source: Mapping[str, Any], dag: Mapping[str, Any], steps: Mapping[str, Mapping[str, str]]) -> str:
    """The first difference between two runs, in words; empty if there is none.

    :param source: the ``events`` of the run, its ``end``, the ``states`` of tasks, and what is ``upstream`` of each.
    :param steps: for each step, the ``task`` that it comes from, and the ``noun`` of what it makes.
    """
    given = [Event(one["task"], one["what"], one["given"], is_failure=one["is_failure"]) for one in source["events"]]
    resources = {one.state: StepResource(get_request_kind(one.state.rpartition(" ")[2]), waits=True) for one in given}
    mine = read_machine_events(given, resources)
    theirs = read_dag_events(dag["events"], {name: f"{one['task']} {one['noun']}" for name, one in steps.items()})
    left = list(theirs)
    for event in mine:
        found = next((one for one in left if (one.state, one.what) == (event.state, event.what)), None)
        task = event.state.rpartition(" ")[0]
        if found is None:
            return f"Task {task}: the operator makes a {event.what.removeprefix('step ')}, and no step does."
        difference = find_difference(event.given, found.given, source="the operator's request")
        if difference:
            return f"Task {task}, step {found.task}: {difference}."
        left.remove(found)
    if left:
        return f"Step {left[0].task}: it runs, and its operator did not."
    return _judge_order(theirs, source["upstream"]) or _judge_states(
        source, dag, {one["task"] for one in steps.values()}
    )


def _judge_order(events: Sequence[Event], upstream: Mapping[str, Sequence[str]]) -> str:
    tasks = [event.state.rpartition(" ")[0] for event in events]
    for index, task in enumerate(tasks):
        early = next((one for one in tasks[index + 1 :] if one != task and one in upstream.get(task, ())), None)
        if early is not None:
            return f"The step of task {task} runs before that of {early}, which it waits for."
    return ""


def _judge_states(source: Mapping[str, Any], dag: Mapping[str, Any], replaced: set[str]) -> str:
    for name, state in source["states"].items():
        is_kept = name.rpartition(" ")[0] not in replaced
        if is_kept and name in dag["states"] and dag["states"][name] != state:
            return f"Task {name.rpartition(' ')[0]}: {state} in the old DAG, {dag['states'][name]} in the new one."
    if source["end"] != dag["end"]:
        return f"The old DAG ends with {source['end']}, and the new one with {dag['end']}."
    return ""
