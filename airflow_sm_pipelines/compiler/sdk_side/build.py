"""Loads the script, calls its function with the arguments that it asks for, and reads the pipeline's definition."""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .finishing import Finishing
from .held_uploads import HeldUploads
from .local_mode import LocalMode, refuse_docker
from .script_module import Arguments, MadePipelines, ScriptModule, read_custom_tags
from .sdk_patches import SdkPatches
from .step_payloads import LocalSecret, StepPayloads
from .user_calls import UserCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from .aws_calls import AwsCalls
    from .machine_calls import MachineCalls
    from .project import Project
    from .sdk import Sdk
    from .stamps import Stamps


def build(
    request: dict[str, Any],
    sdk: Sdk,
    aws: AwsCalls,
    stamps: Stamps,
    project: Project,
    machine: MachineCalls,
    is_users: Callable[[bytes], bool],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Build the pipeline and upload what it uses.

    :param request: the worker's request.
    :param is_users: says whether bytes are those of one of the user's files.
    :param say: takes what the user should know.
    :return: the answer's part about the pipeline: its name, definition, tags, uploads and so on.
    :raises BuildError: the script has no such function, or the function returns no pipeline.
    """
    secret = LocalSecret(Path(request["keys_folder"]))
    payloads = StepPayloads(project)
    patches = SdkPatches(stamps=stamps, project=project, secret=secret, role_arn=request["role_arn"])
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
    user_calls = UserCalls(project)
    user_calls.install(sdk)
    script = ScriptModule(request, sdk.pipeline_class, MadePipelines(sdk.pipeline_class), say)
    with machine.watch():
        result = _make_pipeline(request, sdk, script, patches)
        tags = read_custom_tags(script.module, {"region": request["region"], **request["config"]}, say)
        with user_calls.explained(result):
            definition = result.definition()
    assert aws.answers is not None  # noqa: S101 - set by hold
    for uri in aws.answers.definition_uris:  # of a definition that was to be sent by way of S3
        held.drop(uri)
    finishing = Finishing(
        stamps=stamps, held=held, payloads=payloads, secret=secret, project=project, is_users=is_users, call=aws.call
    )
    finished = finishing.finish(result.name, definition, result)
    aws.look_up()
    return {
        "name": finished.name,
        "definition_text": finished.definition_text,
        **_read_settings(result, finishing, tags, aws.answers.made("Pipeline", result.name)),
        "sdk_version": sdk.version,
        "uploads": finished.uploads,
        "sent": finished.sent,
        "writes": aws.writes,
        "answered": aws.answers.calls,
        "questions": [*aws.questions, *finished.asked],
        "unrepeatable": [*machine.found, *aws.unrepeatable],
    }


def _make_pipeline(request: dict[str, Any], sdk: Sdk, script: ScriptModule, patches: SdkPatches) -> Any:
    """Load the script and call its function, where it has one; give the pipeline."""
    found = script.load()
    patches.install()  # once more, for what the script imported
    if isinstance(found, sdk.pipeline_class):
        return found
    positional, keywords = Arguments(request, sdk).bind(found)
    result = script.take(found, lambda: found(*positional, **keywords))
    patches.install()  # and for what the function imported
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


def _read_settings(
    pipeline: Any, finishing: Finishing, tags: list[dict[str, str]], upserted: dict[str, Any]
) -> dict[str, Any]:
    """The settings for the deployment that the script has set on the pipeline, or given when it created it.

    :param tags: those of AWS's project.
    :param upserted: the arguments of the script's own CreatePipeline, which was not sent.
    """
    description = getattr(pipeline, "description", None) or upserted.get("PipelineDescription")
    parallelism = getattr(pipeline, "parallelism_config", None) or upserted.get("ParallelismConfiguration")
    if parallelism is not None and not isinstance(parallelism, dict):  # the SDK's ParallelismConfiguration
        parallelism = {"MaxParallelExecutionSteps": parallelism.max_parallel_execution_steps}
    own = getattr(pipeline, "tags", None) or upserted.get("Tags") or ()
    by_key = {tag["Key"]: tag for tag in [*tags, *own]}
    return {
        "description": None if description is None else finishing.written(description),
        "tags": [{"Key": key, "Value": finishing.written(tag["Value"])} for key, tag in by_key.items()],
        "parallelism": parallelism,
    }


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
