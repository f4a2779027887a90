"""What is known of a task's inputs before the pipeline runs, and how a step is given it.

A parameter's value is a literal, or comes from a run: from the DAG's params, from a task's output, from a loop's item.
:func:`to_native` makes the definition's expression of it, for conditions and for the arguments of SageMaker's own
components. A container is started by the launcher (:mod:`component_launcher`), which can do more: see
:mod:`component_steps`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from airflow_sm_pipelines.definition.expressions import is_candidate
from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import read_constant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import Component, GraphTask, Iterator

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']*)'\]\}\}")
"""A parameter's value inside the text of a constant, a command or an argument."""

_ITEM = re.compile(r"(ForEach\.CurrentItem\.(?:level_\d+_)?)value")

FACTS: dict[str, JsonValue] = {
    "{{$.pipeline_job_name}}": {"Get": "Execution.PipelineName"},
    "{{$.pipeline_job_uuid}}": {"Get": "Execution.PipelineExecutionId"},
    "{{$.pipeline_job_resource_name}}": {"Get": "Execution.PipelineName"},
}
"""What texts may say of the run, and the nearest thing that a pipeline's execution has."""


class NotCarriedError(Exception):
    """Something that neither a pipeline nor a DAG does: the message says what, for the report."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that the source says."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class RunValue:
    """A value that an expression of the definition gives, at most 256 characters long.

    :param is_number: whether it can be compared as a number.
    :param default: what it is if a run does not say, where the source says so.
    """

    expression: JsonObject
    is_number: bool = False
    default: JsonValue = None


@dataclass(frozen=True, slots=True)
class StepOutput:
    """A parameter or an artifact that a step's container has written.

    :param node: the step's name.
    :param key: the output's name.
    """

    node: str
    key: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """The first of several values that exists: that of whichever branch ran."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose entries come from elsewhere, such as what the iterations of a loop gave."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Collected:
    """An output of each iteration of a loop that a ForEach step or a mapped task repeats.

    :param folder: below which each iteration has a folder, called as its number.
    :param key: the output's name.
    """

    folder: JsonObject
    key: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text with other values in it, as ``{{$.inputs.parameters['name']}}``."""

    text: str
    inputs: Mapping[str, Value] = field(hash=False)


@dataclass(frozen=True, slots=True)
class ValueMember:
    """A member of a structure."""

    holder: Value
    name: str


@dataclass(frozen=True, slots=True)
class Imported:
    """An artifact that an importer names.

    :param uri: its address.
    :param schema: its type, such as ``system.Dataset``.
    :param metadata: its metadata, which may hold placeholders of inputs.
    :param inputs: the values of these inputs.
    """

    uri: Value
    schema: str
    metadata: Mapping[str, JsonValue] = field(hash=False)
    inputs: Mapping[str, Value] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """A value that is not there, and why."""

    why: str


Value: TypeAlias = Literal | RunValue | StepOutput | OneOf | ListOf | Collected | Text | ValueMember | Imported | Absent


def get_base(node: str) -> JsonObject:
    """The address below which a step's outputs are. A step that took them from the cache has the old address."""
    return {"Get": f"Steps.{node}.ProcessingOutputConfig.Outputs['kfp'].S3Output.S3Uri"}


def find_member(holder: Value, name: str) -> Value:
    """A member of a value, looked up at once where the value is known."""
    if isinstance(holder, Literal):
        value = holder.value
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        return Literal(value[name]) if isinstance(value, dict) and name in value else Absent(f"there is no {name!r}")
    if isinstance(holder, RunValue) and (found := _ITEM.fullmatch(str(holder.expression.get("Get")))):
        return RunValue({"Get": f"{found[1]}field_{name}"}, is_number=True)
    return holder if isinstance(holder, Absent) else ValueMember(holder, name)


def make_text(text: str, inputs: Mapping[str, Value]) -> Value:
    """The value of a constant that may have other values in it."""
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1] in inputs:
        return inputs[whole[1]]
    names = [name for name in PLACEHOLDER.findall(text) if name in inputs]
    known = {name: inputs[name] for name in names}
    if not known:
        return Literal(text)
    if all(isinstance(one, Literal) for one in known.values()):
        return Literal(PLACEHOLDER.sub(lambda found: as_text(cast("Literal", known[found[1]]).value), text))
    return Text(text, known)


def as_text(value: JsonValue) -> str:
    """A value as a command line or a file has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def to_native(value: Value, *, is_number: bool = False) -> JsonValue:
    """The expression of the definition that gives a value.

    :param is_number: whether it is compared with a number.
    :raises NotCarriedError: there is none.
    """
    if isinstance(value, Literal):
        return _keep_literal(value.value)
    if isinstance(value, RunValue):
        if is_number and not value.is_number:
            raise NotCarriedError("a text parameter is compared with a number: make it a parameter of type int")
        return dict(value.expression)
    if isinstance(value, StepOutput):
        return read_output(value.node, "numbers" if is_number else "values", value.key)
    if isinstance(value, OneOf):
        return {"Std:First": [to_native(one, is_number=is_number) for one in value.values]}
    if isinstance(value, Text):
        return {"Std:Join": {"On": "", "Values": list(_split_text(value))}}
    if isinstance(value, Absent):
        raise NotCarriedError(value.why)
    what = {ListOf: "a list of outputs", Collected: "what a loop collected", Imported: "an imported artifact"}
    raise NotCarriedError(f"{what.get(type(value), 'a member of a structure')} is known to a container only")


def _keep_literal(value: JsonValue) -> JsonValue:
    if isinstance(value, dict) and is_candidate(value):
        raise NotCarriedError("a constant would be read as an expression of the definition")
    return value


def _split_text(value: Text) -> list[JsonValue]:
    parts: list[JsonValue] = []
    end = 0
    for found in PLACEHOLDER.finditer(value.text):
        if found[1] in value.inputs:
            if value.text[end : found.start()]:
                parts.append(value.text[end : found.start()])
            inner = to_native(value.inputs[found[1]])
            parts.append(inner if isinstance(inner, (str, dict)) else as_text(inner))
            end = found.end()
    return [*parts, value.text[end:]] if value.text[end:] else parts


def read_output(node: str, kind: str, key: str) -> JsonObject:
    """The expression that reads an output parameter from what a step's launcher has written.

    :param kind: ``values``, ``numbers``, or ``items`` for a list as the items of a loop.
    """
    path = f"{kind}.{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"{kind}['{key}']"
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{node}.PropertyFiles.outputs"}, "Path": path}}


# --- what a task is given ---------------------------------------------------------------------------------------------

_SELECTOR = re.compile(r"parseJson\(string_value\)((?:\[(?:\"[^\"]*\"|'[^']*')\])+)\Z")
_KEY = re.compile(r"\[[\"']([^\"']*)[\"']\]")


class Given(Protocol):
    """What became of a task, as far as others read it."""

    @property
    def outputs(self) -> Mapping[str, Value]:
        """Its parameters."""

    @property
    def artifacts(self) -> Mapping[str, Value]:
        """Its artifacts."""


def find_inputs(
    task: GraphTask,
    component: Component,
    inputs: Mapping[str, Value],
    artifacts: Mapping[str, Value],
    done: Mapping[str, Given],
    *,
    has_failed: bool = False,
) -> tuple[dict[str, Value], dict[str, Value]]:
    """What a task is given: its parameters and its artifacts.

    :param inputs: the values of the parameters of the component that the task stands in.
    :param artifacts: those of its artifacts.
    :param done: what became of the tasks before it.
    :param has_failed: whether one of the tasks that it waits for has failed, so that what they give is not there.
    """
    found: dict[str, Value] = {}
    texts: dict[str, str] = {}
    for name, given in task.parameters.items():
        value = _find_parameter(given, inputs, done, has_failed=has_failed)
        if isinstance(value, Literal) and isinstance(value.value, str) and "{{$" in value.value:
            texts[name] = value.value
        found[name] = value
    for name, text in texts.items():
        found[name] = make_text(text, {key: one for key, one in found.items() if key not in texts})
    for name, definition in component.inputs.items():
        if isinstance(found.get(name, Absent("")), Absent):
            if definition.default is not None:
                found[name] = Literal(definition.default)
            elif definition.is_optional:
                found[name] = Absent("it is optional, and not given")
            elif name in found:
                continue
            else:
                found[name] = Absent(f"the input {name!r} is not given")
    files = {
        name: _find_artifact(given, artifacts, done, has_failed=has_failed) for name, given in task.artifacts.items()
    }
    _refuse_absent(task, component, found, files)
    return found, files


def _refuse_absent(
    task: GraphTask, component: Component, found: Mapping[str, Value], files: Mapping[str, Value]
) -> None:
    """Refuse a task that is given what is not there."""
    for name in task.parameters:
        value, definition = found[name], component.inputs.get(name)
        if isinstance(value, Absent) and (definition is None or not definition.is_optional):
            raise NotCarriedError(f"its input {name!r} is not there: {value.why}")
    for name, value in files.items():
        if isinstance(value, Absent) and not component.input_artifacts.get(name):
            raise NotCarriedError(f"its input {name!r} is not there: {value.why}")


def _find_parameter(
    given: JsonObject, inputs: Mapping[str, Value], done: Mapping[str, Given], *, has_failed: bool
) -> Value:
    value = find_source(given, inputs, done, has_failed=has_failed)
    selector = given.get("parameterExpressionSelector")
    if selector is None:
        return value
    match = _SELECTOR.match(str(selector))
    if match is None:
        raise NotCarriedError(f"it selects by {selector!r}, which KFP does not write")
    for key in _KEY.findall(match[1]):
        value = find_member(value, key)
    return value


def find_source(
    given: JsonObject, inputs: Mapping[str, Value], done: Mapping[str, Given], *, has_failed: bool = False
) -> Value:
    """What an input is given.

    :param inputs: the values of the parameters of the component that the task stands in.
    :param done: what became of the tasks before it.
    """
    constant = given.get("runtimeValue")
    if isinstance(constant, dict):
        if "runtimeParameter" in constant:
            return _get(inputs, str(constant["runtimeParameter"]))
        return Literal(read_constant(constant))
    if "componentInputParameter" in given:
        return _get(inputs, str(given["componentInputParameter"]))
    made = given.get("taskOutputParameter")
    if isinstance(made, dict):
        if has_failed:
            return Absent("the task that gives it has failed")
        group = done.get(str(made.get("producerTask")))
        outputs = {} if group is None else group.outputs
        return _get(outputs, str(made.get("outputParameterKey")))
    status = given.get("taskFinalStatus")
    if isinstance(status, dict):
        return Literal(_make_status(str(status.get("producerTask")), has_failed=has_failed))
    raise NotCarriedError(f"an input is given by {', '.join(given) or 'nothing'}, which nothing here reads")


def _make_status(task: str, *, has_failed: bool) -> JsonObject:
    """What KFP tells an exit task of the tasks before it."""
    error: JsonObject = {"code": 9, "message": f"{task} failed. The logs of its tasks say why."} if has_failed else {}
    return {
        "state": "FAILED" if has_failed else "SUCCEEDED",
        "pipelineJobResourceName": "",
        "pipelineTaskName": task,
        "error": error,
    }


def _find_artifact(
    given: JsonObject, artifacts: Mapping[str, Value], done: Mapping[str, Given], *, has_failed: bool
) -> Value:
    if "componentInputArtifact" in given:
        return _get(artifacts, str(given["componentInputArtifact"]))
    made = given.get("taskOutputArtifact")
    if isinstance(made, dict):
        if has_failed:
            return Absent("the task that gives it has failed")
        return _get(done[str(made.get("producerTask"))].artifacts, str(made.get("outputArtifactKey")))
    raise NotCarriedError(f"an artifact is given by {', '.join(given) or 'nothing'}, which nothing here reads")


def _get(values: Mapping[str, Value], name: str) -> Value:
    return values.get(name, Absent(f"nothing is called {name!r}"))


def find_graph_outputs(outputs: JsonObject, done: Mapping[str, Given]) -> tuple[dict[str, Value], dict[str, Value]]:
    """What a graph gives: parameters and artifacts, by name."""
    parameters, artifacts = outputs.get("parameters"), outputs.get("artifacts")
    return (
        {key: _find_output(one, done) for key, one in (parameters if isinstance(parameters, dict) else {}).items()},
        {key: _find_output(one, done) for key, one in (artifacts if isinstance(artifacts, dict) else {}).items()},
    )


def _find_output(one: Any, done: Mapping[str, Given]) -> Value:
    selectors = _find_selectors(one)
    found = [value for selector in selectors if not isinstance(value := _select(selector, done), Absent)]
    if not found:
        return Absent("no task gives it")
    return found[0] if len(found) == 1 and len(selectors) == 1 else OneOf(tuple(found))


def _find_selectors(one: Any) -> list[Any]:
    if not isinstance(one, dict):
        return []
    if isinstance(one.get("valueFromParameter"), dict):
        return [one["valueFromParameter"]]
    either = one.get("valueFromOneof")
    selectors = (either if isinstance(either, dict) else {}).get("parameterSelectors") or one.get("artifactSelectors")
    return selectors if isinstance(selectors, list) else []


def _select(selector: Any, done: Mapping[str, Given]) -> Value:
    group = done.get(str(selector.get("producerSubtask"))) if isinstance(selector, dict) else None
    if group is None:
        return Absent("no task is called so")
    if "outputArtifactKey" in selector:
        return _get(group.artifacts, str(selector["outputArtifactKey"]))
    return _get(group.outputs, str(selector.get("outputParameterKey")))


def find_items(iterator: Iterator, inputs: Mapping[str, Value], artifacts: Mapping[str, Value]) -> Value:
    """What a loop repeats for: a :class:`ListOf` if the source says it."""
    if iterator.raw is not None:
        value: Value = Literal(iterator.raw)
    else:
        value = _get(artifacts if iterator.is_artifact else inputs, iterator.source)
    if isinstance(value, Absent):
        raise NotCarriedError(f"it repeats for what is not there: {value.why}")
    if not isinstance(value, Literal):
        return value
    items = value.value
    if isinstance(items, str):
        try:
            items = json.loads(items)
        except ValueError:
            raise NotCarriedError("it repeats for a text that is no list") from None
    if not isinstance(items, list):
        raise NotCarriedError("it repeats for something that is no list")
    return ListOf(tuple(map(Literal, items)))


def find_own_output(key: str, outputs: Mapping[str, Value]) -> Value:
    """KFP 1 puts the task's name before the output's: ``train-model_artifact_url``."""
    plain = key.replace("_", "-").lower()
    found = [one for name, one in outputs.items() if plain.endswith(f"-{name.replace('_', '-').lower()}")]
    return found[0] if found else Absent(f"the component has no output {key!r}")


def read_importer(importer: JsonObject, inputs: Mapping[str, Value]) -> Imported:
    """The artifact that an importer names.

    :param inputs: the values of its parameters.
    """
    uri = importer.get("artifactUri")
    holder: JsonObject = uri if isinstance(uri, dict) else {"constant": uri}
    schema = importer.get("typeSchema")
    title = str(schema.get("schemaTitle") or "system.Artifact") if isinstance(schema, dict) else "system.Artifact"
    metadata = importer.get("metadata")
    if "runtimeParameter" in holder:
        value = inputs.get(str(holder["runtimeParameter"]), Absent("the importer is given no address"))
    else:
        value = Literal(read_constant(holder))
    known: JsonObject = dict(metadata) if isinstance(metadata, dict) else {}
    names = dict.fromkeys(PLACEHOLDER.findall(json.dumps(known)))
    missing = next((name for name in names if name not in inputs), None)
    if missing is not None:
        raise NotCarriedError(f"the importer's metadata name the input {missing!r}, which is not given")
    return Imported(value, title, known, {name: inputs[name] for name in names})
