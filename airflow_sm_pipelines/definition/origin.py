"""Writing a model back as the JSON it was read from.

Typed fields know neither the order of keys nor whether a key was absent, ``null`` or ``[]``. So every model keeps the
object it was read from. Members that have not been replaced are written as they stood, the others anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue, copy_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Origin:
    """The JSON object that a model was read from.

    :param raw: the object.
    :param values: the values that were read from its known keys.
    """

    raw: JsonObject
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """A known member of a model that is being written.

    :param value: the model's value; compared with the value that was read.
    :param is_default: whether a new object leaves the member out.
    :param encode: makes the JSON of ``value``.
    """

    key: str
    value: object
    is_default: bool
    encode: Callable[[], JsonValue]


def write_object(origin: Origin | None, members: Iterable[Member], extra: JsonObject) -> JsonObject:
    """Write a model as a JSON object, a copy that may be changed.

    :param origin: the object that the model was read from, if any.
    :param members: the known members, in their order in a new object.
    :param extra: the other members.
    """
    known = {member.key: member for member in members}
    written: JsonObject = {}
    raw = origin.raw if origin else {}
    values: Mapping[str, object] = origin.values if origin else {}
    for key, value in raw.items():
        member = known.get(key)
        if member is None:
            if key in extra:
                written[key] = copy_json(extra[key])
        elif key in values and _is_unchanged(values[key], member.value):
            written[key] = copy_json(value)
        elif not member.is_default:
            written[key] = member.encode()
    for member in known.values():
        if member.key not in raw and not member.is_default:
            written[member.key] = member.encode()
    for key, value in extra.items():
        if key not in written:
            written[key] = copy_json(value)
    return written


def _is_unchanged(before: object, now: object) -> bool:
    if before is now:
        return True
    if isinstance(before, tuple) and isinstance(now, tuple):
        return len(before) == len(now) and all(map(_is_unchanged, before, now))
    return isinstance(before, (str, int, float)) and type(before) is type(now) and before == now
