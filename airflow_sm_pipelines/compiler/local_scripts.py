"""Makes the command that runs a script of the SDK's local mode: on the local endpoint, or in Docker as the SDK does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.compiler.interpreter import find_interpreter
from airflow_sm_pipelines.compiler.script import parse_metadata, read_script
from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import ScriptEnvironmentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WORKER = Path(__file__).with_name("local_worker.py")
_DOCKER_TIMEOUT_SECONDS = 30


def make_local_command(
    script: Path,
    arguments: Sequence[str],
    *,
    interpreter: str | None = None,
    in_docker: bool = False,
    cache_dir: Path | None = None,
    log: Callable[[str], None],
) -> list[str]:
    """Make the command that runs a script in the SDK's interpreter, and the interpreter if it does not exist yet.

    :param arguments: the script's own arguments.
    :param interpreter: a Python that has the SDK. Without it, one is made by the script's PEP 723 metadata.
    :param in_docker: whether the SDK stays as it is. Otherwise its ``LocalPipelineSession`` uses the endpoint.
    :param log: called with each line of uv.
    :raises ScriptNotFoundError: there is no such script.
    :raises CompileError: there is no interpreter for it or, with ``in_docker``, no Docker.
    """
    path, source = read_script(script)
    if in_docker:
        check_docker()
    cache_dir = cache_dir or default_cache_dir(os.environ)
    metadata = parse_metadata(source, path=path)
    python = find_interpreter(
        path, source, metadata=metadata, interpreter=interpreter, cache_dir=cache_dir, log=log
    ).path
    runner = [] if in_docker else [str(_WORKER)]
    return [str(python), "-u", *runner, str(script), *arguments]


def check_docker() -> None:
    """Check that Docker answers and has Compose, which the SDK's local mode starts.

    :raises ScriptEnvironmentError: one of the two is missing; the message says which.
    """
    instead = "Without --docker, the script runs on the local engine, which needs no Docker."
    if shutil.which("docker") is None:
        raise ScriptEnvironmentError(
            f"--docker needs Docker, and there is no command 'docker' on the PATH. Install Docker, or: {instead}"
        )
    for command, what in (
        (["docker", "info", "--format", "{{.ServerVersion}}"], "Docker's daemon does not answer"),
        (["docker", "compose", "version"], "Docker has no Compose plugin, which the SDK starts containers with"),
    ):
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=_DOCKER_TIMEOUT_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScriptEnvironmentError(f"{what} ({error}). {instead}") from error
        if done.returncode != 0:
            detail = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it gave no reason"]
            raise ScriptEnvironmentError(f"{what} ({detail[0].rstrip('.')}). {instead}")
