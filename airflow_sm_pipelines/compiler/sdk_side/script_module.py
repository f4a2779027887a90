"""Loads the script as a module, or a notebook's cells, and finds the pipeline that it makes.

Belongs here: what counts as the pipeline of a script, the arguments that its functions ask for, and what a script may
do after it has made a pipeline.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import linecache
import os
import re
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aws_calls import is_loopback
from .build_errors import BuildError
from .local_mode import INSTANCE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sdk import Sdk

_SESSION_NAMES = ("sagemaker_session", "pipeline_session", "session")
_ROLE_NAMES = ("role", "role_arn", "execution_role")
_REGION_NAMES = ("region", "region_name", "aws_region")
_NOT_RUN = "__sm_pipelines_not_run__"


class MadePipelines:
    """The pipelines that the script makes, in the order in which it makes them.

    :ivar all: every one of them.
    :ivar sent: those that it has asked to be created, updated or started.
    :ivar is_started: whether it has asked for an execution. What it does after that is about an execution that does
        not exist.
    """

    def __init__(self, pipeline_class: Any) -> None:
        self.all: list[Any] = []
        self.sent: list[Any] = []
        self.is_started = False
        self._watch(pipeline_class, "__init__", self.all)
        for name in ("create", "update", "upsert", "start"):
            if hasattr(pipeline_class, name):
                self._watch(pipeline_class, name, self.sent)

    def _watch(self, pipeline_class: Any, name: str, made: list[Any]) -> None:
        real = getattr(pipeline_class, name)

        @functools.wraps(real)
        def call(pipeline: Any, *args: Any, **options: Any) -> Any:
            if not any(pipeline is other for other in made):
                made.append(pipeline)
            result = real(pipeline, *args, **options)
            if name == "start" and not self.is_started:
                self.is_started = True
                time.sleep = _wait_for_nothing  # type: ignore[assignment]
            return result

        setattr(pipeline_class, name, call)

    def only_one(self) -> Any:
        """Give the one that was created or started; where none was, the one that was made. None if that is not one."""
        found = self.sent or self.all
        return found[0] if len(found) == 1 else None


def _wait_for_nothing(seconds: float) -> None:
    """Stand in for `time.sleep` once an execution was asked for: there is none that could go on meanwhile."""


class ScriptModule:
    """The script, loaded.

    :param request: the worker's request.
    :param say: takes what the user should know.
    """

    def __init__(
        self, request: dict[str, Any], pipeline_class: Any, made: MadePipelines, say: Callable[[str], None]
    ) -> None:
        self._script = Path(request["script"])
        self._shown = request["shown_as"]
        self._cells: list[dict[str, Any]] | None = request["cells"]
        self._function: str | None = request["function"]
        self._pipeline_class = pipeline_class
        self._made = made
        self._say = say
        self._main_blocks: list[ast.stmt] = []
        self.module: Any = None

    def load(self) -> Any:
        """Load it, and find the function that returns the pipeline, or the pipeline.

        :raises BuildError: there is neither.
        """
        if self._cells is not None:
            self.module = _make_main_module(self._script)
            self._run_cells(self._cells)
        else:
            self._run_script()
        return self._find(self._function) if self._function is not None else self._find_only()

    def take(self, function: Any, call: Callable[[], Any]) -> Any:
        """Call the function and give the pipeline that it returns, or that it has created or started instead."""
        try:
            result = call()
        except BaseException as error:
            if not self._goes_on_after(error):
                raise
            result = None
        if isinstance(result, self._pipeline_class):
            return result
        parts = result if isinstance(result, (tuple, list)) else ()
        found = [part for part in parts if isinstance(part, self._pipeline_class)]
        if len(found) == 1:
            return found[0]
        if len(self._made.sent) == 1:
            return self._made.sent[0]
        raise BuildError(
            "no_pipeline",
            f"{function.__name__}() returned {_describe_type(result)}, not a SageMaker SDK Pipeline "
            f"({self._pipeline_class.__module__}.{self._pipeline_class.__name__}).",
        )

    # --- running

    def _run_script(self) -> None:
        # In sys.modules under its own name, as after an import: dataclasses and pickle look there.
        name = self._script.stem
        spec = importlib.util.spec_from_file_location(name, self._script)
        if spec is None or spec.loader is None:
            raise BuildError("script_error", f"{self._script} is not a Python file.")
        self.module = importlib.util.module_from_spec(spec)
        sys.modules[name] = self.module
        _pickle_by_value(self.module)
        tree = ast.parse(self._script.read_bytes(), str(self._script))
        if _needs_package(tree):
            _join_package(self.module, self._script)
        if self._function is None:
            self._main_blocks = [node for node in tree.body if _is_main_block(node)]
            tree.body = [node for node in tree.body if not _is_main_block(node)]
            code = compile(tree, str(self._script), "exec", dont_inherit=True)
        else:
            code = spec.loader.get_code(name)  # type: ignore[attr-defined]
        self._run(code)

    def _run_main_blocks(self) -> None:
        """Run what stands below `if __name__ == "__main__":`, as Python runs it."""
        self.module.__name__ = "__main__"
        sys.modules["__main__"] = self.module
        tree = ast.Module(self._main_blocks, [])
        try:
            self._run(compile(tree, str(self._script), "exec", dont_inherit=True))
        except SystemExit as error:
            if error.code not in (None, 0):
                raise

    def _run(self, code: Any) -> None:
        try:
            exec(code, self.module.__dict__)  # noqa: S102 - the user's script
        except BaseException as error:
            if not self._goes_on_after(error):
                raise

    def _goes_on_after(self, error: BaseException) -> bool:
        """Whether an error does not count: it came after the execution was asked for, and there is none."""
        if not self._made.is_started or isinstance(error, (KeyboardInterrupt, BuildError)):
            return False
        self._say(
            f"{_last_place(error, self._script)} fails ({type(error).__name__}: {error}). It stands after start(), and "
            "a build starts no execution; so this does not count."
        )
        return True

    def _run_cells(self, cells: list[dict[str, Any]]) -> None:
        skipped = [f"cell {cell['number']}: {line}" for cell in cells for line in cell["skipped"]]
        if skipped:
            self._say(f"Not run: {'; '.join(skipped)}")
        for cell in cells:
            if cell["file"] is not None:
                self._write_file(cell)
                continue
            name = f"{self._script}, cell {cell['number']}"
            lines = cell["source"].splitlines(keepends=True)
            linecache.cache[name] = (len(cell["source"]), None, lines, name)
            try:
                self._run(compile(cell["source"], name, "exec", dont_inherit=True))
            except Exception:
                self._say(f"Cell {cell['number']} fails. If the pipeline needs nothing of it, tag it skip-execution.")
                raise

    def _write_file(self, cell: dict[str, Any]) -> None:
        variables = vars(self.module)
        path = re.sub(
            r"\{(\w+)\}|\$(\w+)", lambda found: str(variables.get(found[1] or found[2], found[0])), cell["file"]
        )
        target = Path.cwd() / Path(path).expanduser()
        inside = Path(os.path.realpath(self._script.parent))
        if inside not in Path(os.path.normpath(target)).parents:
            raise BuildError(
                "script_error",
                f"Cell {cell['number']} writes {path}, which is not below the notebook's folder. A build writes only "
                "into a copy of that folder: write the file there, or keep it in the repository.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        with target.open("a" if cell["is_appended"] else "w", encoding="utf-8") as file:
            file.write(cell["content"])

    # --- finding

    def _find(self, name: str) -> Any:
        function = getattr(self.module, name, None)
        if callable(function) or isinstance(function, self._pipeline_class):
            return function
        own = sorted(self._own_functions())
        close = difflib.get_close_matches(name, own, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(own) or 'no function'}."
        what = "is not a function" if function is not None else "has no such function"
        raise BuildError("function_missing", f"{self._shown} {what}: {name!r}.{hint}")

    def _find_only(self) -> Any:
        """Give the script's only pipeline: by `get_pipeline`, at its top level, or made by its `__main__` block."""
        function = getattr(self.module, "get_pipeline", None)
        if callable(function) and getattr(function, "__module__", None) == self.module.__name__:
            return function
        found = self._pipelines_at_top()
        if not found and callable(function):
            return function
        if not found and self._main_blocks:
            self._run_main_blocks()
            if self._made.only_one() is not None:
                return self._made.only_one()
            found = self._pipelines_at_top()
        if len(found) == 1:
            return next(iter(found.values()))
        names = sorted(found)
        what = f"has {len(names)} pipelines: {', '.join(names)}" if names else self._describe_nothing()
        example = names[0] if names else (sorted(self._own_functions()) or ["get_pipeline"])[0]
        raise BuildError(
            "function_missing", f"{self._shown} {what}. Name what is meant, such as '{self._shown}:{example}'."
        )

    def _describe_nothing(self) -> str:
        functions = ", ".join(sorted(self._own_functions()))
        return "has neither a pipeline at its top level nor a function get_pipeline" + (
            f"; its functions are {functions}" if functions else ""
        )

    def _pipelines_at_top(self) -> dict[str, Any]:
        """The pipelines that the script has at its top level, each by its last name."""
        made = {id(value): (name, value) for name, value in vars(self.module).items() if self._is_pipeline(value)}
        return dict(made.values())

    def _is_pipeline(self, value: object) -> bool:
        return isinstance(value, self._pipeline_class)

    def _own_functions(self) -> Iterator[str]:
        for name, value in vars(self.module).items():
            if inspect.isfunction(value) and value.__module__ == self.module.__name__ and not name.startswith("_"):
                yield name


class _NotRun:
    """The value of a line that is not run: using it is an error that names the line."""

    def __init__(self, line: str) -> None:
        self._line = line

    def _refuse(self, *_: Any) -> Any:
        raise BuildError(
            "script_error", f"The notebook uses what '{self._line}' gives, and a build does not run that line."
        )

    __iter__ = __len__ = __getitem__ = __str__ = __format__ = __bool__ = __call__ = _refuse

    def __getattr__(self, name: str) -> Any:
        return self._refuse()


def _make_main_module(script: Path) -> Any:
    """Make the module of a notebook's cells, with what Jupyter has beside Python."""
    module: Any = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    _pickle_by_value(module)
    setattr(module, _NOT_RUN, _NotRun)
    shown: Any = builtins
    shown.display = lambda *values, **options: None
    shown.get_ipython = lambda: _Anything("get_ipython()")
    if importlib.util.find_spec("IPython") is None:
        for name in ("IPython", "IPython.display", "IPython.core.display", "IPython.core"):
            sys.modules[name] = _AnyModule(name)
    return module


class _Anything:
    """Takes every call and has every attribute, without effect."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _AnyModule(types.ModuleType):
    """Stands in for IPython, whose functions only show something."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name)


def _needs_package(tree: ast.Module) -> bool:
    """Whether a script imports relative to its package, and does not try it only."""
    tried = {node for block in ast.walk(tree) if isinstance(block, ast.Try) for node in ast.walk(block)}
    return any(isinstance(node, ast.ImportFrom) and node.level and node not in tried for node in ast.walk(tree))


def _join_package(module: Any, script: Path) -> None:
    """Make a script a part of its package, as an import of it would. It keeps its name.

    The package starts below the nearest folder without an `__init__.py`. Without one beside the script, it starts in
    the folder in which the script runs.
    """
    root = next(folder for folder in script.parents if not (folder / "__init__.py").is_file())
    if root == script.parent:
        root = Path.cwd()
    if root == script.parent or root not in script.parents:
        return
    package = ".".join(script.parent.relative_to(root).parts)
    module.__spec__ = importlib.util.spec_from_file_location(f"{package}.{script.stem}", script)
    module.__package__ = package
    if str(root) not in sys.path:
        sys.path.append(str(root))


def _pickle_by_value(module: Any) -> None:
    # @step sends functions as pickles. The remote side cannot import the script, so they are pickled by value.
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("cloudpickle").register_pickle_by_value(module)


def _is_main_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def _last_place(error: BaseException, script: Path) -> str:
    """Give the last line of the script that an error has passed."""
    place, trace = script.name, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(str(script)):
            place = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _describe_type(value: object) -> str:
    return "nothing (None): does it end with `return pipeline`?" if value is None else f"a {type(value).__name__}"


class Arguments:
    """The values that the function may ask for by name; those of ``config`` come first."""

    def __init__(self, request: dict[str, Any], sdk: Sdk) -> None:
        self._request = request
        self._sdk = sdk
        self._config: dict[str, Any] = dict(request["config"])

    @functools.cached_property
    def _session(self) -> Any:
        return self._sdk.make_session(
            self._request["region"], self._request["default_bucket"], is_local=self._is_for_local_mode()
        )

    def _is_for_local_mode(self) -> bool:
        """Whether the steps are for local mode: the script or its config names it, and AWS is on this machine."""
        if not is_loopback():
            return False
        text = self._request["source"]
        return any(
            name in self._config.values() or f'"{name}"' in text or f"'{name}'" in text for name in INSTANCE_TYPES
        )

    def bind(self, function: Any) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments for the function.

        :raises BuildError: one is missing, or ``config`` has one that the function does not take.
        """
        parameters = inspect.signature(function).parameters
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        missing: list[str] = []
        unused = dict(self._config)
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(unused)
                unused = {}
                continue
            unused.pop(name, None)
            has_value, value = self._find(name, is_required=parameter.default is parameter.empty)
            if not has_value:
                if parameter.default is parameter.empty:
                    missing.append(name)
                    continue
                value = parameter.default
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif has_value:
                keywords[name] = value
        self._check(function, parameters, missing, unused)
        return positional, keywords

    def _find(self, name: str, *, is_required: bool) -> tuple[bool, Any]:
        if name in self._config:
            return True, self._config[name]
        if name in _SESSION_NAMES:
            return True, self._session
        offered: Any = None
        if name in _ROLE_NAMES:
            offered = self._request["role_arn"]
        elif name in _REGION_NAMES:
            offered = self._request["region"]
        elif name == "pipeline_name":
            offered = self._request["pipeline_name"]
        elif name == "default_bucket":
            offered = self._request["default_bucket"]
            if offered is None and is_required:
                offered = self._session.default_bucket()
        return offered is not None, offered

    @staticmethod
    def _check(function: Any, parameters: Any, missing: list[str], unused: dict[str, Any]) -> None:
        findings = []
        for name in unused:
            close = difflib.get_close_matches(name, list(parameters), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            findings.append(f"It takes no argument {name!r}, which is in `config`.{hint}")
        for name in missing:
            where = "role_arn" if name in _ROLE_NAMES else name
            known = name in (*_ROLE_NAMES, *_REGION_NAMES, "pipeline_name")
            option = f"--{where.replace('_', '-')}" if known else f"--set {name}=..."
            given = where if known else f"config={{{name!r}: ...}}"
            findings.append(f"It needs {name!r}: give {given} (on the command line, {option}).")
        if findings:
            call = f"{function.__name__}{inspect.signature(function)}"
            raise BuildError("arguments", f"{call} cannot be called. {' '.join(findings)}")


def read_custom_tags(module: Any, config: dict[str, Any], say: Callable[[str], None]) -> list[dict[str, str]]:
    """Give the tags of a script's `get_pipeline_custom_tags`, with which AWS's project template marks its pipelines.

    :param config: has what the function takes besides the tags. Where it has not, the function is not called, as the
        template's `run_pipeline` goes on without it.
    """
    function = getattr(module, "get_pipeline_custom_tags", None)
    if not callable(function):
        return []
    _, *others = inspect.signature(function).parameters.values()
    given = {one.name: config[one.name] for one in others if config.get(one.name) is not None}
    missing = [one.name for one in others if one.name not in given and one.name not in _REGION_NAMES]
    if missing:
        say(f"get_pipeline_custom_tags() is not called: it needs {', '.join(missing)} in `config`.")
        return []
    try:
        tags = function([], **given)
    except Exception as error:  # noqa: BLE001 - the template's run_pipeline goes on, too
        say(f"get_pipeline_custom_tags() fails, and its tags are missing ({type(error).__name__}: {error}).")
        return []
    return [tag for tag in tags or () if isinstance(tag, dict) and {"Key", "Value"} <= tag.keys()]
