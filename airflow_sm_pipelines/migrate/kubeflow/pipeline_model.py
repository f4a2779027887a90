"""A pipeline of KFP as data: components, and graphs of tasks that call them. Reads KFP's intermediate representation.

What KFP itself would refuse is refused here, with its place: unknown components and executors, tasks that wait for each
other, and parts of the wrong kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.report import Outcome, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.report import Reason

MAX_DEPTH = 40
"""How deep pipelines may stand in pipelines."""

_OLD_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE"}
_TYPES = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG")


@dataclass(frozen=True, slots=True)
class InputDefinition:
    """A parameter that a component takes.

    :param default: None if there is none.
    """

    kind: str
    default: JsonValue = None
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Iterator:
    """What repeats a task for each of several items.

    :param item: the input that is given the item.
    :param raw: the items as JSON text, if the source says them.
    :param source: the input that has the items otherwise.
    :param limit: how many items at once; 0 for all.
    """

    item: str
    raw: str | None
    source: str
    limit: int
    is_artifact: bool = False


@dataclass(frozen=True, slots=True)
class GraphTask:
    """A task of a graph.

    :param path: where it stands in the document.
    :param parameters: what its inputs are given, as the document has it.
    :param waits: the tasks of the graph that it comes after, also by what it reads.
    :param condition: empty for none.
    :param is_final: whether it runs however the tasks before it end.
    :param unknown: keys that nothing here reads.
    """

    name: str
    path: JsonPath
    component: str
    parameters: Mapping[str, JsonObject]
    artifacts: Mapping[str, JsonObject]
    waits: tuple[str, ...]
    condition: str = ""
    is_final: bool = False
    iterator: Iterator | None = None
    is_cached: bool = False
    retries: JsonObject = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """A component.

    :param tasks: those of its graph, each after those that it waits for; None for one with an executor.
    :param graph_outputs: where its graph's outputs come from, parameters and artifacts.
    :param executor: its executor, as the document has it; None for a graph.
    :param executor_name: the executor's name.
    """

    name: str
    inputs: Mapping[str, InputDefinition]
    input_artifacts: Mapping[str, bool]
    outputs: Mapping[str, str]
    output_artifacts: Mapping[str, str]
    tasks: tuple[GraphTask, ...] | None = None
    graph_outputs: JsonObject = field(default_factory=dict)
    executor: JsonObject | None = None
    executor_name: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A whole pipeline."""

    name: str
    description: str
    default_root: str
    components: Mapping[str, Component]
    root: Component


def parse_pipeline(document: JsonObject, *, locate: Callable[[JsonPath], str]) -> Pipeline:
    """Parse KFP's intermediate representation.

    :param locate: gives the place of a value.
    :raises MigrationError: with the place, at what KFP would refuse.
    """
    return _Parser(document, locate).parse()


class _Parser:
    def __init__(self, document: JsonObject, locate: Callable[[JsonPath], str]) -> None:
        self._document = document
        self._locate = locate

    def _fault(self, path: JsonPath, problem: str) -> MigrationError:
        return MigrationError(f"{self._locate(path)}: {problem}")

    def _get(self, holder: Any, key: str, path: JsonPath) -> dict[str, Any]:
        """An object in another one; empty if it is not there."""
        value = holder.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._fault((*path, key), f"{key} is no object.")
        return value

    def _iter(self, holder: Any, key: str, path: JsonPath) -> list[tuple[str, dict[str, Any], JsonPath]]:
        """The objects in an object of objects."""
        found = []
        for name, value in self._get(holder, key, path).items():
            place = (*path, key, name)
            if not isinstance(value, dict):
                raise self._fault(place, f"{name} is no object.")
            found.append((name, value, place))
        return found

    def parse(self) -> Pipeline:
        document = self._document
        executors = {
            name: one
            for name, one, _ in self._iter(self._get(document, "deploymentSpec", ()), "executors", ("deploymentSpec",))
        }
        bodies = {name: (body, path) for name, body, path in self._iter(document, "components", ())}
        components = {
            name: self._parse_component(name, body, path, bodies.keys(), executors)
            for name, (body, path) in bodies.items()
        }
        root = self._get(document, "root", ())
        if "dag" not in root:
            raise self._fault(("root",), "root has no dag: this is no pipeline.")
        info = self._get(document, "pipelineInfo", ())
        whole = self._parse_component("root", root, ("root",), bodies.keys(), executors)
        pipeline = Pipeline(
            str(info.get("name") or "pipeline"),
            str(info.get("description") or ""),
            str(document.get("defaultPipelineRoot") or ""),
            components,
            whole,
        )
        self._refuse_recursion(pipeline)
        return pipeline

    def _refuse_recursion(self, pipeline: Pipeline) -> None:
        """Refuse a component that is called by itself."""
        done: set[str] = set()

        def visit(component: Component, around: tuple[str, ...]) -> None:
            if len(around) > MAX_DEPTH:
                raise self._fault((), f"pipelines stand in pipelines more than {MAX_DEPTH} deep.")
            for task in component.tasks or ():
                if task.component in around:
                    raise self._fault(task.path, f"{task.name} calls {task.component}, which it is part of.")
                if task.component not in done:
                    visit(pipeline.components[task.component], (*around, task.component))
            done.add(component.name)

        visit(pipeline.root, ())

    def _parse_component(
        self, name: str, body: dict[str, Any], path: JsonPath, known: Any, executors: dict[str, JsonObject]
    ) -> Component:
        given = self._get(body, "inputDefinitions", path)
        made = self._get(body, "outputDefinitions", path)
        place = (*path, "inputDefinitions")
        inputs = {key: self._parse_input(one) for key, one, _ in self._iter(given, "parameters", place)}
        artifacts = {key: bool(one.get("isOptional")) for key, one, _ in self._iter(given, "artifacts", place)}
        place = (*path, "outputDefinitions")
        outputs = {key: _read_kind(one) for key, one, _ in self._iter(made, "parameters", place)}
        schemas = {key: _read_schema(one) for key, one, _ in self._iter(made, "artifacts", place)}
        component = Component(name, inputs, artifacts, outputs, schemas)
        if "dag" in body:
            dag = self._get(body, "dag", path)
            tasks = self._parse_tasks(dag, (*path, "dag"), known)
            return Component(
                name, inputs, artifacts, outputs, schemas, tasks, self._get(dag, "outputs", (*path, "dag"))
            )
        label = body.get("executorLabel")
        if not isinstance(label, str):
            raise self._fault(path, f"{name} has neither dag nor executorLabel.")
        if label not in executors:
            raise self._fault((*path, "executorLabel"), f"there is no executor {label!r}.{suggest(label, executors)}")
        return Component(
            component.name, inputs, artifacts, outputs, schemas, executor=executors[label], executor_name=label
        )

    @staticmethod
    def _parse_input(one: dict[str, Any]) -> InputDefinition:
        return InputDefinition(_read_kind(one), _unwrap(one.get("defaultValue")), bool(one.get("isOptional")))

    def _parse_tasks(self, dag: dict[str, Any], path: JsonPath, known: Any) -> tuple[GraphTask, ...]:
        bodies = self._iter(dag, "tasks", path)
        names = {name for name, _, _ in bodies}
        tasks = {name: self._parse_task(name, body, place, names, known) for name, body, place in bodies}
        ordered: list[GraphTask] = []
        done: set[str] = set()
        left = dict(tasks)
        while left:
            ready = [task for task in left.values() if done.issuperset(task.waits)]
            if not ready:
                first = min(left)
                raise self._fault(left[first].path, f"these tasks wait for each other: {', '.join(sorted(left)[:10])}.")
            for task in ready:
                ordered.append(task)
                done.add(task.name)
                del left[task.name]
        return tuple(ordered)

    def _parse_task(self, name: str, body: dict[str, Any], path: JsonPath, names: set[str], known: Any) -> GraphTask:
        component = self._get(body, "componentRef", path).get("name")
        if component not in known:
            raise self._fault((*path, "componentRef"), f"{name} calls {component!r}, but no component is called so.")
        inputs = self._get(body, "inputs", path)
        place = (*path, "inputs")
        parameters = {key: one for key, one, _ in self._iter(inputs, "parameters", place)}
        artifacts = {key: one for key, one, _ in self._iter(inputs, "artifacts", place)}
        waits = body.get("dependentTasks") or []
        if not isinstance(waits, list):
            raise self._fault((*path, "dependentTasks"), "dependentTasks is no list.")
        read = [_find_producer(one) for one in (*parameters.values(), *artifacts.values())]
        every = tuple(dict.fromkeys([*map(str, waits), *(one for one in read if one)]))
        odd = next((one for one in every if one not in names), None)
        if odd is not None:
            raise self._fault(path, f"{name} waits for {odd!r}, but no task is called so.{suggest(odd, names)}")
        trigger = self._get(body, "triggerPolicy", path)
        return GraphTask(
            name,
            path,
            str(component),
            parameters,
            artifacts,
            every,
            str(trigger.get("condition") or ""),
            trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED",
            self._parse_iterator(body, path),
            bool(self._get(body, "cachingOptions", path).get("enableCache")),
            self._get(body, "retryPolicy", path),
            tuple(sorted(body.keys() - _READ)),
        )

    def _parse_iterator(self, body: dict[str, Any], path: JsonPath) -> Iterator | None:
        for key in ("parameterIterator", "artifactIterator"):
            one = self._get(body, key, path)
            if one:
                items = self._get(one, "items", (*path, key))
                limit = self._get(body, "iteratorPolicy", path).get("parallelismLimit")
                raw, is_artifact = items.get("raw"), key == "artifactIterator"
                source = items.get("inputArtifact" if is_artifact else "inputParameter")
                return Iterator(
                    str(one.get("itemInput")),
                    raw if isinstance(raw, str) else None,
                    str(source or ""),
                    limit if isinstance(limit, int) else 0,
                    is_artifact,
                )
        return None


_READ = {
    "artifactIterator",
    "cachingOptions",
    "componentRef",
    "dependentTasks",
    "inputs",
    "iteratorPolicy",
    "parameterIterator",
    "retryPolicy",
    "taskInfo",
    "triggerPolicy",
}


def _find_producer(given: JsonObject) -> str:
    for key in ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus"):
        one = given.get(key)
        if isinstance(one, dict):
            return str(one.get("producerTask"))
    return ""


def _read_kind(one: dict[str, Any]) -> str:
    kind = str(one.get("parameterType") or one.get("type") or "STRING")
    kind = _OLD_TYPES.get(kind, kind)
    return kind if kind in _TYPES else "STRING"


def _read_schema(one: dict[str, Any]) -> str:
    kind = one.get("artifactType")
    found = kind.get("schemaTitle") or kind.get("instanceSchema") if isinstance(kind, dict) else None
    return str(found or "system.Artifact")


def read_constant(given: JsonObject) -> JsonValue:
    """The constant of a ``runtimeValue``, also as older versions write it."""
    value = given.get("constant", given.get("constantValue"))
    return _unwrap(value)


def _unwrap(value: Any) -> JsonValue:
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("stringValue", "intValue", "doubleValue"):
        inner = next(iter(value.values()))
        return int(inner) if "intValue" in value else _make_whole(inner)
    return _make_whole(value)


def _make_whole(value: Any) -> JsonValue:
    """A value with whole numbers as such: KFP writes them with a point, and gives them without it."""
    if isinstance(value, dict):
        return {key: _make_whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_make_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else cast("JsonValue", value)


class Records:
    """The records by their places in the source, in the order in which they were first noted."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def has(self, source: str) -> bool:
        """Whether a place has a record."""
        return source in self._records

    def get_all(self) -> tuple[Record, ...]:
        """All records, in the order of their places."""
        return tuple(self._records[source] for source in sorted(self._records))

    def note(
        self,
        source: str,
        kind: str,
        outcome: Outcome,
        target: str = "",
        *,
        reason: Reason | None = None,
        lost: tuple[str, ...] = (),
        action: str = "",
    ) -> None:
        """Add to a place's record; a worse outcome stays."""
        known = self._records.get(source) or Record(source, kind, outcome, target)
        kept = known.outcome if known.outcome.is_open or known.outcome is Outcome.APPROXIMATED else outcome
        reasons = known.reasons
        if reason is not None and reason not in reasons:
            reasons = (*reasons, reason)
        self._records[source] = replace(
            known,
            kind=kind if known.kind == "pipeline" else known.kind,
            outcome=outcome if outcome.is_open else kept,
            target=known.target or target,
            reasons=reasons,
            lost=tuple(dict.fromkeys((*known.lost, *lost))),
            action=known.action or action,
        )


# --- what a task asks for ---------------------------------------------------------------------------------------------

_INSTANCES = (
    (2, 8, "ml.m5.large"),
    (4, 16, "ml.m5.xlarge"),
    (4, 32, "ml.r5.xlarge"),
    (8, 32, "ml.m5.2xlarge"),
    (8, 64, "ml.r5.2xlarge"),
    (16, 64, "ml.m5.4xlarge"),
    (16, 128, "ml.r5.4xlarge"),
    (48, 192, "ml.m5.12xlarge"),
    (48, 384, "ml.r5.12xlarge"),
    (96, 384, "ml.m5.24xlarge"),
    (96, 768, "ml.r5.24xlarge"),
)
"""Processing instances by CPUs and gibibytes of memory, the cheaper first."""

_ACCELERATED = ((1, "ml.g4dn.xlarge"), (4, "ml.g4dn.12xlarge"), (8, "ml.p3.16xlarge"))
_UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def choose_instance(executor: Mapping[str, Any]) -> str | None:
    """The instance type for what a container asks for; None if it asks for nothing."""
    container = executor.get("container")
    resources = container.get("resources") if isinstance(container, dict) else None
    if not isinstance(resources, dict) or not resources:
        return None
    accelerator = resources.get("accelerator")
    if isinstance(accelerator, dict):
        count = _read_quantity(accelerator.get("resourceCount") or accelerator.get("count") or 1)
        return next((name for most, name in _ACCELERATED if count <= most), _ACCELERATED[-1][1])
    cpus = max(_read_quantity(resources.get(key)) for key in _CPU_KEYS)
    memory = max(read_memory(resources.get(key)) for key in _MEMORY_KEYS)
    return next((name for most, size, name in _INSTANCES if cpus <= most and memory <= size), _INSTANCES[-1][2])


_CPU_KEYS = ("cpuLimit", "cpuRequest", "resourceCpuLimit", "resourceCpuRequest")
_MEMORY_KEYS = ("memoryLimit", "memoryRequest", "resourceMemoryLimit", "resourceMemoryRequest")


def _read_quantity(value: Any) -> float:
    """A number as Kubernetes writes it: ``500m``, ``4Gi``; 0 for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGT]i|[kMGT])?", str(value if value is not None else "").strip())
    if found is None:
        return 0.0
    return float(found[1]) / 1000 if found[2] == "m" else float(found[1]) * _UNITS[found[2] or ""]


def read_memory(value: Any) -> float:
    """Gibibytes. A bare number is gigabytes in KFP's older files."""
    number = _read_quantity(value)
    return number / 2**30 if number > 2**20 else number


def read_retries(policy: JsonObject) -> tuple[int, float, float, float]:
    """How often a command is started again, after how many seconds, by what factor longer, and at most how long."""
    count = policy.get("maxRetryCount")
    factor = policy.get("backoffFactor")
    return (
        count if isinstance(count, int) else 0,
        _read_seconds(policy.get("backoffDuration"), 0),
        float(factor) if isinstance(factor, (int, float)) else 2.0,
        _read_seconds(policy.get("backoffMaxDuration"), 3600),
    )


def _read_seconds(value: Any, otherwise: float) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s?", str(value if value is not None else ""))
    return float(found[1]) if found else otherwise
