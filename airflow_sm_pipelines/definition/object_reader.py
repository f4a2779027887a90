"""Reading the members of one JSON object, each by its type. Problems are noted, never raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, describe_kind
from airflow_sm_pipelines.definition.origin import Origin
from airflow_sm_pipelines.definition.problems import ProblemCollector, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ObjectReader:
    """Reads the known members of one object and remembers which have been read.

    A null reads as an absent member: the service and the SDKs treat them alike if the member is optional.

    :param raw: the object.
    :param path: where it stands in the document.
    :param problems: takes what is wrong.
    :param subject: what messages call the object, once it is known: ``step 'Train'``.
    """

    def __init__(self, raw: JsonObject, path: JsonPath, problems: ProblemCollector, *, subject: str = "") -> None:
        self.raw = raw
        self.path = path
        self.subject = subject
        self._problems = problems
        self._asked: set[str] = set()
        self._values: dict[str, object] = {}

    @property
    def extra(self) -> JsonObject:
        """The members that have not been read so far."""
        known = self._asked | self._values.keys()
        return {key: value for key, value in self.raw.items() if key not in known}

    def without(self, *keys: str) -> JsonObject:
        """The object without these keys."""
        return {key: value for key, value in self.raw.items() if key not in keys}

    def keep(self, key: str, value: T) -> T:
        """Record that ``key`` was read as ``value``; returns the value."""
        self._values[key] = value
        return value

    def origin(self, **values: object) -> Origin:
        """The object with the values that were recorded, for writing it back."""
        return Origin(self.raw, {**self._values, **values})

    def text(self, key: str, *, default: str | None = None) -> str | None:
        """Read a string; ``default`` if it is absent, null or of another type."""
        value = self._get(key)
        if value is None:
            return default
        return value if isinstance(value, str) else self._wrong(key, value, "a string", default)

    def required_text(self, key: str, subject: str) -> str | None:
        """Read a string with at least one character; ``None``, with a problem noted, if there is none."""
        value = self._get(key)
        if value is None:
            hint = "" if key in self.raw else suggest(key, self.raw)
            self._problems.add(self.path, f"{subject} has no {key!r}; expected a string.{hint}")
            return None
        if not isinstance(value, str):
            return self._wrong(key, value, "a string", None)
        if not value:
            self._problems.add((*self.path, key), f"the {key!r} of {subject} is empty.")
            return None
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read one string or an array of strings."""
        value = self._get(key)
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._wrong(key, value, "a string or an array of strings", None)
            return ()
        return tuple(item for item in value if isinstance(item, str))

    def object(self, key: str) -> JsonObject | None:
        """Read an object."""
        value = self._get(key)
        if value is None or isinstance(value, dict):
            return value
        return self._wrong(key, value, "an object", None)

    def array(self, key: str) -> list[JsonValue] | None:
        """Read an array."""
        value = self._get(key)
        if value is None or isinstance(value, list):
            return value
        return self._wrong(key, value, "an array", None)

    def items(self, key: str, read: Callable[[ObjectReader], T | None]) -> tuple[T, ...]:
        """Read each object of an array with ``read``; other entries are noted as problems and left out."""
        made = []
        for index, item in enumerate(self.array(key) or []):
            path = (*self.path, key, index)
            if not isinstance(item, dict):
                self._problems.add(path, f"expected an object, found {describe_kind(item)}.")
                continue
            value = read(ObjectReader(item, path, self._problems))
            if value is not None:
                made.append(value)
        return tuple(made)

    def integer(self, key: str) -> int | None:
        """Read a whole number."""
        value = self._get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return self._wrong(key, value, "a whole number", None)

    def number(self, key: str) -> float | None:
        """Read a number."""
        value = self._get(key)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        return self._wrong(key, value, "a number", None)

    def boolean(self, key: str) -> bool | None:
        """Read true or false."""
        value = self._get(key)
        if value is None or isinstance(value, bool):
            return value
        return self._wrong(key, value, "true or false", None)

    def _get(self, key: str) -> JsonValue:
        self._asked.add(key)
        return self.raw.get(key)

    def _wrong(self, key: str, value: JsonValue, expected: str, default: T) -> T:
        of = f" of {self.subject}" if self.subject else ""
        self._problems.add((*self.path, key), f"{key!r}{of} must be {expected}, found {describe_kind(value)}.")
        return default
