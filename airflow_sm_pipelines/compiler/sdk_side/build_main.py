"""The worker's main function: it reads the request, builds the pipeline, and always writes an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from .aws_calls import AwsCalls, guard_network
from .build import build, read_sources_only
from .build_errors import BuildError, StartedJobError
from .chatter import mark_packages
from .input_recorder import FileRecorder, record_variables
from .machine_calls import MachineCalls
from .project import Project
from .project_roots import RootFinder, find_at_root, folder_of_project
from .sdk import explain_missing_sdk_part, load_sdk
from .stamps import Stamps
from .user_calls import UnwritableStepError

PROTOCOL = 3


def main() -> int:
    """Read the request, build the pipeline, write the answer."""
    request_path, answer_path = Path(sys.argv[1]), Path(sys.argv[2])
    request = json.loads(request_path.read_text(encoding="utf-8"))
    answer = _answer(request)
    answer["protocol"] = PROTOCOL
    scratch = answer_path.with_suffix(".partial")
    scratch.write_text(json.dumps(answer), encoding="utf-8")
    scratch.replace(answer_path)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # The script left threads that the interpreter would wait for, but the pipeline is built.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    script, root = Path(request["script"]), request["project_root"]
    roots = [Path(found) for found in request["roots"]]
    scratch = Path(request["scratch"], "tmp")
    project = Project(script, root=Path(root) if root else None, scratch=scratch, roots=tuple(roots))
    try:
        if request.get("protocol") != PROTOCOL:
            raise BuildError("protocol", f"The worker speaks protocol {PROTOCOL}, not {request.get('protocol')}.")
        sys.argv = [str(script), *request["script_args"]]
        sys.path.insert(0, str(script.parent))
        if root:
            sys.path.insert(1, root)
        scratch.mkdir()
        finder = RootFinder(roots, project)
        stop_marking = mark_packages(project)
        try:
            return _build(request, project, finder) | {"at_root": finder.used}
        finally:
            stop_marking()
    except StartedJobError as error:
        return _make_failure(error.kind, str(error), error, project)
    except BuildError as error:
        return _make_failure(error.kind, str(error))
    except SystemExit as error:
        said = (
            f"The script ended the process (sys.exit({error.code!r})). If it reads its command line, give that with "
            "script_args=['--name', 'value'] (--script-args '--name value'), or name the function that makes the "
            "pipeline, such as 'script.py:get_pipeline'."
        )
        return _make_failure("script_error", said, error, project)
    except BaseException as error:  # noqa: BLE001 - a script may raise anything, and each error is an answer
        return _explain(error, project, roots) | {"missing": find_at_root(_find_causes(error), roots)}


_MISSING = {
    "NoRegionError": "The SDK needs an AWS region: set one in the connection, or with region_name.",
    "NoCredentialsError": (
        "The SDK found no AWS credentials. Fill in those of the Airflow connection, set AWS_PROFILE or "
        "AWS_ACCESS_KEY_ID, or run this under 'sm-pipelines local exec --', which needs no AWS account."
    ),
}
"""What to say of what botocore misses, by its error's name."""


def _build(request: dict[str, Any], project: Project, finder: RootFinder) -> dict[str, Any]:
    read_sources_only(project)
    files = FileRecorder(project, own=[request["keys_folder"]])
    variables = record_variables(project)
    machine = MachineCalls(project)
    machine.install()
    guard_network()
    stamps = Stamps()
    stamps.install(machine.note_real)
    finder.install()
    sdk = load_sdk()
    aws = AwsCalls()
    built = build(request, sdk, aws, stamps, project, machine, files.has_read, _say)
    read = {"files_read": files.digests(), "files_asked": files.answers(), "variables_read": variables}
    return {"ok": True, **built, **read}


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _explain(error: BaseException, project: Project, roots: list[Path]) -> dict[str, Any]:
    """The answer for an exception that the script or the SDK raised."""
    for cause in _find_causes(error):
        if isinstance(cause, StartedJobError):
            return _make_failure(cause.kind, str(cause), error, project)
        # By name: botocore may be absent, and its classes differ between versions.
        details: dict[str, Any] = getattr(cause, "kwargs", {})
        if type(cause).__module__ == "botocore.exceptions" and "endpoint_url" in details:
            return _make_failure("endpoint", str(cause), error, project) | {"endpoint": details["endpoint_url"]}
    hint = _find_hint(error, roots)
    if hint is not None:
        return _make_failure("script_error", hint, error, project)
    if isinstance(error, UnwritableStepError):
        advice = _find_hint(error.__cause__, roots) if error.__cause__ is not None else None
        said = f"{error} {advice}" if advice else str(error)
        failure = _make_failure("script_error", said, error.__cause__, project)
        failure["error"]["traceback"] = failure["error"]["traceback"] or error.frames
        return failure
    if isinstance(error, SyntaxError):
        return _make_failure("script_error", "".join(traceback.format_exception_only(type(error), error)).strip())
    return _make_failure("script_error", f"{type(error).__name__}: {error}", error, project)


def _find_hint(error: BaseException, roots: list[Path]) -> str | None:
    """What to do about an error whose cause is known."""
    if type(error).__name__ in _MISSING:
        return _MISSING[type(error).__name__]
    if isinstance(error, subprocess.CalledProcessError) and (packages := _find_installed(error.cmd)):
        return (
            f"The script installs {packages} with pip, which failed: environments made for scripts have no pip. Name "
            "the packages in the script's `dependencies` or with requirements= (--requirements), and take the line out."
        )
    explained = explain_missing_sdk_part(error)
    if explained is not None or not isinstance(error, ModuleNotFoundError):
        return explained
    folder = folder_of_project((error.name or "").split(".")[0], roots)
    if folder is not None:
        return (
            f"No module named {error.name!r}. The project has the folder {folder}, which has no such module: name the "
            "folder in which its imports start with working_dir= (--working-dir), or in the script's header."
        )
    if importer := _find_package_that_imports(error):
        return (
            f"No module named {error.name!r}, which {importer} of the script's environment imports: it does not "
            "say that it needs it, or needs an older version of another package. Name the missing package, too, in the "
            "script's `dependencies` or with requirements= (--requirements)."
        )
    return (
        f"No module named {error.name!r}. If it is a package, name it in the script's `dependencies` or with "
        "requirements= (--requirements). If it is a module of your project, name the folder in which imports start "
        "with working_dir= (--working-dir)."
    )


def _find_package_that_imports(error: BaseException) -> str | None:
    """The installed package whose own code raised an error; None for the project's code."""
    ours = ("<", str(Path(__file__).parent))
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename for frame in frames if not frame.filename.startswith(ours)]
    _, separator, place = (files[-1] if files else "").rpartition(f"{os.sep}site-packages{os.sep}")
    return Path(place).parts[0].removesuffix(".py") if separator else None


def _find_installed(command: Any) -> str:
    """What a command installs that runs pip; empty for another one."""
    words = command.split() if isinstance(command, str) else [str(word) for word in command]
    if "install" not in words or not any(Path(word).name.startswith("pip") for word in words):
        return ""
    after = words[words.index("install") + 1 :]
    return ", ".join(word for word in after if not word.startswith("-"))


def _make_failure(
    kind: str, message: str, error: BaseException | None = None, project: Project | None = None
) -> dict[str, Any]:
    trace = _format_user_traceback(error, project) if error is not None and project is not None else ""
    return {"ok": False, "error": {"kind": kind, "message": message, "traceback": trace}}


def _find_causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _format_user_traceback(error: BaseException, project: Project) -> str:
    """The frames of the user's code, and the line that raised the error if it is elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if project.holds(frame.filename)]
    lines = traceback.format_list(kept)
    if kept and frames[-1] is not kept[-1]:
        last = frames[-1]
        lines.append(f"  raised in {last.filename}:{last.lineno}, in {last.name}\n")
    return "".join(lines).rstrip()
