"""YAML, with the short forms of CloudFormation's functions: ``!Sub x`` is ``{"Fn::Sub": x}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.json_value import JsonPath

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
        loader = _make_loader(yaml)(self._text)
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

    def locate(self, path: JsonPath, number: int = 0) -> tuple[int, int] | None:
        """The line and column, from 1, of the value at ``path``, or of the nearest value around it."""
        node = self._find(path, number)
        return None if node is None else (node.start_mark.line + 1, node.start_mark.column + 1)

    def locate_in_block(self, path: JsonPath, line: int, column: int, number: int = 0) -> tuple[int, int] | None:
        """The place of a line and column in the block of text (``|``) at ``path``; None if there is no block."""
        node = self._find(path, number)
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
