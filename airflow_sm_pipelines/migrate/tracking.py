"""Reading a source so that no key of it is lost unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition.json_value import MISSING, JsonObject, JsonValue, Missing, format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath


class TrackedObject:
    """A JSON object that remembers which of its keys were read.

    :param value: the object; it is not changed.
    :param path: where it stands in the node, for the report.
    """

    def __init__(self, value: JsonObject, path: JsonPath = ()) -> None:
        self._value = value
        self._path = path
        self._left = dict.fromkeys(value)
        self._inner: list[TrackedObject] = []

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def take(self, key: str) -> JsonValue | Literal[Missing.MISSING]:
        """The value of a key, which counts as read as a whole; ``MISSING`` where there is none."""
        self._left.pop(key, None)
        return self._value.get(key, MISSING)

    def take_text(self, key: str) -> str | None:
        """The value if it is a string; any other is left unread."""
        value = self._value.get(key)
        if not isinstance(value, str):
            return None
        del self._left[key]
        return value

    def take_object(self, key: str) -> TrackedObject | None:
        """The value if it is an object, whose own keys are then to be read; any other is left unread."""
        value = self._value.get(key)
        if not isinstance(value, dict):
            return None
        self._left.pop(key, None)
        inner = TrackedObject(value, (*self._path, key))
        self._inner.append(inner)
        return inner

    def take_rest(self) -> JsonObject:
        """All that was not read yet; it then is."""
        rest = {key: self._value[key] for key in self._left}
        self._left.clear()
        return rest

    def iter_lost(self) -> Iterator[str]:
        """The paths of the keys that nobody read, outer first."""
        yield from (format_path((*self._path, key)) for key in self._left)
        for inner in self._inner:
            yield from inner.iter_lost()
