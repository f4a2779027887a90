"""Values that a definition does not have yet: ``${bucket}`` in a template, a ``Ref`` in CloudFormation.

While a document is read, each such value is a mark: a number between two characters that no text has (Unicode keeps
them for this). So a value that is unknown is never taken for the text that stands in its place.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import iter_values
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue

_IN_TEXT, _WHOLE, _END = "\ufdd0", "\ufdd2", "\ufdd1"
"""Begin a mark inside a JSON string, begin one that stands for a whole JSON value, end either."""

MARK = re.compile(f"[{_IN_TEXT}{_WHOLE}](\\d+){_END}")
"""A mark, with the number of the unknown value."""
_SIMPLE = re.compile(r'\$\{((?:[^{}"\n\\]|\\.)*)\}')
_NAMES = ("Name", "DependsOn", "Step", "PropertyFileName", "PropertyFile", "OutputName", "InputName", "Get", "Path")
"""Members whose values name something, or refer to it by its name."""

_DECLARED = ("Name", "OutputName", "PropertyFileName")
"""Members that declare a name to which others refer."""

_STRUCTURE = (
    "Enabled",
    "Parameters",
    "DependsOn",
    "PropertyFiles",
    "RetryPolicies",
    "OutputParameters",
    "EnumValues",
    "Conditions",
    "IfSteps",
    "ElseSteps",
    "ForEachBody",
)
"""Members outside of arguments whose values are no numbers: true or false, and lists."""

_ABSENT = re.compile(r"\bno (?:such )?(?:step|output|property file|parameter)\b")
_QUOTED = re.compile(r"'([^']+)'")

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
        return make_mark(self.shown.index(text))

    def show(self, text: str) -> str:
        """The text with what is shown in place of marks."""
        return MARK.sub(lambda found: self.shown[int(found[1])], text)

    def show_json(self, text: str) -> str:
        """JSON text with what is shown in place of marks."""
        return MARK.sub(lambda found: json.dumps(self.shown[int(found[1])], ensure_ascii=False)[1:-1], text)

    def find_names(self, text: str) -> tuple[str, ...]:
        """The names of the unknown values in a text, each once."""
        return tuple(dict.fromkeys(self.names[int(number)] for number in MARK.findall(text)))


def make_mark(number: int) -> str:
    """The mark for an unknown value inside text."""
    return f"{_IN_TEXT}{number}{_END}"


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

    def replace(index: int, is_in_string: bool) -> tuple[str, int] | None:
        if text.startswith("$${", index):
            return "${" if is_template else "$${", index + 3
        if text.startswith("%{", index) and (is_template or not is_in_string):
            raise DefinitionError(_directive(text, index, name))
        if not text.startswith("${", index):
            return None
        end = _find_end(text, index, is_in_string=is_in_string, is_json=is_json)
        if end is None:
            return None
        return _fill(text[index:end], variables, unknowns, is_in_string=is_in_string, is_json=is_json), end

    return _replace_in_json(text, replace)


def _replace_in_json(text: str, replace: Callable[[int, bool], tuple[str, int] | None]) -> str:
    """JSON text, or nearly, with parts replaced.

    :param replace: what stands for the part that begins at an index, and where that part ends; None for no such part.
        It is told whether the index is inside a string.
    """
    parts: list[str] = []
    index, is_in_string = 0, False
    while index < len(text):
        found = replace(index, is_in_string)
        if found is not None:
            part, index = found
        else:
            length = 2 if is_in_string and text[index] == "\\" else 1
            part = text[index : index + length]
            is_in_string ^= part == '"'
            index += length
        parts.append(part)
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

    def replace(index: int, is_in_string: bool) -> tuple[str, int] | None:
        found = MARK.match(text, index)
        if not found:
            return None
        return found[0] if is_in_string else f'"{_WHOLE}{found[1]}{_END}"', found.end()

    return _replace_in_json(text, replace)


def make_variants(document: JsonObject) -> tuple[tuple[JsonObject, dict[str, int]], ...]:
    """The document with different values for what is unknown in it.

    What is true of all of them depends on no unknown value. Unknown parts of names are words. Elsewhere, they are
    numbers in the first; in the second, they are words, and arguments with an unknown part are expressions, which no
    rule can know the value of. Where a name and a reference to it may be the same, there is a third one, in which they
    are.

    :param document: with marks.
    :return: each variant, with the number of the unknown value that each word stands for.
    """
    numbers = dict.fromkeys(map(int, MARK.findall(json.dumps(document, ensure_ascii=False))))
    words = {number: f"unknown{number}x" for number in numbers}
    known = {word: number for number, word in words.items()}
    made = [(_Filling(words, is_expression), known) for is_expression in (False, True)]
    if bound := _bind_names(document):
        kept = {word: number for word, number in known.items() if number not in bound}
        made.append((_Filling({**words, **bound}, is_expression=True), kept))
    variants = ((filling.fill(document, ()), stand_ins) for filling, stand_ins in made)
    return tuple((variant, stand_ins) for variant, stand_ins in variants if isinstance(variant, dict))


def find_unknown_places(document: JsonObject) -> frozenset[JsonPath]:
    """The places of unknown values, and of expressions with an unknown part; names aside."""
    places: set[JsonPath] = set()
    for path, value in iter_values(document):
        if is_unknown(value) and path[-1:] == ("Key",):
            places.update((path, path[:-2]))  # What is wrong with tags is told of the list of them.
        elif (is_unknown(value) and not any(key in _NAMES for key in path[-2:])) or (
            isinstance(value, dict) and _is_unknown_expression(value, is_any=True)
        ):
            places.add(path)
    return frozenset(places)


def may_be_named(message: str, document: JsonObject) -> bool:
    """Whether a message says that something is not there whose name may be what is unknown.

    :param message: with marks, and names in quotation marks, such as ``no step is called 'Train'``.
    """
    if _ABSENT.search(message) is None:
        return False
    quoted = set(_QUOTED.findall(message))
    parts = {part for name in quoted for part in (name, *name.split("."))}
    values = (value for path, value in iter_values(document) if path and path[-1] in _DECLARED)
    names = parts | {value for value in values if isinstance(value, str)}
    open_names = {name for name in names if is_unknown(name)}
    known = names - open_names
    return (
        any(_match(pattern, name) for pattern in open_names & parts for name in known)
        or any(_match(pattern, name) for pattern in open_names - parts for name in known & parts)
        or any(_may_be_same(one, other) for one in open_names & parts for other in open_names if one != other)
    )


def _may_be_same(one: str, other: str) -> bool:
    """Whether two texts with marks begin and end so that they can be the same."""
    parts, others = MARK.split(one), MARK.split(other)
    return any(long.startswith(short) for long, short in ((parts[0], others[0]), (others[0], parts[0]))) and any(
        long.endswith(short) for long, short in ((parts[-1], others[-1]), (others[-1], parts[-1]))
    )


class _Filling:
    """Other values in the places of unknown ones.

    :param words: the word for each unknown value.
    :param is_expression: whether arguments become expressions.
    """

    def __init__(self, words: Mapping[int, str], is_expression: bool) -> None:
        self._words = words
        self._is_expression = is_expression
        self._kinds: dict[JsonPath, object] = {}

    def fill(self, value: JsonValue, path: JsonPath) -> JsonValue:
        """The value at a path, with all that is inside it."""
        if isinstance(value, dict):
            if _is_unknown_expression(value, is_any=self._is_expression and _is_argument(path)):
                return dict(_EXPRESSION)
            if path[:1] == ("Parameters",):
                self._kinds[path] = value.get("Type")
            return {self._word(key): self.fill(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*path, index)) for index, item in enumerate(value)]
        return self._fill_text(value, path) if isinstance(value, str) and is_unknown(value) else value

    def _fill_text(self, value: str, path: JsonPath) -> JsonValue:
        member = next((key for key in reversed(path) if isinstance(key, str)), "")
        is_one = value[0] == _WHOLE
        if member in _STRUCTURE and is_one and not _is_argument(path):
            return self._is_expression if member == "Enabled" else []
        if member in _NAMES:
            return self._word(value)
        if self._is_expression and _is_argument(path):
            return dict(_EXPRESSION)
        return self._number(value, is_one=is_one, kind=self._kinds.get(path[:2], "String"))

    def _number(self, value: str, *, is_one: bool, kind: object) -> JsonValue:
        """Numbers in the places of unknown values outside of arguments; other ones in each variant.

        :param kind: the parameter's type, if the value is of a parameter.
        """
        start = 101 if self._is_expression else 1
        if is_whole(value) and kind == "Boolean":
            return self._is_expression
        if is_one or (is_whole(value) and kind in ("Integer", "Float")):
            return int(value[1:-1]) + start
        return MARK.sub(lambda found: str(int(found[1]) + start), value)

    def _word(self, text: str) -> str:
        return MARK.sub(lambda found: self._words[int(found[1])], text)


def _bind_names(document: JsonObject) -> dict[int, str]:
    """Values with which each reference names something there is, as far as unknown parts of either allow it."""
    names: list[str] = []
    references: list[str] = []
    for path, value in iter_values(document):
        member = next((key for key in reversed(path) if isinstance(key, str)), "")
        if not isinstance(value, str):
            continue
        if member == "Get":
            references += value.split(".")[1:2] if value.startswith(("Steps.", "Parameters.")) else []
            references += value.split(".")[3:4] if ".PropertyFiles." in value else []
        elif member in _DECLARED:
            names.append(value)
        if member in ("DependsOn", "Step", "PropertyFile", "OutputName"):
            references.append(value)
    bound: dict[int, str] = {}
    known = [name for name in names if not is_unknown(name)]
    open_names = [name for name in names if is_unknown(name)]
    for reference in references:
        if is_unknown(reference):
            pairs = [] if reference in open_names else [(reference, name) for name in known]
        else:
            pairs = [] if reference in known else [(name, reference) for name in open_names]
        for pattern, text in pairs:
            if found := _match(pattern, text):
                bound.update({number: value for number, value in found.items() if number not in bound})
                break
    return bound


def _match(pattern: str, text: str) -> dict[int, str]:
    """The values with which a text with marks is another text; empty if there are none."""
    numbers = [int(number) for number in MARK.findall(pattern)]
    if len(set(numbers)) != len(numbers):
        return {}
    parts = MARK.split(pattern)[::2]
    found = re.fullmatch("(.+?)".join(map(re.escape, parts)), text)
    return dict(zip(numbers, found.groups(), strict=True)) if found else {}


def _is_unknown_expression(value: JsonObject, *, is_any: bool) -> bool:
    """Whether a value is an expression that cannot be read because of an unknown part.

    :param is_any: whether any unknown part of it counts, or only one that hides what kind of reference it is.
    """
    key, inner = next(iter(value.items()), ("", None))
    if len(value) != 1 or not (key == "Get" or key.startswith("Std:")):
        return False
    if key == "Get" and isinstance(inner, str) and is_unknown(inner):
        return is_any or not _is_named_reference(inner)
    parts = {name: item for name, item in inner.items() if name != "Values"} if isinstance(inner, dict) else inner
    return is_any and MARK.search(json.dumps(parts, ensure_ascii=False)) is not None


def _is_named_reference(text: str) -> bool:
    """Whether only names are unknown in a reference: of a step, a parameter or a property file."""
    root, *segments = text.split(".")
    names = (0, 2) if segments[1:2] == ["PropertyFiles"] else (0,)
    return root in ("Steps", "Parameters") and not any(
        is_unknown(segment) for index, segment in enumerate(segments) if index not in names
    )


def _is_argument(path: JsonPath) -> bool:
    """Whether a place is inside the arguments of a step, and not in a step of a branch or in a condition."""
    last = max((index for index, key in enumerate(path) if key == "Arguments"), default=-1)
    inner = path[last + 1 :]
    return last >= 0 and bool(inner) and inner[0] not in (*_BRANCHES, "Conditions")
