"""Property paths: reading one from text, writing it back, and following it into a document.

This is the only code that does any of the three. The engine resolves ``Get`` and ``Std:JsonGet`` with it, the operators
read their ``outputs`` with it. Which document a path starts in is for the caller to know, and so is the sentence around
the reason that :class:`PropertyNotFoundError` gives.

Source: the SDKs' ``workflow.properties`` and the developer guide's "Step properties". Negative indexes, wildcards and
filters are not part of the language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from airflow_sm_pipelines.definition.json_value import describe_kind, format_path
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.steps import PropertyFile, name_iteration
from airflow_sm_pipelines.exceptions import DefinitionError

PropertyPath: TypeAlias = "tuple[str | int, ...]"
"""Member names, map keys, names of list entries and indexes from 0, from the outside in."""

NAMING_MEMBERS = (
    "OutputName",
    "InputName",
    "ChannelName",
    "MetricName",
    "Name",
    "ModelName",
    "ParameterName",
    "TestName",
    "StepName",
)
"""The members by which a path finds an entry of a list: ``Outputs['train']`` is the entry whose ``OutputName`` is
``train``. An entry that has several of them answers to each."""

_NAME = re.compile(r"[^.\[\]]+")
_SEGMENT = re.compile(
    r"\.(?P<member>[^.\[\]]+)|\[(?P<index>[0-9]{1,18})\]|\['(?P<single>.*?)'\]|\[\"(?P<double>.*?)\"\]", re.DOTALL
)


class PropertyNotFoundError(LookupError):
    """A path that leads nowhere.

    The text goes after "... has": ``no property 'Outputs.tset'. 'Outputs' has entries named 'test'. Did you mean ...``.

    :param path: the path down to the first segment that is not there.
    :param value: the value in which that segment was looked for.
    """

    def __init__(self, path: PropertyPath, value: object) -> None:
        self.path = path
        self.value = value
        super().__init__(f"no property '{format_path(path)}'. {_describe_surroundings(path, value)}")


def parse_tail(text: str, *, whole: str) -> PropertyPath:
    """Read what follows a name: ``.Outputs['train'][0]``.

    A quoted key may hold anything but its own end, ``']`` or ``"]``.

    :param whole: the text that ``text`` ends, for the message.
    :raises DefinitionError: if the text is no path.
    """
    path: list[str | int] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise DefinitionError(
                f"{whole!r} cannot be read from {text[position:]!r} on: a path goes on with .name, [0] or ['key']."
            )
        index = match.group("index")
        path.append(int(index) if index is not None else str(match.group(match.lastgroup or 0)))
        position = match.end()
    return tuple(path)


def parse_document_path(text: str) -> PropertyPath:
    """Read the path into a JSON document, as ``Std:JsonGet`` takes it: ``a.b``, ``a[0]``, ``['k'].b``, ``$.a``.

    :return: empty for the whole document: ``""`` and ``$``.
    :raises DefinitionError: if the text is no path.
    """
    tail = text[1:] if text == "$" or text.startswith(("$.", "$[")) else text
    if tail is text and tail and not tail.startswith(("[", ".")):
        tail = f".{tail}"
    return parse_tail(tail, whole=text)


def format_tail(path: PropertyPath) -> str:
    """Write a path as :func:`parse_tail` reads it."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _NAME.fullmatch(part):
            parts.append(f".{part}")
        else:
            quote = '"' if "']" in part else "'"
            parts.append(f"[{quote}{part}{quote}]")
    return "".join(parts)


def walk_path(root: Any, path: PropertyPath) -> Any:
    """Follow a path into a document.

    A name in a list finds the first entry that carries it in one of :data:`NAMING_MEMBERS`; a number in an object finds
    the member with these digits as its name.

    :param root: JSON values, or the answer of a Describe call.
    :raises PropertyNotFoundError: at the first segment that is not there.
    """
    value = root
    for position, segment in enumerate(path):
        found, inner = _step_into(value, segment)
        if not found:
            raise PropertyNotFoundError(path[: position + 1], value)
        value = inner
    return value


def find_value(root: Any, *path: str | int) -> Any:
    """Follow a path as :func:`walk_path` does; ``None`` where it leads nowhere."""
    value = root
    for segment in path:
        found, value = _step_into(value, segment)
        if not found:
            return None
    return value


def walk_step_property(properties: Any, path: PropertyPath) -> Any:
    """Follow the path of a ``Get`` into the properties of a step.

    The outputs of Lambda and Callback steps are pairs of name and value; ``OutputParameters['x']`` is the value.

    :param properties: the answer of the Describe call for what the step made, or its metadata.
    :raises PropertyNotFoundError: at the first segment that is not there.
    """
    value = walk_path(properties, path)
    if len(path) == 2 and path[0] == "OutputParameters" and isinstance(value, Mapping):
        return value.get("Value")
    return value


def locate_property_file(properties: Any, file: PropertyFile) -> str:
    """Find the S3 address of a property file: its path below the output that holds it.

    :param properties: the properties of the step that wrote it.
    :raises PropertyNotFoundError: if the step has no such output, or it is not on S3.
    """
    folder = walk_path(properties, ("ProcessingOutputConfig", "Outputs", file.output_name, "S3Output", "S3Uri"))
    return f"{str(folder).rstrip('/')}/{file.path.lstrip('/')}"


def split_iteration(path: PropertyPath) -> tuple[str, PropertyPath] | None:
    """Split the path into one iteration of a ForEach step: the step made for that item, and the path in its properties.

    :return: ``("train-2", ("X",))`` for ``IterationOutputs[2].train.X``; ``None`` for any other path.
    """
    if len(path) > 2 and path[0] == "IterationOutputs" and isinstance(path[1], int):
        return name_iteration(str(path[2]), path[1]), path[3:]
    return None


def _step_into(value: Any, segment: str | int) -> tuple[bool, Any]:
    if isinstance(value, Mapping):
        key = str(segment)
        return (True, value[key]) if key in value else (False, None)
    if not isinstance(value, (list, tuple)):
        return False, None
    if isinstance(segment, int):
        return (True, value[segment]) if 0 <= segment < len(value) else (False, None)
    for entry in value:
        if isinstance(entry, Mapping) and any(entry.get(member) == segment for member in NAMING_MEMBERS):
            return True, entry
    return False, None


def _describe_surroundings(path: PropertyPath, value: Any) -> str:
    """Say what there is where the last segment of a path was looked for."""
    missing = str(path[-1])
    owner = f"'{format_path(path[:-1])}'" if len(path) > 1 else "It"
    if isinstance(value, Mapping):
        return f"{owner} has {list_names(map(str, value), limit=20)}.{suggest(missing, map(str, value))}"
    if not isinstance(value, (list, tuple)):
        return f"{owner} is {_describe_plain(value)}."
    names = [str(name) for entry in value for name in _names_of(entry)[:1]]
    if isinstance(path[-1], int) or not names:
        return f"{owner} has {'1 entry' if len(value) == 1 else f'{len(value)} entries'}."
    return f"{owner} has entries named {list_names(names, limit=20)}.{suggest(missing, names)}"


def _names_of(entry: Any) -> list[Any]:
    return [entry[member] for member in NAMING_MEMBERS if member in entry] if isinstance(entry, Mapping) else []


def _describe_plain(value: Any) -> str:
    is_json = value is None or isinstance(value, (bool, int, float, str))
    return describe_kind(value) if is_json else f"the {type(value).__name__} {value}"
