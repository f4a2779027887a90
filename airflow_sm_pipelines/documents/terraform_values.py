"""Values as ``terraform console`` prints them: quoted strings, heredocs, objects and lists."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from airflow_sm_pipelines.exceptions import DefinitionError

KNOWN_AFTER_APPLY = "(known after apply)"
"""What Terraform prints for a value that no one knows before it has been applied."""

_SPACE = re.compile(r"[\s,]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_HEREDOC = re.compile(r"<<(-?)(\w+)\r?\n")
_HIDDEN = re.compile(r"\((?:known after apply|sensitive value|sensitive)\)")
_KEY = re.compile(r'("(?:[^"\\\n]|\\.)*"|[\w.-]+)\s*[=:]\s*')
_CALL = re.compile(r"to(?:map|list|set|string|number|bool)\(")
_WORD = re.compile(r"[\w.+-]+")
_CONSTANTS: dict[str, Any] = {"null": None, "true": True, "false": False}
_START = re.compile(
    r'<<-?\w+\r?\n|\(known after|\(sensitive|to\w+\(|\{\s*("(?:[^"\\\n]|\\.)*"|[\w-]+)\s*=|\[\s*\{\s*"[^"\n]*"\s*='
)


def looks_like_terraform(start: str) -> bool:
    """Whether a text that begins so is what ``terraform console`` prints, and not JSON.

    A quoted string is either; it is read as JSON.
    """
    return _START.match(start) is not None


def parse_terraform_value(text: str, *, name: str) -> Any:
    """The value, of JSON's kinds. A value that Terraform hides or does not know is its text in brackets.

    :param name: what messages call the file.
    :raises DefinitionError: naming the place where it cannot be read.
    """
    reader = _Reader(text, name)
    try:
        value = reader.read()
    except RecursionError:
        raise DefinitionError(f"{name}: this value is nested too deeply.") from None
    reader.expect_end()
    return value


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._index = 0

    def read(self) -> Any:
        self._skip()
        if found := self._take(_HEREDOC):
            return self._read_heredoc(is_indented=bool(found[1]), delimiter=found[2])
        if found := self._take(_STRING):
            return self._unquote(found[0])
        if found := self._take(_HIDDEN):
            return found[0]
        if self._take(_CALL):
            value = self.read()
            self._close(")")
            return value
        if self._text.startswith("{", self._index):
            return self._read_object()
        if self._text.startswith("[", self._index):
            return self._read_list()
        if (found := self._take(_WORD)) is not None:
            return self._read_word(found[0])
        raise self._fault("a value was expected here")

    def expect_end(self) -> None:
        self._skip()
        if self._index < len(self._text):
            raise self._fault("the value ends before this")

    def _read_object(self) -> dict[str, Any]:
        self._index += 1
        made: dict[str, Any] = {}
        while not self._is_closed("}"):
            key = self._take(_KEY)
            if key is None:
                raise self._fault("a name and '=' were expected here")
            made[self._unquote(key[1]) if key[1].startswith('"') else key[1]] = self.read()
        return made

    def _read_list(self) -> list[Any]:
        self._index += 1
        made = []
        while not self._is_closed("]"):
            made.append(self.read())
        return made

    def _read_heredoc(self, *, is_indented: bool, delimiter: str) -> str:
        end = re.compile(rf"(?m)^[ \t]*{re.escape(delimiter)}[ \t]*\r?$").search(self._text, self._index)
        if end is None:
            raise self._fault(f"this text has no end: a line with {delimiter} alone was expected")
        lines = self._text[self._index : end.start()].removesuffix("\n").split("\n")
        self._index = end.end()
        if is_indented:
            margin = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
            lines = [line[margin:] for line in lines]
        return "\n".join(lines)

    def _read_word(self, word: str) -> Any:
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        try:
            return int(word) if re.fullmatch(r"-?\d+", word) else float(word)
        except ValueError:
            raise self._fault(f"{word} is no value") from None

    def _unquote(self, written: str) -> str:
        for read in (json.loads, ast.literal_eval):
            try:
                return str(read(written))
            except (ValueError, SyntaxError):
                continue
        raise self._fault("the string before this cannot be read")

    def _is_closed(self, closing: str) -> bool:
        self._skip()
        if self._index >= len(self._text):
            raise self._fault(f"the text ends too early: {closing!r} was expected")
        if self._text[self._index] != closing:
            return False
        self._index += 1
        return True

    def _close(self, closing: str) -> None:
        if not self._is_closed(closing):
            raise self._fault(f"{closing!r} was expected here")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._index)
        if found:
            self._index = found.end()
        return found

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._index)
        self._index = found.end() if found else self._index

    def _fault(self, message: str) -> DefinitionError:
        line = self._text.count("\n", 0, self._index) + 1
        column = self._index - self._text.rfind("\n", 0, self._index)
        return DefinitionError(f"{self._name}:{line}:{column}: this is no value of Terraform: {message}.")
