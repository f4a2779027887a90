"""Values that a definition does not have yet: ``${bucket}`` in a template, a ``Ref`` in CloudFormation.

While a document is read, each such value is a mark: a number between two characters that no text has (Unicode keeps
them for this). So a value that is unknown is never taken for the text that stands in its place.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue

_IN_TEXT, _WHOLE, _END = "\ufdd0", "\ufdd2", "\ufdd1"
"""Begin a mark inside a JSON string, begin one that stands for a whole JSON value, end either."""

MARK = re.compile(f"[{_IN_TEXT}{_WHOLE}](\\d+){_END}")
"""A mark, with the number of the unknown value."""
_SIMPLE = re.compile(r'\$\{((?:[^{}"\n\\]|\\.)*)\}')
_NAMES = ("Name", "DependsOn", "Step", "PropertyFileName", "PropertyFile", "OutputName", "InputName", "Get", "Path")
"""Members whose values name something, or refer to it by its name."""

_BRANCHES = ("IfSteps", "ElseSteps", "ForEachBody")
_EXPRESSION: JsonObject = {"Get": "Execution.PipelineName"}
"""Stands for a value that nobody knows before an execution runs, whatever kind of value it is."""


class Variables:
    """Values for placeholders; it notes which of them were used, and which placeholders had none.

    :param settings: ``NAME=VALUE`` each. The name of a placeholder may itself have ``=`` in it.
    :ivar missed: the names of placeholders without a value, in order.
    """

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self._settings = tuple(settings)
        self._used: set[str] = set()
        self.missed: dict[str, None] = {}

    def find(self, name: str) -> str | None:
        """The value for a placeholder; ``var.bucket`` of Terraform may be given as ``bucket``."""
        for key in (name, name.removeprefix("var."), name.removeprefix("local.")):
            for setting in self._settings:
                if setting.startswith(f"{key}="):
                    self._used.add(setting)
                    return setting.removeprefix(f"{key}=")
        self.missed[name] = None
        return None

    @property
    def is_given(self) -> bool:
        """Whether there is any value."""
        return bool(self._settings)

    @property
    def unused(self) -> tuple[str, ...]:
        """The names of the values that no placeholder has had, in order."""
        return tuple(setting.partition("=")[0] for setting in self._settings if setting not in self._used)


@dataclass(slots=True)
class Unknowns:
    """The unknown values of one document.

    :param names: what ``--var`` calls each of them.
    :param shown: the text in the place of each, where a definition is shown.
    """

    names: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def mark(self, name: str, shown: str | None = None) -> str:
        """The mark for an unknown value, to stand inside text.

        :param shown: ``${name}`` where not given.
        """
        text = f"${{{name}}}" if shown is None else shown
        if text not in self.shown:
            self.names.append(name)
            self.shown.append(text)
        return f"{_IN_TEXT}{self.shown.index(text)}{_END}"

    def show(self, text: str) -> str:
        """The text with what is shown in place of marks."""
        return MARK.sub(lambda found: self.shown[int(found[1])], text)

    def show_json(self, text: str) -> str:
        """JSON text with what is shown in place of marks."""
        return MARK.sub(lambda found: json.dumps(self.shown[int(found[1])], ensure_ascii=False)[1:-1], text)

    def find_names(self, text: str) -> tuple[str, ...]:
        """The names of the unknown values in a text, each once."""
        return tuple(dict.fromkeys(self.names[int(number)] for number in MARK.findall(text)))


def is_unknown(text: object) -> bool:
    """Whether a text holds an unknown value."""
    return isinstance(text, str) and MARK.search(text) is not None


def is_whole(text: str) -> bool:
    """Whether a text is one unknown value and nothing else."""
    return MARK.fullmatch(text.strip()) is not None


def mark_placeholders(
    text: str, variables: Variables, unknowns: Unknowns, *, is_template: bool, name: str, is_json: bool
) -> str:
    """Put marks, or the values that are known, in place of the ``${...}`` of a JSON template.

    :param is_template: whether ``$${`` stands for ``${``, as in Terraform's templates.
    :param is_json: whether the text is JSON as it stands; then a placeholder has no quotation marks.
    :param name: what messages call the file.
    :raises DefinitionError: at ``%{``, a directive of Terraform's templates.
    """
    parts: list[str] = []
    index, is_in_string = 0, False
    while index < len(text):
        if text.startswith("$${", index):
            parts.append("${" if is_template else "$${")
            index += 3
        elif text.startswith("%{", index) and (is_template or not is_in_string):
            raise DefinitionError(_directive(text, index, name))
        elif text.startswith("${", index) and (
            end := _find_end(text, index, is_in_string=is_in_string, is_json=is_json)
        ):
            parts.append(_fill(text[index:end], variables, unknowns, is_in_string=is_in_string, is_json=is_json))
            index = end
        elif is_in_string and text[index] == "\\":
            parts.append(text[index : index + 2])
            index += 2
        else:
            is_in_string ^= text[index] == '"'
            parts.append(text[index])
            index += 1
    return "".join(parts)


def _fill(written: str, variables: Variables, unknowns: Unknowns, *, is_in_string: bool, is_json: bool) -> str:
    inside = written[2:-1]
    name = (inside.replace('\\"', '"') if is_in_string else inside).strip()
    value = variables.find(name)
    if value is None:
        # In JSON the text between the quotation marks is escaped: '\"' shows as '"'.
        shown = json.loads(f'"{written}"') if is_json and is_in_string else written
        return unknowns.mark(name, shown)
    if is_in_string:
        return json.dumps(value, ensure_ascii=False)[1:-1]
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False)
    return value


def _find_end(text: str, start: int, *, is_in_string: bool, is_json: bool) -> int | None:
    """Where a placeholder ends; None if it is none."""
    if found := _SIMPLE.match(text, start):
        return found.end()
    if is_json:
        return None
    depth, is_quoted = 0, False
    for index in range(start + 1, len(text)):
        char = text[index]
        if char == "\n" and is_in_string:
            return None
        is_quoted ^= char == '"'
        if not is_quoted:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if depth == 0:
                return index + 1
    return None


def _directive(text: str, index: int, name: str) -> str:
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    end = text.find("}", index)
    return (
        f"{name}:{line}:{column}: {text[index : end + 1] or '%{'} is a directive that only Terraform carries out. Give "
        "what it makes of the template instead, as 'terraform console' or 'terraform show -json' prints it."
    )


def quote_whole_values(text: str) -> str:
    """JSON text in which each mark outside a string is a string of its own, so that the text can be read."""
    parts: list[str] = []
    index, is_in_string = 0, False
    while index < len(text):
        found = MARK.match(text, index)
        if found:
            parts.append(found[0] if is_in_string else f'"{_WHOLE}{found[1]}{_END}"')
            index = found.end()
        elif is_in_string and text[index] == "\\":
            parts.append(text[index : index + 2])
            index += 2
        else:
            is_in_string ^= text[index] == '"'
            parts.append(text[index])
            index += 1
    return "".join(parts)


def make_variants(document: JsonObject) -> tuple[tuple[JsonObject, dict[str, int]], ...]:
    """The document with different values for what is unknown in it.

    What is true of all of them depends on no unknown value. Unknown parts of names are words in both. Elsewhere, they
    are numbers in the first; in the second, they are words, arguments with an unknown part are expressions, which no
    rule can know the value of, and whole values are true.

    :param document: with marks.
    :return: each variant, with the number of the unknown value that each word stands for.
    """
    made = []
    for is_expression in (False, True):
        words: dict[str, int] = {}
        variant = _vary(document, (), is_expression, words)
        if isinstance(variant, dict):
            made.append((variant, words))
    return tuple(made)


def _vary(value: JsonValue, path: JsonPath, is_expression: bool, words: dict[str, int]) -> JsonValue:
    if isinstance(value, dict):
        return {_with_words(key, words): _vary(item, (*path, key), is_expression, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_vary(item, (*path, index), is_expression, words) for index, item in enumerate(value)]
    if not isinstance(value, str) or not is_unknown(value):
        return value
    member = next((key for key in reversed(path) if isinstance(key, str)), "")
    if member in _NAMES:
        return _with_words(value, words)
    if not is_expression:
        is_number = is_whole(value) and (value[0] == _WHOLE or path[0] == "Parameters")
        return int(value[1:-1]) + 1 if is_number else MARK.sub(lambda found: str(int(found[1]) + 1), value)
    if _is_argument(path):
        return dict(_EXPRESSION)
    return True if value[0] == _WHOLE else _with_words(value, words)


def _with_words(text: str, words: dict[str, int]) -> str:
    def word(found: re.Match[str]) -> str:
        made = f"unknown{found[1]}x"
        words[made] = int(found[1])
        return made

    return MARK.sub(word, text)


def _is_argument(path: JsonPath) -> bool:
    """Whether a place is inside the arguments of a step, and not in a step of a branch or in a condition."""
    last = max((index for index, key in enumerate(path) if key == "Arguments"), default=-1)
    inner = path[last + 1 :]
    return last >= 0 and bool(inner) and inner[0] not in (*_BRANCHES, "Conditions")
