"""Finds the pipelines of Kubeflow in a file.

A file may be KFP's intermediate representation (YAML, with a second document for the platform, or JSON), the job of
Vertex AI that wraps one, or a Workflow of Argo that KFP 1 compiled. This module opens no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition.json_text import JsonText
from airflow_sm_pipelines.documents.values import DocumentValue, YamlText, decode_text
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath

MAX_TASKS = 1000
"""A pipeline with more tasks is refused: no one reads what would become of it."""

_MAX_BYTES = 4 << 20
_MAX_VALUES = 300_000
_MAX_YAML_PARTS = 100_000
"""Lines and commas of YAML, which is read at some 20,000 values a second."""

_TASKS = re.compile(r'"?componentRef"?\s*:|^\s*(?:- )?template: ', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HeldPipeline:
    """A pipeline that a file holds.

    :param name: as the file has it.
    :param is_argo: whether it is a Workflow of Argo; otherwise it is KFP's intermediate representation.
    :param document: the pipeline's object.
    :param platform: the Kubernetes part of the platform's document; empty without one.
    :param given: values of the pipeline's parameters that stand beside it.
    :param locate: gives the place of a value of the pipeline, by its path.
    """

    name: str
    is_argo: bool
    document: JsonObject
    locate: Callable[[JsonPath], str]
    platform: JsonObject = field(default_factory=dict)
    given: JsonObject = field(default_factory=dict)


def mentions_pipelines(source: bytes) -> bool:
    """Whether a file may hold a pipeline, from its text alone."""
    return b"deploymentSpec" in source or b"pipelines.kubeflow.org" in source


def find_pipelines(source: bytes, *, name: str) -> tuple[HeldPipeline, ...]:
    """The pipelines in a file.

    :param name: of the file, for messages.
    :raises MigrationError: with the place, if the file cannot be read, or holds none.
    """
    text = decode_text(source)
    if text is None:
        raise MigrationError(f"{name}:1:1: this is no text.")
    _refuse_size(text, name)
    try:
        document = _load(text, name)
    except DefinitionError as error:
        message = str(error)
        place = "" if re.match(rf"{re.escape(name)}:\d+:\d+", message) else f"{name}:1:1: "
        raise MigrationError(place + message) from None
    _check_values(document, name)
    found = tuple(_find(document, name))
    if not found:
        raise MigrationError(
            f"{name}:1:1: this holds no pipeline of Kubeflow: neither deploymentSpec and root, nor a Workflow of Argo."
        )
    return found


def _refuse_size(text: str, name: str) -> None:
    """Refuse what is larger than any pipeline, before it is parsed."""
    if len(text) > _MAX_BYTES:
        raise MigrationError(f"{name}:1:1: this has more than {_MAX_BYTES >> 20} MiB, and no pipeline has.")
    if not _is_json(text) and text.count("\n") + text.count(",") > _MAX_YAML_PARTS:
        raise MigrationError(f"{name}:1:1: this YAML has more than {_MAX_YAML_PARTS} lines and commas: give JSON.")
    for number, found in enumerate(_TASKS.finditer(text)):
        if number == MAX_TASKS:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            raise MigrationError(f"{name}:{line}:{column}: this pipeline has more than {MAX_TASKS} tasks: split it.")


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _load(text: str, name: str) -> DocumentValue:
    if _is_json(text):
        source = JsonText(text)
        value, problems = source.load()
        if problems:
            first = problems[0]
            raise MigrationError(f"{name}:{first.line or 1}:{first.column or 1}: {first.message}")
        return DocumentValue((value,), source)
    yaml = YamlText(text, name=name)
    return DocumentValue(yaml.load(), yaml)


def _check_values(document: DocumentValue, name: str) -> None:
    """Refuse a document that aliases make huge, that refers to itself, or with keys that JSON does not have."""
    count = 0
    stack: list[Any] = list(document.values)
    while stack:
        item = stack.pop()
        count += 1
        if count > _MAX_VALUES:
            raise MigrationError(f"{name}:1:1: this holds more than {_MAX_VALUES} values, or one that holds itself.")
        if isinstance(item, dict):
            odd = next((key for key in item if not isinstance(key, str)), None)
            if odd is not None:
                raise MigrationError(f"{name}:1:1: the key {odd!r} is no text for YAML: write it in quotes.")
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _find(document: DocumentValue, name: str) -> Iterator[HeldPipeline]:
    platform: JsonObject = {}
    for value in document.values:
        platforms = value.get("platforms") if isinstance(value, dict) else None
        if isinstance(platforms, dict) and isinstance(platforms.get("kubernetes"), dict):
            platform = platforms["kubernetes"]
    for number, value in enumerate(document.values):
        for path in ((), ("pipelineSpec",), ("spec", "pipelineSpec"), ("pipeline_spec",)):
            inner = _get(value, path)
            if isinstance(inner, dict) and "deploymentSpec" in inner and "root" in inner:
                beside = _get(value, ("spec", "platformSpec", "platforms", "kubernetes"))
                yield HeldPipeline(
                    str(_get(inner, ("pipelineInfo", "name")) or ""),
                    False,
                    inner,
                    _make_locator(document, name, number, path),
                    beside if isinstance(beside, dict) else platform,
                    _read_given(value),
                )
                break
        else:
            if isinstance(value, dict) and value.get("kind") in ("Workflow", "WorkflowTemplate", "CronWorkflow"):
                yield _hold_workflow(value, document, name, number)


def _read_given(value: Any) -> JsonObject:
    """The values of parameters in a job of Vertex AI."""
    config = _get(value, ("runtimeConfig",))
    if not isinstance(config, dict):
        return {}
    values = config.get("parameterValues")
    if isinstance(values, dict):
        return values
    older = config.get("parameters")
    return {key: next(iter(one.values())) for key, one in (older or {}).items() if isinstance(one, dict) and one}


def _hold_workflow(value: JsonObject, document: DocumentValue, name: str, number: int) -> HeldPipeline:
    metadata = value.get("metadata")
    holder = metadata if isinstance(metadata, dict) else {}
    called = str(holder.get("name") or holder.get("generateName") or "").rstrip("-")
    return HeldPipeline(called, True, value, _make_locator(document, name, number, ()))


def _make_locator(document: DocumentValue, name: str, number: int, prefix: JsonPath) -> Callable[[JsonPath], str]:
    def locate(path: JsonPath) -> str:
        line, column = document.locate((*prefix, *path), number) or (1, 1)
        return f"{name}:{line}:{column}"

    return locate


def _get(value: Any, path: JsonPath) -> Any:
    for key in path:
        value = value.get(cast("str", key)) if isinstance(value, dict) else None
    return value
