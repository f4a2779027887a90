"""Tells the names that an SDK makes up from what an author wrote.

SageMaker's SDKs put times, random numbers and digests into names of jobs and keys of S3, as older releases of this
package did. A digest of code says that something was hashed, not what: whether two addresses hold the same code is a
question to S3, so the pairs to compare are given back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition

_STAMP = (
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a uuid
    r"|\d{4}(?:-\d\d){5}-\d{3}"  # a time, to the millisecond
    r"|(?<=-)\d{14}"  # a time without separators, as v3 writes it
    r"|(?<=-)\d{10}(?:-[0-9a-f]{4})?"  # seconds since 1970, with and without a random end
    r"|(?<=-)\d{6}-\d{4}(?:-[0-9a-f]{4,8})?"  # a time to the minute
    r"|(?<=-)(?=\d*[a-f])[0-9a-f]{8}"  # the beginning of a uuid
    r"|[0-9a-f]{20,64}"  # a digest
)
_TEMPORARY = r"(?<=requirements_)[a-z0-9_]{8}(?=\.txt)|(?<=/tmp)[a-z0-9_]{8}(?=/|$)"
_GENERATED = re.compile(rf"(?<![0-9A-Za-z])(?:{_STAMP})(?![0-9A-Za-z])|{_TEMPORARY}")
_WHOLE_SEGMENT = re.compile(r"/\*(?=/|$)")
_SECRET = "REMOTE_FUNCTION_SECRET_KEY"  # noqa: S105 - a variable's name
_OUTPUT = re.compile(r"Output|CheckpointConfig|Destination")


@dataclass(frozen=True, slots=True)
class NamesOnly:
    """Nothing but generated names differs from what is deployed.

    :param recomputed: the steps that lose their cached result by it.
    :param unread: the addresses that could not be compared; what lies there may differ.
    """

    recomputed: tuple[str, ...]
    unread: tuple[str, ...]

    def __str__(self) -> str:
        text = "Only names that the SDK made up differ from what is deployed; this release takes them from the content."
        if self.recomputed:
            text += f" So these steps lose their cached result, once: {', '.join(self.recomputed)}."
        if self.unread:
            text += f" What lies at these addresses could not be compared: {', '.join(self.unread)}."
        return text


@dataclass(frozen=True, slots=True)
class AddressPair:
    """Two addresses of S3 that differ in generated names only.

    :param step: the step of the new definition that reads from there.
    """

    step: str
    before: str
    after: str


def without_generated_names(text: str) -> str:
    """The text with ``*`` for each name that an SDK may have made up."""
    return _GENERATED.sub("*", text)


def pair_addresses(old: PipelineDefinition, new: PipelineDefinition) -> tuple[AddressPair, ...] | None:
    """Give the addresses that decide whether generated names are all that differs; ``None`` if more differs.

    :return: for each address whose names differ, the pair of them. Empty if nothing differs but names of jobs.
    """
    try:
        found = [*_compare(old.to_json(), new.to_json(), _Place("", ""))]
    except _MoreDiffersError:
        return None
    return tuple(dict.fromkeys(found))


def is_same_settings(old: JsonValue, new: JsonValue) -> bool:
    """Whether two files of settings that an SDK writes for its drivers differ in names and local folders only."""
    try:
        return not any(pair.before for pair in _compare(old, new, _Place("", ".HyperParameters")))
    except _MoreDiffersError:
        return False


class _MoreDiffersError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Place:
    step: str
    path: str

    def below(self, part: str) -> _Place:
        return _Place(self.step, f"{self.path}.{part}")


def _compare(old: JsonValue, new: JsonValue, place: _Place) -> Iterator[AddressPair]:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        name = new.get("Name")
        if isinstance(name, str) and "Type" in new and "Arguments" in new:
            place = _Place(name, "")
            yield from _function_pairs(old, new)
        for key, value in new.items():
            yield from _compare(old[key], value, place.below(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare(before, after, place.below(str(number)))
    elif isinstance(old, str) and isinstance(new, str):
        yield from _compare_texts(old, new, place)
    elif old != new:
        raise _MoreDiffersError


def _compare_texts(old: str, new: str, place: _Place) -> Iterator[AddressPair]:
    if old == new or place.path.endswith(_SECRET):
        return
    # Hyperparameters of the SDK are texts in quotes.
    before, after = (text.strip('"') for text in (old, new))
    is_address = after.startswith("s3://")
    plain = [without_generated_names(text) for text in (before, after)]
    if is_address:
        plain = [_WHOLE_SEGMENT.sub("", text) for text in plain]
    if plain[0] != plain[1]:
        if not _is_the_same_place(before, after, place):
            raise _MoreDiffersError
    elif is_address and not _OUTPUT.search(place.path):
        yield AddressPair(place.step, before, after)


def _is_the_same_place(before: str, after: str, place: _Place) -> bool:
    """Whether one text names a local file or module by the machine's folders, and the other by the project."""
    if place.path == ".Description" or ".HyperParameters." in place.path:
        return before.startswith("/") and before.endswith(f"/{after}")
    is_main = before.startswith("__main__.") and before.partition(".")[2] == after.rpartition(".")[2]
    return place.path == ".DisplayName" and is_main


def _function_pairs(old: JsonObject, new: JsonObject) -> Iterator[AddressPair]:
    """A ``@step``'s function lies in a folder that its job's arguments name in parts."""
    before, after = (_function_folder(step) for step in (old, new))
    if before and after and before != after:
        yield AddressPair(str(new["Name"]), before, after)


def _function_folder(step: JsonObject) -> str | None:
    arguments = step["Arguments"]
    algorithm = arguments.get("AlgorithmSpecification") if isinstance(arguments, dict) else None
    given = algorithm.get("ContainerArguments") if isinstance(algorithm, dict) else None
    if not isinstance(given, list):
        return None
    named = {name: value for name, value in zip(given, given[1:]) if isinstance(name, str)}  # noqa: B905, RUF007
    parts = [named.get(option) for option in ("--s3_base_uri", "--pipeline_step_name", "--func_step_s3_dir")]
    return "/".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None
