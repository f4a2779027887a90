"""Reads the configs of tasks, from the file or from rendered fields, and turns those of a segment into steps.

What only Airflow knows becomes run parameters.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition import Dependency, Parameter
from airflow_sm_pipelines.definition.json_value import format_path
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.airflow.dag_reader import NOUNS
from airflow_sm_pipelines.migrate.airflow.known_values import Mark, Marks, UnknownValueError
from airflow_sm_pipelines.migrate.airflow.result_reads import Pull, find_property, parse_template
from airflow_sm_pipelines.migrate.job_links import find_products, join_parts, link_arguments, separate_outputs
from airflow_sm_pipelines.migrate.job_requests import RequestKind, clean_request, get_request_kind
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.report import Reason
from airflow_sm_pipelines.migrate.workflow import PipelineStepNode
from airflow_sm_pipelines.service_model import find_parameter_type, load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.airflow.dag_reader import JobTask
    from airflow_sm_pipelines.migrate.airflow.known_values import Evaluator
    from airflow_sm_pipelines.migrate.airflow.segments import Segment
    from airflow_sm_pipelines.migrate.job_links import Product
    from airflow_sm_pipelines.service_model import Shape

_MODEL = "Model"


@dataclass(slots=True)
class ReadConfig:
    """The config of a task, as far as it is known.

    :param requests: what the task creates, in its order: a combined config holds several.
    :param problems: why it cannot be read, with the place.
    :param is_rendered: whether it comes from the rendered fields of a run.
    """

    requests: list[tuple[str, JsonObject]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_rendered: bool = False


def read_config(task: JobTask, evaluator: Evaluator, marks: Marks, *, place: str) -> ReadConfig:
    """Read a task's config from the file.

    :param place: of the task, for messages.
    """
    node = task.keywords.get("config")
    if node is None:
        return ReadConfig(problems=[f"{place}: it has no config."])
    try:
        value = evaluator.read(node)
    except UnknownValueError as error:
        text = ast.unparse(error.node)
        return ReadConfig(problems=[f"{place}: its config is {_shorten(text)}, which the file does not tell."])
    return check_config(task, value, marks, place=place)


def check_config(task: JobTask, value: Any, marks: Marks, *, place: str, is_rendered: bool = False) -> ReadConfig:
    """Look whether a config is a request that a step can make."""
    if not isinstance(value, dict):
        found = marks.restore(value) if isinstance(value, str) else str(value)
        return ReadConfig(problems=[f"{place}: its config is {_shorten(found)}, which the file does not tell."])
    read = ReadConfig(is_rendered=is_rendered)
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        read.problems.append(f"{place}: its config holds what JSON cannot hold.")
        return read
    if "S3Operations" in value:
        text = "its config has S3Operations: the operator uploads files. Do that in a task before, and take it out"
        read.problems.append(f"{place}: {text}.")
    for noun, request in _iter_requests(NOUNS[task.kind], value):
        read.requests.append((noun, request))
        shape = load_service_model().get_request_shape(f"Create{noun}")
        for path, text in _iter_misplaced(request, shape, marks, ()):
            found = _shorten(marks.restore(text))
            read.problems.append(f"{place}: {format_path(path)} is {found}, which the file does not tell.")
        for member in ("RoleArn", "ExecutionRoleArn"):
            role = request.get(member)
            if isinstance(role, str) and not role.startswith("arn:") and not marks.has_mark(role):
                text = f"{member} is {role!r}, the name of a role, whose ARN the operator looked up. Write the ARN"
                read.problems.append(f"{place}: {text}.")
    return read


def _iter_requests(noun: str, value: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """The requests of a config; a transform may bring its model, an endpoint its model and its configuration."""
    parts = {"TransformJob": (_MODEL, "Transform"), "Endpoint": (_MODEL, "EndpointConfig", "Endpoint")}.get(noun, ())
    combined = [part for part in parts if isinstance(value.get(part), dict)]
    own = "Transform" if noun == "TransformJob" else noun
    if own not in combined:
        yield noun, {key: item for key, item in value.items() if key != "S3Operations"}
        return
    for part in combined:
        yield ("TransformJob" if part == "Transform" else part), cast("JsonObject", value[part])


def _iter_misplaced(value: JsonValue, shape: Shape, marks: Marks, path: JsonPath) -> Iterator[tuple[JsonPath, str]]:
    """Marks that stand where the API takes a structure, a list or a map."""
    if isinstance(value, str):
        if shape.type_name in ("structure", "list", "map") and marks.has_mark(value):
            yield path, value
    elif isinstance(value, dict) and shape.type_name in ("structure", "map"):
        for key, item in value.items():
            inner = shape.value if shape.type_name == "map" else shape.members.get(key)
            if inner is not None:
                yield from _iter_misplaced(item, inner, marks, (*path, key))
    elif isinstance(value, list) and shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _iter_misplaced(item, shape.member, marks, (*path, index))


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 80 else f"{flat[:77]}..."


# --- rendered fields -------------------------------------------------------------------------------------------------

_CUT = "Truncated. You can change this behaviour"


def parse_rendered(document: JsonObject, *, name: str) -> dict[str, Any]:
    """The rendered ``config`` by task id.

    :param document: the answer for a task instance, the answer for all of a run, or an object with a config, or with
        rendered fields, for each task id.
    :param name: of the file, for messages.
    :raises MigrationError: Airflow has cut a config, or none is there.
    """
    found = {task_id: _read_rendered(value, f"{name}: {task_id}") for task_id, value in _iter_configs(document)}
    if not found:
        raise MigrationError(f"{name}: no rendered config is in it. Expected rendered_fields with a config.")
    return found


def _iter_configs(document: JsonObject) -> Iterator[tuple[str, Any]]:
    instances = document.get("task_instances")
    if isinstance(instances, list):
        for one in instances:
            if isinstance(one, dict):
                yield from _iter_configs(one)
        return
    fields, task_id = document.get("rendered_fields"), document.get("task_id")
    if isinstance(fields, dict) and isinstance(task_id, str):
        if "config" in fields:
            yield task_id, fields["config"]
        return
    for key, value in document.items():
        inner = value.get("rendered_fields", value) if isinstance(value, dict) else value
        yield key, inner["config"] if isinstance(inner, dict) and "config" in inner else inner


def _read_rendered(value: Any, place: str) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith(_CUT) or value.endswith("..."):
        raise MigrationError(
            f"{place}: Airflow has cut this config. Set [core] max_templated_field_length to more than its length, run "
            "the task again, and fetch it again."
        )
    for load in (json.loads, ast.literal_eval):
        try:
            return load(value)
        except (ValueError, SyntaxError):
            continue
    raise MigrationError(f"{place}: this config is neither JSON nor a Python literal.")


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SegmentSteps:
    """The steps of a segment.

    :param nodes: in the order of their tasks.
    :param parameters: of the pipeline.
    :param values: for each parameter, what the run task gives it.
    :param roles: what the tasks name as their role.
    :param step_of: the name of the step that gives a task's result.
    :param reasons: what to say about each task, by its id.
    :param lost: members of each task's config that are no members of the request.
    :param inexact: ids of tasks that do not do exactly what they did.
    """

    nodes: list[PipelineStepNode] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    values: dict[str, Mark | Pull] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)
    step_of: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    inexact: set[str] = field(default_factory=set)


def make_steps(
    segment: Segment,
    configs: Mapping[str, ReadConfig],
    marks: Marks,
    *,
    before: Mapping[str, list[str]],
    kinds: Mapping[str, str],
) -> SegmentSteps:
    """Make the steps of a segment.

    :param configs: by task id.
    :param before: for each task, the ids of those of the segment that it follows.
    :param kinds: the operator of each task of the file that becomes a step, by id.
    """
    return _StepMaker(segment, configs, marks, before, kinds).make()


class _StepMaker:
    def __init__(
        self,
        segment: Segment,
        configs: Mapping[str, ReadConfig],
        marks: Marks,
        before: Mapping[str, list[str]],
        kinds: Mapping[str, str],
    ) -> None:
        self._segment = segment
        self._configs = configs
        self._marks = marks
        self._before = before
        self._kinds = kinds
        self._names = ClaimedNames()
        self._parameter_names = ClaimedNames()
        self._parameter_of: dict[tuple[Mark, str], str] = {}
        self._products: list[Product] = []
        self._last_of: dict[str, str] = {}
        self.steps = SegmentSteps()

    def make(self) -> SegmentSteps:
        for task in self._sort():
            self._make_task(task)
        return self.steps

    def _sort(self) -> list[JobTask]:
        left, done = list(self._segment.tasks), []
        while left:
            waiting = {one.task_id for one in left}
            done.append(next(one for one in left if not waiting & set(self._before.get(one.task_id, ()))))
            left.remove(done[-1])
        return done

    def _make_task(self, task: JobTask) -> None:
        after = [self._last_of[one] for one in self._before.get(task.task_id, ()) if one in self._last_of]
        config = self._configs[task.task_id]
        for index, (noun, request) in enumerate(config.requests):
            is_last = index == len(config.requests) - 1
            wanted = task.task_id if is_last else f"{task.task_id}-{noun}"
            name = self._names.claim(wanted)
            after = [self._make_step(task, get_request_kind(noun), request, name, after)]
        self._last_of[task.task_id] = after[0]
        self.steps.step_of[task.task_id] = after[0]
        if config.is_rendered:
            text = (
                "Its config is that of the run whose rendered fields were given: dates and names in it are that run's."
            )
            self._say(task, Reason("AIRFLOW-RENDERED-001", text), is_exact=False)

    def _make_step(self, task: JobTask, kind: RequestKind, request: JsonObject, name: str, after: list[str]) -> str:
        clean = clean_request(request, kind, is_described=False)
        arguments = clean.arguments
        if kind.noun == "Endpoint" and clean.job_name:
            arguments["EndpointName"] = clean.job_name
        role = arguments.get("RoleArn") or arguments.get("ExecutionRoleArn")
        if isinstance(role, str):
            self.steps.roles.append(role)
        self.steps.lost[task.task_id] = (*self.steps.lost.get(task.task_id, ()), *clean.unknown)
        linked, links = link_arguments(arguments, kind.step_type, self._products)
        for link in links:
            code = "AIRFLOW-LINK-002" if link.product.doubt else "AIRFLOW-LINK-001"
            self._say(task, Reason(code, self._marks.restore(link.text)), is_exact=not link.product.doubt)
        products = find_products(arguments, kind, node=name, job_name=clean.job_name)
        separated, places = separate_outputs(linked, kind.step_type, node=name, job_name=clean.job_name)
        for place in places:
            text = f"{format_path(place)} held the job's name. It now holds the execution's id, which keeps runs apart."
            self._say(task, Reason("AIRFLOW-OUTPUT-001", text), is_exact=False)
        self._products += products
        final = cast("JsonObject", self._put_expressions(separated, kind.step_type, (), task))
        self.steps.nodes.append(
            PipelineStepNode(name, task.task_id, kind.step_type, final, tuple(Dependency(one) for one in after))
        )
        return name

    def _say(self, task: JobTask, reason: Reason, *, is_exact: bool = True) -> None:
        said = self.steps.reasons.setdefault(task.task_id, [])
        if reason not in said:
            said.append(reason)
        if not is_exact:
            self.steps.inexact.add(task.task_id)

    # --- what only Airflow knows --------------------------------------------------------------------------------------

    def _put_expressions(self, value: JsonValue, step_type: str, path: JsonPath, task: JobTask) -> JsonValue:
        if isinstance(value, dict):
            return {key: self._put_expressions(item, step_type, (*path, key), task) for key, item in value.items()}
        if isinstance(value, list):
            return [self._put_expressions(item, step_type, (*path, index), task) for index, item in enumerate(value)]
        if not self._marks.has_mark(value):
            return value
        parts = list(self._marks.split(str(value)))
        wanted = find_parameter_type(step_type, path) if len(parts) == 1 else None
        made = [one if isinstance(one, str) else self._refer(one, wanted or "String", path) for one in parts]
        return join_parts(made)

    def _refer(self, mark: Mark, type_name: str, path: JsonPath) -> JsonValue:
        """What stands for a mark in a definition: a step's property, or a parameter."""
        pull = parse_template(mark.text) if mark.is_template else None
        read = pull.task_id.rpartition(".")[2] if pull is not None else ""
        if pull is not None and read in self._last_of:
            found = find_property(self._kinds[read], pull.path)
            if found is not None:
                return {"Get": f"Steps.{self._last_of[read]}.{found}"}
        key = (mark, type_name)
        name = self._parameter_of.get(key)
        if name is None:
            name = self._parameter_names.claim(_make_name(mark.text, path), otherwise="Value")
            self._parameter_of[key] = name
            self.steps.parameters.append(Parameter(name, type_name))
            self.steps.values[name] = pull if pull is not None and read in self._kinds else mark
        return {"Get": f"Parameters.{name}"}


_JINJA_WORDS = frozenset(
    {"ti", "xcom_pull", "task_instance", "task_ids", "var", "value", "get", "key", "dag_run", "conf"}
)


def _make_name(text: str, path: JsonPath) -> str:
    """A name for a parameter: the last word of the expression that says something, or else its place."""
    words = [one for one in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text) if one.lower() not in _JINJA_WORDS]
    found = words[-1] if words else next((one for one in reversed(path) if isinstance(one, str)), "Value")
    return "".join(part[:1].upper() + part[1:] for part in found.split("_"))
