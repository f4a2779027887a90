"""Loads the script, calls its function with the arguments that it asks for, and reads the pipeline's definition."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aws_calls import is_loopback
from .build_errors import BuildError
from .finishing import Finishing
from .held_uploads import HeldUploads
from .local_mode import INSTANCE_TYPES, LocalMode, refuse_docker
from .sdk_patches import SdkPatches
from .step_payloads import LocalSecret, StepPayloads

if TYPE_CHECKING:
    from .aws_calls import AwsCalls
    from .machine_calls import MachineCalls
    from .project import Project
    from .sdk import Sdk
    from .stamps import Stamps

_SESSION_NAMES = ("sagemaker_session", "pipeline_session", "session")
_ROLE_NAMES = ("role", "role_arn", "execution_role")
_REGION_NAMES = ("region", "region_name", "aws_region")


def build(
    request: dict[str, Any], sdk: Sdk, aws: AwsCalls, stamps: Stamps, project: Project, machine: MachineCalls
) -> dict[str, Any]:
    """Build the pipeline and upload what it uses.

    :param request: the worker's request.
    :return: the answer's part about the pipeline: its name, definition, tags, uploads and so on.
    :raises BuildError: the script has no such function, or the function returns no pipeline.
    """
    secret = LocalSecret(Path(request["keys_folder"]))
    payloads = StepPayloads(project)
    patches = SdkPatches(stamps=stamps, project=project, secret=secret)
    patches.install_once()
    patches.install()
    payloads.install()
    folder = project.scratch.with_name("held")
    folder.mkdir()
    held = HeldUploads(folder, started=stamps.real_time(), is_key_chosen=functools.partial(_is_key_chosen, project))
    aws.hold(held, account=_account_of(request["role_arn"]))
    if sdk.local_session_class is not None:
        refuse_docker(sdk)
        LocalMode(sdk).install()
    with machine.watch():
        result = _call_function(request, sdk, patches)
        patches.install()  # and for what the function imported
        definition = result.definition()
    assert aws.answers is not None  # noqa: S101 - set by hold
    for uri in aws.answers.definition_uris:  # of a definition that was to be sent by way of S3
        held.drop(uri)
    finishing = Finishing(stamps=stamps, held=held, payloads=payloads, secret=secret, project=project, call=aws.call)
    finished = finishing.finish(result.name, definition, result)
    aws.look_up()
    return {
        "name": finished.name,
        "definition_text": finished.definition_text,
        **_read_settings(result, finishing),
        "sdk_version": sdk.version,
        "uploads": finished.uploads,
        "sent": finished.sent,
        "writes": aws.writes,
        "answered": aws.answers.calls,
        "questions": [*aws.questions, *finished.asked],
        "unrepeatable": [*machine.found, *aws.unrepeatable],
    }


def _call_function(request: dict[str, Any], sdk: Sdk, patches: SdkPatches) -> Any:
    """Load the script and call its function; give the pipeline."""
    module = _load_script(Path(request["script"]))
    patches.install()  # once more, for what the script imported
    function = _find_function(module, request["function"], request["script"], sdk.pipeline_class)
    if isinstance(function, sdk.pipeline_class):
        return function
    arguments = _Arguments(request, sdk)
    positional, keywords = arguments.bind(function)
    result = function(*positional, **keywords)
    if not isinstance(result, sdk.pipeline_class):
        raise BuildError(
            "no_pipeline",
            f"{function.__name__}() returned {_describe_type(result)}, not a SageMaker SDK Pipeline "
            f"({sdk.pipeline_class.__module__}.{sdk.pipeline_class.__name__}).",
        )
    return result


def _account_of(role_arn: str | None) -> str:
    parts = (role_arn or "").split(":")
    return parts[4] if len(parts) > 4 and parts[4] else "000000000000"


_TAKES_KEY = frozenset(
    {"upload_data", "upload", "upload_file", "upload_bytes", "upload_string_as_file_body", "upload_fileobj"}
)
"""Functions of the SDK that take the key from their caller."""


def _is_key_chosen(project: Project) -> bool:
    """Say whether the user's own code named the key of the upload that is running."""
    below, frame = None, sys._getframe(1)
    while frame is not None and not project.holds(frame.f_code.co_filename):
        below, frame = frame, frame.f_back  # type: ignore[assignment]
    if frame is None or below is None:
        return False
    is_sdk = str(below.f_globals.get("__name__", "")).split(".")[0] == "sagemaker"
    return not is_sdk or below.f_code.co_name in _TAKES_KEY


def _read_settings(pipeline: Any, finishing: Finishing) -> dict[str, Any]:
    """The settings for the deployment that the script has set on the pipeline."""
    description = getattr(pipeline, "description", None)
    parallelism = getattr(pipeline, "parallelism_config", None)
    if parallelism is not None and not isinstance(parallelism, dict):  # the SDK's ParallelismConfiguration
        parallelism = {"MaxParallelExecutionSteps": parallelism.max_parallel_execution_steps}
    return {
        "description": None if description is None else finishing.written(description),
        "tags": list(getattr(pipeline, "tags", None) or ()),
        "parallelism": parallelism,
    }


def _describe_type(value: object) -> str:
    return "nothing (None): does it end with `return pipeline`?" if value is None else f"a {type(value).__name__}"


def _load_script(script: Path) -> Any:
    # In sys.modules under its own name, as after an import: dataclasses and pickle look there.
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise BuildError("script_error", f"{script} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    # @step sends functions as pickles. The remote side cannot import the script, so they are pickled by value.
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("cloudpickle").register_pickle_by_value(module)
    spec.loader.exec_module(module)
    return module


def _find_function(module: Any, name: str | None, script: str, pipeline_class: type) -> Any:
    """Find the function that returns the pipeline, or the pipeline that the script has made itself."""
    if name is None:
        name = _find_only_name(module, script, pipeline_class)
    function = getattr(module, name, None)
    if callable(function) or isinstance(function, pipeline_class):
        return function
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    close = difflib.get_close_matches(name, own, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(sorted(own)) or 'no function'}."
    what = "is not a function" if function is not None else "has no such function"
    raise BuildError("function_missing", f"{script} {what}: {name!r}.{hint}")


def _find_only_name(module: Any, script: str, pipeline_class: type) -> str:
    if callable(getattr(module, "get_pipeline", None)):
        return "get_pipeline"
    made: dict[int, str] = {id(value): key for key, value in vars(module).items() if isinstance(value, pipeline_class)}
    if len(made) == 1:
        return next(iter(made.values()))
    found = f"{len(made)} pipelines: {', '.join(sorted(made.values()))}" if made else "neither a pipeline"
    what = f"has {found}" if made else f"has {found} at its top level nor a function get_pipeline"
    raise BuildError("function_missing", f"{script} {what}. Name what is meant, such as '{script}:get_pipeline'.")


class _Arguments:
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
        text = Path(self._request["script"]).read_text(encoding="utf-8")
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
            findings.append(f"It needs {name!r}: give {where if known else f'config={{{name!r}: ...}}'}.")
        if findings:
            call = f"{function.__name__}{inspect.signature(function)}"
            raise BuildError("arguments", f"{call} cannot be called. {' '.join(findings)}")


def read_sources_only(project: Project) -> None:
    """Compile the user's modules from source, and write no bytecode beside them.

    The SDK would include the bytecode in the step code and its digest, and a function read from bytecode may pickle
    differently.
    """
    loader: Any = importlib.machinery.SourceFileLoader
    write, get_code = loader.set_data, loader.get_code

    @functools.wraps(write)
    def write_elsewhere(self: Any, path: str, data: bytes, **options: Any) -> None:
        if not project.holds(path):
            write(self, path, data, **options)

    @functools.wraps(get_code)
    def compile_source(self: Any, name: str) -> Any:
        path = self.get_filename(name)
        return self.source_to_code(self.get_data(path), path) if project.holds(path) else get_code(self, name)

    loader.set_data, loader.get_code = write_elsewhere, compile_source
