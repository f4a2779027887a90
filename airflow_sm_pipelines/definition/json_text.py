"""Strict reading of JSON, from text or from Python values, with the line and column of every value.

The standard library reads the text. Positions come from a second, slower scan, which runs only if something is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from airflow_sm_pipelines.definition.json_value import MAX_NESTING, JsonPath, JsonValue, format_path
from airflow_sm_pipelines.definition.problems import Problem, ProblemCollector

_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u\w{4}|\\.", re.DOTALL)
_SCALAR = re.compile(r"[^ \t\n\r,\]}]+")


class _UnreadableError(Exception):
    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class JsonText:
    """A JSON document as text.

    :param source: the text; bytes may be UTF-8 (with or without a byte order mark), UTF-16 or UTF-32.
    """

    def __init__(self, source: str | bytes) -> None:
        self._source = source
        self._text = ""
        self._offsets: dict[JsonPath, int] = {}
        self._duplicates: list[tuple[JsonPath, int]] = []

    def load(self) -> tuple[JsonValue, list[Problem]]:
        """Read the value of the document.

        :return: the value, or ``None`` and the problems that make it unreadable. A key that an object has twice is a
            problem too; the value then has the last of them.
        """
        has_duplicates = False

        def build(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
            nonlocal has_duplicates
            built = dict(pairs)
            has_duplicates = has_duplicates or len(built) != len(pairs)
            return built

        try:
            self._text = self._decode()
            value: JsonValue = json.loads(
                self._text, object_pairs_hook=build, parse_constant=_refuse_constant, parse_float=_parse_float
            )
            _check_depth(value)
        except json.JSONDecodeError as error:
            line, column = self._line_column(error.pos)
            return None, [Problem("", f"this is not JSON: {error.msg}.{self._excerpt(error.pos)}", line, column)]
        except RecursionError:
            return None, [Problem("", _TOO_DEEP)]
        except _UnreadableError as error:
            return None, [Problem("", error.message)]
        except ValueError as error:  # an integer of more digits than Python converts
            return None, [Problem("", f"this JSON holds a number that cannot be read: {error}.")]
        if not has_duplicates:
            return value, []
        self._scan()
        problems = ProblemCollector()
        for path, _ in self._duplicates:
            problems.add(path, f"the key {path[-1]!r} occurs twice in this object. Keep one of them.")
        places = {path: self._line_column(offset) for path, offset in self._duplicates}
        return value, [Problem(format_path(path), message, *places[path]) for path, message in problems.found]

    def locate(self, path: JsonPath) -> tuple[int, int]:
        """Find the line and column, from 1, of the value at ``path``, or of the nearest value around it."""
        if not self._offsets:
            self._scan()
        while path not in self._offsets:
            path = path[:-1]
        return self._line_column(self._offsets[path])

    def locate_in_string(self, path: JsonPath, index: int) -> tuple[int, int]:
        """Find the line and column, from 1, of a character of the string at ``path``; its end if it is shorter.

        :param index: of the character in the string's value, from 0.
        """
        self.locate(path)
        offset = self._offsets[path] + 1
        for _ in range(index):
            if self._text[offset] == '"':
                break
            escape = _ESCAPE.match(self._text, offset)
            offset = escape.end() if escape else offset + 1
        return self._line_column(offset)

    def _decode(self) -> str:
        if isinstance(self._source, str):
            text = self._source.removeprefix("\ufeff")
        else:
            try:
                text = self._source.decode(json.detect_encoding(self._source))
            except UnicodeDecodeError as error:
                raise _UnreadableError(f"this is not JSON: byte {error.start} is not valid {error.encoding}.") from None
        if not text.strip():
            raise _UnreadableError("this document is empty; expected a pipeline definition, a JSON object.")
        return text

    def _line_column(self, offset: int) -> tuple[int, int]:
        return self._text.count("\n", 0, offset) + 1, offset - self._text.rfind("\n", 0, offset)

    def _excerpt(self, offset: int) -> str:
        if not self._text[offset:].strip():
            return " The document ends too early."
        start = max(self._text.rfind("\n", 0, offset) + 1, offset - 40)
        end = self._text.find("\n", offset)
        snippet = self._text[start : min(len(self._text) if end < 0 else end, offset + 40)].rstrip()
        return f" Near: {snippet.strip()}"

    def _scan(self) -> None:
        """Record the offset of every value. The text must be JSON, nested no deeper than this recursion can go."""
        self._scan_value(_skip(self._text, 0), ())

    def _scan_value(self, index: int, path: JsonPath) -> int:
        text = self._text
        self._offsets[path] = index
        opening = text[index]
        if opening == '"':
            return int(scanstring(text, index + 1, True)[1])
        if opening not in "[{":
            match = _SCALAR.match(text, index)
            return match.end() if match else index + 1
        closing = "]" if opening == "[" else "}"
        index = _skip(text, index + 1)
        count = 0
        seen: set[str] = set()
        while text[index] != closing:
            if opening == "{":
                key, after = scanstring(text, index + 1, True)
                inner: JsonPath = (*path, key)
                if key in seen:
                    self._duplicates.append((inner, index))
                seen.add(key)
                index = _skip(text, _skip(text, after) + 1)
            else:
                inner = (*path, count)
            index = _skip(text, self._scan_value(index, inner))
            count += 1
            if text[index] == ",":
                index = _skip(text, index + 1)
        return index + 1


_TOO_DEEP = f"arrays and objects are nested more than {MAX_NESTING} levels deep; flatten the definition."


def read_value(source: object) -> tuple[JsonValue, list[tuple[JsonPath, str]]]:
    """Read a Python value as JSON: mappings become objects, lists and tuples become arrays.

    :return: the value, and a problem for everything in it that JSON does not have.
    """
    problems: list[tuple[JsonPath, str]] = []
    value = _read(source, (), problems)
    return value, problems


def _read(source: object, path: JsonPath, problems: list[tuple[JsonPath, str]]) -> JsonValue:
    if source is None or isinstance(source, (bool, str)):
        return _plain(source)
    if isinstance(source, int):
        return int(source)
    if isinstance(source, float):
        if source - source != 0:
            problems.append((path, f"{source} is not a JSON number."))
        return float(source)
    if isinstance(source, (Mapping, list, tuple)) and len(path) >= MAX_NESTING:
        problems.append(((), _TOO_DEEP))
        return None
    if isinstance(source, Mapping):
        built: dict[str, JsonValue] = {}
        for key, item in source.items():
            if not isinstance(key, str):
                problems.append((path, f"the key {key!r} is not a string; JSON keys are strings."))
                continue
            built[str(key)] = _read(item, (*path, str(key)), problems)
        return built
    if isinstance(source, (list, tuple)):
        return [_read(item, (*path, index), problems) for index, item in enumerate(source)]
    kind = type(source)
    problems.append(
        (
            path,
            (
                f"found a Python object of type {kind.__module__}.{kind.__qualname__}, expected a JSON value. "
                "For an SDK pipeline, pass what its definition() returns."
            ),
        )
    )
    return None


def _plain(value: bool | str | None) -> JsonValue:
    # An enum that is also a string stands for its text.
    return str.__str__(value) if isinstance(value, str) and type(value) is not str else value


def _check_depth(value: JsonValue) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_NESTING + 1):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise _UnreadableError(_TOO_DEEP)


def _refuse_constant(constant: str) -> JsonValue:
    raise _UnreadableError(f"this is not JSON: {constant} is not a JSON number.")


def _parse_float(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise _UnreadableError(f"the number {text} is too large for JSON's double precision.")
    return number


def _skip(text: str, index: int) -> int:
    match = _SPACE.match(text, index)
    return match.end() if match else index
