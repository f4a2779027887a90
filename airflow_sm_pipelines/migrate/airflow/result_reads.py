"""Reads of the result of a job's task: what a pull names, where a file has pulls, and which XCom takes their place.

The amazon provider's operators push what Describe answers below a key: ``{"Training": {"ModelArtifacts": ...}}``. A
read of one member of it becomes a read of an output of the run task.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from airflow_sm_pipelines.migrate.airflow.source_file import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

RESULT_KEYS = {
    "SageMakerProcessingOperator": "Processing",
    "SageMakerTrainingOperator": "Training",
    "SageMakerTuningOperator": "Tuning",
    "SageMakerTransformOperator": "Transform",
    "SageMakerModelOperator": "Model",
    "SageMakerEndpointConfigOperator": "EndpointConfig",
    "SageMakerEndpointOperator": "Endpoint",
}
"""The key of each operator's result."""

_PULL = re.compile(r"xcom_pull\(([^()]*)\)((?:\s*\[[^\[\]]*\])*)")
_WHOLE = re.compile(r"\{\{-?\s*(?:ti|task_instance)\.(xcom_pull\([^()]*\)(?:\s*\[[^\[\]]*\])*)\s*-?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull of one task's result.

    :param task_id: the task.
    :param path: the keys that are taken of it.
    """

    task_id: str
    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ResultRead:
    """A pull in a file.

    :param node: the call, or the string that holds the template.
    :param start: offset of the text that is replaced.
    :param end: offset behind it.
    :param quote: how texts are quoted there.
    """

    pull: Pull
    node: ast.AST
    start: int
    end: int
    quote: str

    def replace(self, task_id: str, key: str) -> Edit:
        """An edit that reads another task's key instead."""
        quote = self.quote
        return Edit(self.start, self.end, f"xcom_pull(task_ids={quote}{task_id}{quote}, key={quote}{key}{quote})")


def parse_template(text: str) -> Pull | None:
    """The pull that a template is; None if it is another one."""
    found = _WHOLE.fullmatch(text)
    return _parse(found[1]) if found else None


def _parse(text: str) -> Pull | None:
    """A pull from its source: ``xcom_pull(task_ids='train')['Training']``."""
    try:
        node: ast.expr = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    path: list[str | int] = []
    while isinstance(node, ast.Subscript):
        if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, (str, int)):
            return None
        path.insert(0, node.slice.value)
        node = node.value
    return _read_call(node, tuple(path)) if isinstance(node, ast.Call) else None


def _read_call(call: ast.Call, path: tuple[str | int, ...]) -> Pull | None:
    named = {one.arg: one.value for one in call.keywords}
    ids = named.get("task_ids") or (call.args[0] if call.args else None)
    key = named.get("key") or (call.args[2] if len(call.args) > 2 else None)
    if key is not None and not (isinstance(key, ast.Constant) and key.value == "return_value"):
        return None
    if isinstance(ids, (ast.List, ast.Tuple)) and len(ids.elts) == 1 and path and path[0] == 0:
        ids, path = ids.elts[0], path[1:]
    if not isinstance(ids, ast.Constant) or not isinstance(ids.value, str) or "dag_id" in named:
        return None
    return Pull(ids.value, path)


def iter_reads(file: SourceFile) -> Iterator[ResultRead]:
    """Every pull of a file that says which task it reads."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "xcom_pull":
            yield from _read_python(file, node)
        elif _is_text(node) and not isinstance(file.parents.get(node), ast.JoinedStr):
            yield from _read_text(file, node)


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "xcom_pull" in node.value


def _read_python(file: SourceFile, call: ast.Call) -> Iterator[ResultRead]:
    outer: ast.expr = call
    path: list[str | int] = []
    while True:
        holder = file.parents[outer]
        if not isinstance(holder, ast.Subscript) or holder.value is not outer:
            break
        if not isinstance(holder.slice, ast.Constant) or not isinstance(holder.slice.value, (str, int)):
            break
        path.append(holder.slice.value)
        outer = holder
    pull = _read_call(call, tuple(path))
    if pull is not None and isinstance(call.func, ast.Attribute):
        start = file.span(call.func)[1] - len("xcom_pull")
        yield ResultRead(pull, call, start, file.span(outer)[1], '"')


def _read_text(file: SourceFile, node: ast.Constant) -> Iterator[ResultRead]:
    source, start = file.text(node), file.span(node)[0]
    for found in _PULL.finditer(source):
        pull = _parse(re.sub(r"\\(?=[\"'])", "", found[0]))
        if pull is not None:
            quote = re.search(r"\\?[\"']", found[0])
            first = start + len(source[: found.start()].encode())
            yield ResultRead(pull, node, first, first + len(found[0].encode()), quote[0] if quote else '"')


def find_property(kind: str, path: tuple[str | int, ...]) -> str | None:
    """The step's property that a path of the result names; None if it names more than one value.

    :return: ``ModelArtifacts.S3ModelArtifacts`` for ``("Training", "ModelArtifacts", "S3ModelArtifacts")``.
    """
    if len(path) < 2 or path[0] != RESULT_KEYS[kind]:
        return None
    text = ""
    for part in path[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
