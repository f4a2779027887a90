"""Makes a pipeline script of a function in a DAG file: its source from ``def`` on, and nothing around it.

Needs neither Airflow nor the SDK. The same function gives the same file, so that the compiler's cache finds it again.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import json
import os
import symtable
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import ScriptFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FILLED_NAMES = frozenset(
    {
        *("sagemaker_session", "pipeline_session", "session"),
        *("role", "role_arn", "execution_role"),
        *("region", "region_name", "aws_region"),
        *("default_bucket", "pipeline_name"),
    }
)
"""Parameters that the compiler fills by name; a DAG's author does not give them."""

_MODULE_NAMES = frozenset({"__file__", "__name__", "__doc__", "__builtins__", *dir(builtins)})


def own_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The function's signature without the parameters that the compiler fills."""
    signature = inspect.signature(function)
    return signature.replace(parameters=[one for name, one in signature.parameters.items() if name not in FILLED_NAMES])


def bind_config(
    function: Callable[..., Any], *, args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, as the compiler takes them.

    :param context: Airflow's; a parameter with the name of one of its keys, such as ``params``, gets that value.
    :raises ScriptFunctionError: if the arguments do not fit the function, or JSON cannot carry them.
    """
    name = function.__name__
    signature = own_signature(function)
    asked = {key: context[key] for key in signature.parameters if key in context and key not in kwargs}
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError as error:
        raise ScriptFunctionError(f"{name}{signature} cannot be called so: {error}.") from error
    config = {key: value for key, value in asked.items() if key not in bound}
    for key, value in bound.items():
        kind = signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            raise ScriptFunctionError(
                f"{name}{signature}: arguments go to a pipeline script by name; leave out *{key}."
            )
        config |= value if kind is inspect.Parameter.VAR_KEYWORD else {key: value}
    for key, value in config.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ScriptFunctionError(
                f"Argument '{key}' of {name}() is {type(value).__name__} {value!r:.80}; arguments go to the pipeline "
                "script as JSON."
            ) from None
    return config


def make_script(function: Callable[..., Any], *, requirements: Sequence[str] | None) -> str:
    """The text of a pipeline script with this one function, without its decorators.

    :param requirements: the packages that it imports, such as ``["sagemaker>=2.257,<3"]``.
    :raises ScriptFunctionError: if its source cannot be read, or uses names that are defined outside of it.
    """
    name = function.__name__
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ScriptFunctionError(f"The source of {name}() cannot be read: {error}.") from error
    try:
        node = ast.parse(source).body[0]
    except SyntaxError as error:
        raise ScriptFunctionError(f"The source of {name}() is not Python by itself: {error}.") from error
    if not isinstance(node, ast.FunctionDef):
        raise ScriptFunctionError(f"{name} is no function made by `def`: its source is not a pipeline script.")
    _check_names(node)
    text = "\n".join(source.splitlines()[node.lineno - 1 :])
    header = ""
    if requirements:
        lines = [f"    {json.dumps(one)}," for one in requirements]
        content = ["/// script", "dependencies = [", *lines, "]", "///"]
        header = "".join(f"# {line}\n" for line in content)
    # Annotations stay text: what they name is imported in the DAG file, if at all.
    return f"{header}from __future__ import annotations\n\n\n{text}\n"


def keep_script(text: str, *, name: str, folder: Path) -> Path:
    """Write a script to a path made from its content, unless it is there already; a reader sees all of it or nothing.

    :param folder: the folder of all such scripts.
    """
    path = folder / hashlib.sha256(text.encode("utf-8")).hexdigest()[:20] / f"{name}.py"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=folder, prefix=".", suffix=".py")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(scratch).replace(path)
    return path


def _check_names(node: ast.FunctionDef) -> None:
    """Refuse names that the function takes from the DAG file, since the script does not have them."""
    bare = _without_annotations(node)
    outside: dict[str, None] = {}
    tables = [symtable.symtable(ast.unparse(bare), "<pipeline>", "exec")]
    while tables:
        table = tables.pop(0)
        tables += table.get_children()
        is_module = table.get_type() == "module"
        for symbol in table.get_symbols():
            is_free = symbol.is_global() or (is_module and not symbol.is_assigned())
            if symbol.is_referenced() and is_free and symbol.get_name() not in (*_MODULE_NAMES, node.name):
                outside[symbol.get_name()] = None
    if outside:
        raise ScriptFunctionError(
            f"{node.name}() uses {', '.join(map(repr, outside))} from outside of it; only its own body goes to the "
            "pipeline script. Import or define it inside, or pass it as an argument."
        )


def _without_annotations(node: ast.FunctionDef) -> ast.Module:
    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            node.returns = None
            return self.generic_visit(node)

        def visit_arg(self, node: ast.arg) -> ast.AST:
            node.annotation = None
            return node

        def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
            node.annotation = ast.Constant("")
            return self.generic_visit(node)

    copy = ast.parse(ast.unparse(node))
    copy.body[0].decorator_list = []  # type: ignore[attr-defined]
    stripped: ast.Module = Strip().visit(copy)
    return ast.fix_missing_locations(stripped)
