"""Finds the Python that runs a pipeline script, and tells what is installed in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.compiler.build_cache import packages_digest
from airflow_sm_pipelines.compiler.script import explain_missing_metadata
from airflow_sm_pipelines.environments import ensure_environment
from airflow_sm_pipelines.exceptions import EnvironmentBuildError, ScriptEnvironmentError, ScriptMetadataError
from airflow_sm_pipelines.local_endpoint import find_caller_python

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.compiler.script import ScriptMetadata

_PROBE_TIMEOUT_SECONDS = 60
_PROBE = """
import importlib.metadata as m, json, os, sys
names = ("sagemaker", "sagemaker-core", "sagemaker-train", "sagemaker-serve", "sagemaker-mlops", "boto3", "botocore")
found = {}
for name in names:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
folders = [path for path in sys.path if os.path.isdir(path)]
installed = sorted(name for path in folders for name in os.listdir(path) if name.endswith(".dist-info"))
print(json.dumps([sys.version, found, installed], sort_keys=True))
"""


@dataclass(frozen=True, slots=True)
class ScriptInterpreter:
    """A Python for a script.

    :param identity: equal for two interpreters if they are the same Python with the same packages.
    """

    path: Path
    identity: str


def find_interpreter(
    script: Path,
    source: str,
    *,
    metadata: ScriptMetadata | None,
    interpreter: str | None,
    requirements: Sequence[str] = (),
    cache_dir: Path,
    log: Callable[[str], None],
    chatter: Callable[[str], None] | None = None,
) -> ScriptInterpreter:
    """Find the named interpreter, or make the one with the requirements that are given, or that the script names.

    :param metadata: the script's.
    :param interpreter: a path, or a command on PATH.
    :param requirements: beat the script's own.
    :param log: told that an environment is made.
    :param chatter: called with each line of uv; ``log`` where not given.
    :raises ScriptEnvironmentError: the interpreter is missing or has no SDK, or uv could not make the environment.
    :raises ScriptMetadataError: nothing says which SDK the script needs.
    """
    if interpreter is not None:
        return _probe_interpreter(interpreter)
    if metadata is not None and metadata.uses_current_interpreter and not requirements:
        return _probe_interpreter(find_caller_python(os.environ))
    wanted = tuple(requirements) or (metadata.dependencies if metadata is not None else ())
    if not wanted and metadata is None:
        raise ScriptMetadataError(explain_missing_metadata(script, source))
    try:
        python = ensure_environment(
            wanted, python=metadata.requires_python if metadata else None, cache_dir=cache_dir, log=log, chatter=chatter
        )
    except EnvironmentBuildError as error:
        raise ScriptEnvironmentError(
            f"The environment of the pipeline script {script} cannot be made. {error}"
        ) from error
    return ScriptInterpreter(python, packages_digest(python))


def _probe_interpreter(name: str) -> ScriptInterpreter:
    found = shutil.which(str(Path(name).expanduser()))
    if found is None:
        raise ScriptEnvironmentError(
            f"There is no Python {name!r} to run the pipeline script with. interpreter= takes a path, such as "
            "'/opt/sdk/bin/python', or a command on PATH."
        )
    path = Path(found).absolute()
    try:
        probe = subprocess.run(  # `-I`: without what our own environment variables add
            [str(path), "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        version, packages, installed = json.loads(probe.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", None) or error
        raise ScriptEnvironmentError(f"{path} does not run as Python: {str(detail).strip()}") from error
    if not any(package.startswith("sagemaker") for package in packages):
        raise ScriptEnvironmentError(
            f"{path} has no SageMaker SDK. Install it there, such as `{path} -m pip install 'sagemaker>=2.257,<3'`."
        )
    return ScriptInterpreter(path, json.dumps([version, installed]))
