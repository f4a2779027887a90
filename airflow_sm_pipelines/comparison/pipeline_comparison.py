"""A Kubeflow pipeline against the DAG that was made of it: the components really run on both sides.

The pipeline runs in ``kfp.local``, the DAG in Airflow with its jobs on the local endpoint. Compared are the tasks that
ran, how often, what they gave, that none began before what it waits for, and the end.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.comparison import ComparedRun, MachineComparison
from airflow_sm_pipelines.comparison.dag_runs import run_dags
from airflow_sm_pipelines.comparison.normal_form import find_difference
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import parse_pipeline
from airflow_sm_pipelines.migrate.workflow import PipelineStepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from airflow_sm_pipelines.comparison.kfp_environment import KfpEnvironment
    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.kubeflow import HeldPipeline
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import Component, Pipeline
    from airflow_sm_pipelines.migrate.report import Migration

    Key: TypeAlias = tuple[str, str]
    """A task: its name, and that of its component."""

MAX_RUNS = 16
_SEEDS = 6
"""How many different random numbers are tried, so that other branches are taken."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A task with a container.

    :param loops: the loops around it.
    :param after: the tasks that have to end before.
    """

    key: Key
    loops: tuple[str, ...]
    after: frozenset[str]


def find_leaves(pipeline: Pipeline) -> dict[str, Leaf]:
    """The tasks with containers, by their places."""
    found: dict[str, Leaf] = {}
    _add_leaves(pipeline, pipeline.root, "root", (), frozenset(), found)
    return found


def _add_leaves(
    pipeline: Pipeline,
    component: Component,
    where: str,
    loops: tuple[str, ...],
    after: frozenset[str],
    found: dict[str, Leaf],
) -> set[str]:
    inside: dict[str, set[str]] = {}
    earlier: dict[str, frozenset[str]] = {}
    for task in component.tasks or ():
        place = f"{where}.{task.name}"
        called = pipeline.components[task.component]
        waits = after.union(*(inside[name] | earlier[name] for name in task.waits))
        earlier[task.name] = waits
        if called.tasks is not None:
            inner = (*loops, place) if task.iterator is not None else loops
            inside[task.name] = _add_leaves(pipeline, called, place, inner, waits, found)
            continue
        inside[task.name] = set()
        if "importer" not in (called.executor or {}):
            found[place] = Leaf((task.name, called.name), loops, waits)
            inside[task.name] = {place}
    return set().union(*inside.values())


class PreparedPipelineComparison:
    """The runs of a pipeline, for which those of the DAG are still to come.

    :ivar scripts: of the runs, as :mod:`job_worker` reads them.
    :ivar environment: the Python of both sides.
    """

    def __init__(
        self,
        held: HeldPipeline,
        migration: Migration,
        environment: KfpEnvironment,
        samples: Sequence[JsonObject] = (),
        limit: int = MAX_RUNS,
    ) -> None:
        if held.is_argo:
            raise MigrationError("A Workflow of Argo cannot be compared: kfp.local runs pipelines of KFP 2 only.")
        if re.search(r'"\w+As(?:Env|Volume)":', json.dumps(held.platform)):
            raise MigrationError("The pipeline cannot be compared: kfp.local gives tasks nothing of the cluster.")
        self.environment = environment
        pipeline = parse_pipeline(held.document, locate=held.locate)
        self._leaves = find_leaves(pipeline)
        nodes = [node for node in iter_nodes(migration.workflow.nodes) if isinstance(node, PipelineStepNode)]
        self._place_of = {node.name: node.source for node in nodes if node.source in self._leaves}
        self._has_root = any(one.name == "pipeline_root" for one in migration.workflow.parameters)
        has_conditions = any(task.condition for one in pipeline.components.values() for task in one.tasks or ())
        base, *others = samples or ({},)
        scripts = [self._make_script(base, seed) for seed in range(_SEEDS if has_conditions else 1)]
        scripts += [self._make_script(one, 0) for one in others]
        runs = self._choose(scripts, environment.run(held, scripts))
        ways = self._list_failures(runs, max(0, limit - len(runs)))
        self._runs = [*runs, *zip(ways, environment.run(held, ways) if ways else [], strict=True)]
        self.scripts = [self._make_dag_script(script) for script, _ in self._runs]

    @staticmethod
    def _make_script(given: JsonObject, seed: int, failing: tuple[str, ...] = ()) -> dict[str, Any]:
        return {"input": given, "seed": seed, "failing": list(failing)}

    def _choose(
        self, scripts: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The runs that reach a task which none before has reached."""
        chosen: list[tuple[dict[str, Any], dict[str, Any]]] = []
        reached: set[Key] = set()
        for script, run in zip(scripts, runs, strict=True):
            keys = {_get_key(event) for event in run["events"]}
            if not chosen or keys - reached or script["input"] != scripts[0]["input"]:
                chosen.append((script, run))
                reached |= keys
        for _, run in chosen:
            if run["end"] == "failed" and not any(event["is_failure"] for event in run["events"]):
                why = f"kfp.local does not run this pipeline, although none of its tasks failed: {run['reason']}."
                raise MigrationError(f"{why} If it lacks a parameter, give --sample-input.")
        return chosen

    def _list_failures(self, runs: Sequence[tuple[dict[str, Any], dict[str, Any]]], limit: int) -> list[dict[str, Any]]:
        """For each task that has run, a script in which it fails."""
        found: dict[str, dict[str, Any]] = {}
        for script, run in runs:
            for event in run["events"]:
                task = str(event["task"])
                found.setdefault(task, self._make_script(script["input"], script["seed"], (task,)))
        return list(found.values())[:limit]

    def _make_dag_script(self, script: Mapping[str, Any]) -> dict[str, Any]:
        failing = [node for node, place in self._place_of.items() if self._leaves[place].key[0] in script["failing"]]
        return {
            **script,
            "failing": failing,
            "has_root": self._has_root,
            "seed_file": str(self.environment.seed_file),
        }

    def judge(self, ended: Mapping[str, Any]) -> MachineComparison:
        """Compare the runs.

        :param ended: what :func:`run_dags` gives for the scripts.
        :raises MigrationError: the DAG could not be run.
        """
        if "problem" in ended:
            raise MigrationError(f"The DAG could not be run: {ended['problem']}")
        compared = []
        for number, ((script, run), dag) in enumerate(zip(self._runs, ended["runs"], strict=True), 1):
            difference = self._judge(run, dag)
            compared.append(ComparedRun(number, len(run["events"]), run["end"], tuple(script["failing"]), difference))
        reached = {_get_key(event) for _, run in self._runs for event in run["events"]}
        unreached = sorted(place for place, leaf in self._leaves.items() if leaf.key not in reached)
        return MachineComparison(tuple(compared), tuple(f"the task {place}" for place in unreached))

    def _judge(self, run: Mapping[str, Any], dag: Mapping[str, Any]) -> str:
        lost = next((one["task"] for one in dag["events"] if one["task"] not in self._place_of), None)
        if lost is not None:
            return f"Step {lost}: the DAG runs it, and the pipeline has no such task."
        events = [{**one, "place": self._place_of[one["task"]]} for one in dag["events"]]
        optional = self._find_optional(run)
        left = list(events)
        for event in run["events"]:
            key = _get_key(event)
            mine = [one for one in left if self._leaves[one["place"]].key == key]
            if not mine:
                if key in optional:
                    continue
                return f"Task {key[0]}: it runs once more in Kubeflow than in the DAG."
            found = next((one for one in mine if not _differs(event, one)), None)
            if found is None:
                return f"Task {key[0]}: {_differs(event, mine[0])}."
            left.remove(found)
        extra = next((one for one in left if self._leaves[one["place"]].key not in optional), None)
        if extra is not None:
            return f"Task {extra['task']}: it runs once more in the DAG than in Kubeflow."
        order = self._judge_order(events)
        if order or run["end"] == dag["end"]:
            return order
        failed = ", ".join(name.rpartition(" ")[0] for name, state in dag["states"].items() if state == "failed")
        return f"Kubeflow ends with {run['end']}, and the DAG with {dag['end']}. Failed tasks: {failed or 'none'}."

    def _find_optional(self, run: Mapping[str, Any]) -> set[Key]:
        """The tasks that may run or not: after a failure, those that do not wait for what has failed."""
        failed = {_get_key(event) for event in run["events"] if event["is_failure"]}
        if not failed:
            return set()
        places = {place for place, leaf in self._leaves.items() if leaf.key in failed}
        return {leaf.key for leaf in self._leaves.values() if not leaf.after & places} - failed

    def _judge_order(self, events: Sequence[Mapping[str, Any]]) -> str:
        """Whether each task began after the end of those that it waits for; in a loop, of one of their iterations."""
        spans: dict[str, list[tuple[float, float]]] = {}
        for event in events:
            spans.setdefault(event["place"], []).append((event["begun"], event["ended"]))
        for place, leaf in self._leaves.items():
            for other in leaf.after & spans.keys() if place in spans else ():
                begun = min(one for one, _ in spans[place])
                ends = [end for _, end in spans[other]]
                is_shared = bool(set(leaf.loops) & set(self._leaves[other].loops))
                if begun < (min(ends) if is_shared else max(ends)):
                    return f"Task {leaf.key[0]} begins before {self._leaves[other].key[0]} has ended."
        return ""


def _get_key(event: Mapping[str, Any]) -> Key:
    return str(event["task"]), str(event["component"])


def _differs(event: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if event["is_failure"] != other["is_failure"]:
        return f"it {_name_end(event)} in Kubeflow, and {_name_end(other)} in the DAG"
    for kind in ("values", "artifacts"):
        mine, theirs = (
            _drop_paths({key: value for key, value in one[kind].items() if value is not None}) for one in (event, other)
        )
        found = find_difference(mine, theirs, source="Kubeflow")
        if found:
            return found
    return ""


_PATHS = re.compile(r"/(?:tmp/sm-pipelines-kfp-|opt/ml/processing/)[^\s'\",]*")


def _drop_paths(given: JsonObject) -> JsonObject:
    """What a task gave, without the paths at which its files were."""
    found: JsonObject = json.loads(_PATHS.sub("a path of the run", json.dumps(given)))
    return found


def _name_end(event: Mapping[str, Any]) -> str:
    return "fails" if event["is_failure"] else "succeeds"


def run_jobs(
    jobs: Sequence[tuple[Path, PreparedPipelineComparison]], airflow: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Run DAGs, each for its scripts, with the components' Python in place of every image.

    :param jobs: DAG files, beside what belongs to them. They share a Python, so all are prepared with one.
    :param airflow: variables of an Airflow with a database.
    :return: as :func:`run_dags`.
    :raises MigrationError: the process came to nothing.
    """
    images = str(jobs[0][1].environment.images)
    scripts = [(file, one.scripts) for file, one in jobs]
    return run_dags(scripts, {**airflow, "SM_PIPELINES_IMAGES": images}, worker="job_worker")
