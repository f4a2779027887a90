"""Reading the value that a document's text is: JSON, YAML, a Python dict as Python prints it, or a Terraform value.

YAML may have the short forms of CloudFormation's functions: ``!Sub x`` is ``{"Fn::Sub": x}``.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.json_text import JsonText
from airflow_sm_pipelines.documents.terraform import looks_like_terraform, parse_terraform_value
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition.json_value import JsonPath

_PYTHON = re.compile(r"[\[{(]+\s*'")
_YAML_NAME = re.compile(r"(?i)\.ya?ml(\.\w+)?\Z")

_FUNCTIONS = frozenset(
    [
        "And",
        "Base64",
        "Cidr",
        "Equals",
        "FindInMap",
        "GetAZs",
        "GetAtt",
        "If",
        "ImportValue",
        "Join",
        "Length",
        "Not",
        "Or",
        "Select",
        "Split",
        "Sub",
        "ToJsonString",
        "Transform",
    ]
)
"""The short forms that are called ``Fn::`` in full; ``!Ref`` and ``!Condition`` are called as they are."""


@dataclass(frozen=True, slots=True)
class DocumentValue:
    """What a text says.

    :param values: Python values of JSON's kinds; several for YAML with several documents.
    :param source: the reader that knows where each value stands, if one does.
    """

    values: tuple[Any, ...]
    source: JsonText | YamlText | None = None

    def locate(self, path: JsonPath, number: int = 0) -> tuple[int, int] | None:
        """The line and column, from 1, of a value; None where they are not known.

        :param number: which of :attr:`values`, from 0.
        """
        if isinstance(self.source, JsonText):
            return self.source.locate(path)
        return None if self.source is None else self.source.locate(path, number)

    def locate_inside(self, path: JsonPath, number: int, text: str, line: int, column: int) -> tuple[int, int] | None:
        """The place in the document of a line and column in a text that stands in it; else where the text begins.

        :param text: the text, which may differ from the document's where values were filled in.
        """
        if isinstance(self.source, YamlText):
            found = self.source.locate_in_block(path, line, column, number)
            return found or self.locate(path, number)
        if self.source is None or not isinstance(_get(self.values[number], path), str):
            return self.locate(path, number)
        before = sum(len(one) + 1 for one in text.split("\n")[: line - 1])
        return self.source.locate_in_string(path, before + column - 1)


def _get(value: Any, path: JsonPath) -> Any:
    for key in path:
        value = value[key]
    return value


def decode_text(source: bytes) -> str | None:
    """The text of a document in UTF-8, UTF-16 or UTF-32, with or without a byte order mark; None if it is none."""
    try:
        return source.decode(json.detect_encoding(source)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None


def read_value_text(text: str, *, name: str) -> DocumentValue | None:
    """The value that a text is; None where it is nearest to JSON, but none: a definition's reader says what is wrong.

    :param name: the file's name; its ending decides only whether text that could be either is YAML.
    :raises DefinitionError: for YAML, Python or Terraform text that breaks off, or holds what they do not have.
    """
    start = text.lstrip()[:200]
    if _YAML_NAME.search(name) is None:
        if _PYTHON.match(start):
            return DocumentValue((_read_python(text, name),))
        if looks_like_terraform(start):
            return DocumentValue((parse_terraform_value(text, name=name),))
    if not start or start[0] in '{["' or start in ("null", "true", "false") or start[0].isdigit():
        document = JsonText(text)
        value, problems = document.load()
        if not problems:
            return DocumentValue((value,), document)
        if isinstance(value, dict) and "Steps" not in value:
            # A key occurs twice. That is the definition's reader's to tell, where this is a definition.
            return DocumentValue((value,), document)
        if value is not None:
            return None
        if start.startswith('"'):
            return DocumentValue((_read_quoted(text, name),))
        if _YAML_NAME.search(name) is None:
            return None
    document_text = YamlText(text, name=name)
    return DocumentValue(document_text.load(), document_text)


def iter_notebook_outputs(notebook: Mapping[str, Any]) -> Iterator[str]:
    """What the cells of a Jupyter notebook have printed or shown, as texts."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs") or () if isinstance(cell, dict) else ():
            data = output.get("data") if isinstance(output, dict) else None
            for text in (output.get("text"), *(data.values() if isinstance(data, dict) else ())):
                yield "".join(map(str, text)) if isinstance(text, list) else str(text or "")


def _read_quoted(text: str, name: str) -> str:
    """A string as Go quotes it, which has more escapes than JSON."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, str):
        raise DefinitionError(f"{name}:1:1: this begins as a quoted string, but it does not end as one.")
    return value


def _read_python(text: str, name: str) -> Any:
    try:
        return _plain(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise DefinitionError(
            f"{name}:{error.lineno or 1}:{error.offset or 1}: this begins as a Python dict, but is none: {error.msg}."
        ) from None
    except (ValueError, MemoryError, RecursionError):
        raise DefinitionError(f"{name}:1:1: this begins as a Python dict, but Python cannot read it.") from None


def _plain(node: ast.expr) -> Any:
    """The value of a literal. Any other expression, such as ``datetime.datetime(...)``, becomes its text."""
    if isinstance(node, ast.Dict):
        return {str(_plain(key)): _plain(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_plain(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


class YamlText:
    """YAML as text.

    :param name: what messages call the file.
    """

    def __init__(self, text: str, *, name: str) -> None:
        self._text = text
        self._name = name
        self._nodes: list[Any] = []

    def load(self) -> tuple[Any, ...]:
        """The values of its documents, of JSON's kinds; dates stay text.

        :raises DefinitionError: naming the line where it cannot be read, or that PyYAML is missing.
        """
        try:
            import yaml
        except ImportError:
            raise DefinitionError(
                f"{self._name} is not JSON; to read YAML, install PyYAML: pip install pyyaml"
            ) from None
        try:
            loader = _make_loader(yaml)(self._text)
        except yaml.YAMLError as error:
            raise DefinitionError(f"{self._name}:1:1: this is not YAML: {' '.join(str(error).split())}.") from None
        try:
            while loader.check_node():
                self._nodes.append(loader.get_node())
            return tuple(loader.construct_document(node) for node in self._nodes)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise DefinitionError(f"{self._name}{place}: this is not YAML: {error.problem or error.context}.") from None
        except (yaml.YAMLError, ValueError) as error:
            raise DefinitionError(f"{self._name}: this is not YAML: {' '.join(str(error).split())}.") from None
        except RecursionError:
            raise DefinitionError(f"{self._name}: this YAML is nested too deeply.") from None
        finally:
            loader.dispose()

    def find_repeated_key(self) -> tuple[str, int, int] | None:
        """The first key that stands twice in one mapping, with its second line and column; None if there is none.

        YAML's own readers keep the last one and say nothing.
        """
        left, seen = list(self._nodes), set[int]()
        while left:
            node = left.pop()
            if id(node) in seen or node.id == "scalar":
                continue
            seen.add(id(node))
            if node.id == "sequence":
                left.extend(node.value)
                continue
            known = set[str]()
            for key, value in node.value:
                if key.id == "scalar" and key.value in known:
                    return str(key.value), key.start_mark.line + 1, key.start_mark.column + 1
                if key.id == "scalar" and key.value != "<<":
                    known.add(key.value)
                left.append(value)
        return None

    def locate(self, path: JsonPath, number: int = 0) -> tuple[int, int] | None:
        """The line and column, from 1, of the value at ``path``, or of the nearest value around it."""
        node = self._find(path, number)
        return None if node is None else (node.start_mark.line + 1, node.start_mark.column + 1)

    def locate_in_block(self, path: JsonPath, line: int, column: int, number: int = 0) -> tuple[int, int] | None:
        """The place of a line and column in the block of text (``|``) at ``path``; None if there is no block."""
        node = self._find(path, number)
        if node is not None and node.id == "mapping" and len(node.value) == 1:
            node = node.value[0][1]  # Fn::Sub, written in full
        if node is not None and node.id == "sequence" and node.value:
            node = node.value[0]
        if node is None or node.id != "scalar" or node.style != "|":
            return None
        lines = self._text.split("\n")
        first = next((text for text in lines[node.start_mark.line + 1 :] if text.strip()), "")
        return node.start_mark.line + 1 + line, len(first) - len(first.lstrip(" ")) + column

    def _find(self, path: JsonPath, number: int) -> Any:
        if number >= len(self._nodes):
            return None
        node = self._nodes[number]
        for key in path:
            inner = _child(node, key)
            if inner is None:
                break
            node = inner
        return node


def _child(node: Any, key: str | int) -> Any:
    if isinstance(key, int):
        return node.value[key] if node.id == "sequence" and key < len(node.value) else None
    if node.id != "mapping":
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _make_loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads what JSON has, and CloudFormation's tags."""

        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    def construct_tag(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        if suffix not in _FUNCTIONS and suffix not in ("Ref", "Condition"):
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag !{suffix} is none of CloudFormation's", node.start_mark
            )
        value: Any
        if node.id == "scalar":
            value = loader.construct_scalar(node)
        elif node.id == "sequence":
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", construct_tag)
    return Loader
