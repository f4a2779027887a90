"""What Terraform knows and prints: pipelines in a plan, a state or JSON configuration, and values on its console."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

PIPELINE_TYPES = ("aws_sagemaker_pipeline", "awscc_sagemaker_pipeline")
_STACK_TYPE = "aws_cloudformation_stack"
RESOURCE_TYPES = (*PIPELINE_TYPES, _STACK_TYPE)


@dataclass(frozen=True, slots=True)
class TerraformPipeline:
    """A resource of Terraform that is a pipeline, or a stack with pipelines.

    :param address: such as ``module.ml.aws_sagemaker_pipeline.train``.
    :param values: its attributes; those of a plan are the planned ones. Empty where it is to be destroyed.
    :param path: where they stand in the document.
    :param before: its attributes before the plan; None where it does not exist yet.
    :param has_before: whether the document is a plan, which says what was before.
    :param references: what a plan's configuration names where the definition comes from.
    """

    address: str
    values: Mapping[str, Any]
    path: tuple[str | int, ...]
    before: Mapping[str, Any] | None = None
    has_before: bool = False
    references: tuple[str, ...] = ()


def is_terraform(document: Mapping[str, Any]) -> bool:
    """Whether a document is a plan, a state or JSON configuration of Terraform."""
    if "resource" in document:
        return any(kind in block for _, block in _iter_blocks(document["resource"], ()) for kind in RESOURCE_TYPES)
    return ("format_version" in document and "Resources" not in document) or (
        "terraform_version" in document and isinstance(document.get("resources"), list)
    )


def find_pipelines(document: Mapping[str, Any]) -> Iterator[TerraformPipeline]:
    """The pipelines of a plan, a state (also ``terraform.tfstate``) or JSON configuration."""
    if "resource" in document:
        yield from _in_configuration(document["resource"])
    elif isinstance(document.get("resource_changes"), list):
        yield from _in_plan(document)
    elif isinstance(document.get("resources"), list):
        yield from _in_state_file(document["resources"])
    else:
        for key in ("planned_values", "values"):
            if isinstance(values := document.get(key), dict):
                yield from _in_module(values.get("root_module"), (key, "root_module"))
                return


def _in_plan(document: Mapping[str, Any]) -> Iterator[TerraformPipeline]:
    for index, resource in enumerate(document["resource_changes"]):
        change = resource.get("change") if isinstance(resource, dict) else None
        if not isinstance(change, dict) or resource.get("type") not in RESOURCE_TYPES:
            continue
        after, before = change.get("after"), change.get("before")
        values = dict(after) if isinstance(after, dict) else {}
        unknown = change.get("after_unknown")
        if isinstance(unknown, dict) and values:
            values.update({key: KNOWN_AFTER_APPLY for key, is_unknown in unknown.items() if is_unknown is True})
        address = str(resource.get("address"))
        yield TerraformPipeline(
            address,
            values,
            ("resource_changes", index, "change", "after" if values else "before"),
            before=before if isinstance(before, dict) else None,
            has_before=True,
            references=_find_references(document.get("configuration"), address),
        )


def _in_module(module: Any, path: tuple[str | int, ...]) -> Iterator[TerraformPipeline]:
    if not isinstance(module, dict):
        return
    for index, resource in enumerate(module.get("resources") or ()):
        if isinstance(resource, dict) and resource.get("type") in RESOURCE_TYPES:
            values = resource.get("values")
            yield TerraformPipeline(
                str(resource.get("address")),
                values if isinstance(values, dict) else {},
                (*path, "resources", index, "values"),
            )
    for index, child in enumerate(module.get("child_modules") or ()):
        yield from _in_module(child, (*path, "child_modules", index))


def _in_state_file(resources: list[Any]) -> Iterator[TerraformPipeline]:
    for number, resource in enumerate(resources):
        if not isinstance(resource, dict) or resource.get("type") not in RESOURCE_TYPES:
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for index, instance in enumerate(resource.get("instances") or ()):
            values = instance.get("attributes") if isinstance(instance, dict) else None
            key = instance.get("index_key") if isinstance(instance, dict) else None
            suffix = "" if key is None else f"[{key}]" if isinstance(key, int) else f'["{key}"]'
            yield TerraformPipeline(
                f"{module}{resource['type']}.{resource.get('name')}{suffix}",
                values if isinstance(values, dict) else {},
                ("resources", number, "instances", index, "attributes"),
            )


def _in_configuration(resources: Any) -> Iterator[TerraformPipeline]:
    for place, kinds in _iter_blocks(resources, ("resource",)):
        for kind in RESOURCE_TYPES:
            for inside, named in _iter_blocks(kinds.get(kind), (*place, kind)):
                for name, body in named.items():
                    for path, values in _iter_blocks(body, (*inside, name)):
                        yield TerraformPipeline(f"{kind}.{name}", values, path)


def _iter_blocks(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """The objects that stand for blocks: Terraform's JSON takes a list of them wherever it takes one."""
    if isinstance(value, dict):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield (*path, index), item


def _find_references(configuration: Any, address: str) -> tuple[str, ...]:
    """What the expression of a definition refers to, such as ``aws_s3_bucket.data.arn``."""
    module = configuration.get("root_module") if isinstance(configuration, dict) else None
    parts = address.split(".")
    while parts[0] == "module" and len(parts) > 2 and isinstance(module, dict):
        calls = module.get("module_calls")
        call = calls.get(parts[1].partition("[")[0]) if isinstance(calls, dict) else None
        module, parts = (call.get("module") if isinstance(call, dict) else None), parts[2:]
    resources = module.get("resources") if isinstance(module, dict) else None
    for resource in resources if isinstance(resources, list) else ():
        if isinstance(resource, dict) and resource.get("address") == ".".join(parts).partition("[")[0]:
            expression = (resource.get("expressions") or {}).get("pipeline_definition")
            references = expression.get("references") if isinstance(expression, dict) else None
            return tuple(map(str, references or ()))
    return ()


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
