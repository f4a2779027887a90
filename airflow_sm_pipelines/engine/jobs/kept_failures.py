"""What failed jobs leave behind: their directories stay for a while, so that somebody can enter them.

What belongs here: which directories stay, how they are known, and how the program of one is started again. What does
not: the directories of jobs that run (``job_directories``).
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_sm_pipelines.engine.jobs.disk_room import measure_directory
from airflow_sm_pipelines.engine.jobs.instances import has_failed
from airflow_sm_pipelines.engine.jobs.isolation import OPT_ML
from airflow_sm_pipelines.engine.jobs.kept_end import forget_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FAILURES = 10
"""How many directories of failed jobs stay."""
MAX_BYTES = 2 << 30
"""How much of the disk they may hold together."""

LAUNCHER = Path(__file__).with_name("launcher.py")
"""``launcher.py --enter PLAN`` runs a program in the place of an instance's own."""

_FILE = "failure.json"
_LAUNCH = "launch.json"


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that failed after its program had started.

    :param reason: its FailureReason.
    :param ended: in epoch seconds.
    """

    arn: str
    reason: str
    ended: float


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """The directory of a failed job.

    :param directory: holds a directory for each instance.
    """

    job: FailedJob
    directory: Path

    @property
    def hosts(self) -> list[str]:
        """The instances whose program had started: ``algo-1``; first the one that failed.

        Those of a transform job have a directory for each container of the model: ``container-1/algo-1``.
        """
        plans = sorted(_find_plans(self.directory), key=lambda path: (not has_failed(path), path))
        return [path.parent.relative_to(self.directory).as_posix() for path in plans]

    @contextmanager
    def held(self) -> Iterator[None]:
        """While this context is open, newer failures do not remove the directory."""
        with (self.directory / _FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def read_plan(self, host: str) -> dict[str, Any]:
        """How the program of an instance was started, as ``launcher.py`` reads it."""
        plan: dict[str, Any] = json.loads((self.directory / host / _LAUNCH).read_text(encoding="utf-8"))
        return plan

    def write_plan(self, host: str, argv: Sequence[str], *, env: Mapping[str, str], endpoint_url: str) -> Path:
        """Write how to start another program in the place of an instance's own.

        :param argv: the program and its arguments.
        :param env: variables besides those that the job had.
        :param endpoint_url: where the endpoint answers now; its port may have changed since.
        :return: the file for ``launcher.py --enter``.
        """
        plan = self.read_plan(host)
        old, new = urlsplit(plan["env"].get("AWS_ENDPOINT_URL", "")), urlsplit(endpoint_url)
        # Java's options name the port by itself.
        changes = [(old.netloc, new.netloc), (f"proxyPort={old.port}", f"proxyPort={new.port}")] if old.netloc else []
        for before, after in changes:
            plan["env"] = {name: value.replace(before, after) for name, value in plan["env"].items()}
        again = self.directory / host / "layer" / "bin" / "rerun"
        again.write_text(f"#!/bin/sh\ncd {shlex.quote(plan['cwd'])} && exec {shlex.join(plan['argv'])}\n")
        again.chmod(0o755)
        path = self.directory / host / "shell.json"
        place = self._find_script_folder(host, plan["argv"]) or plan["cwd"]
        changed = {**plan, "argv": [*argv], "cwd": place, "env": {**plan["env"], **env}}
        path.write_text(json.dumps(changed), encoding="utf-8")
        return path

    def _find_script_folder(self, host: str, argv: Sequence[str]) -> str | None:
        """The folder of the script that a program was given, where the mistake most likely is."""
        for word in argv[1:]:
            path = PurePosixPath(word)
            if path.is_relative_to(OPT_ML) and (
                (self.directory / host / "opt-ml" / path.relative_to(OPT_ML)).is_file()
            ):
                return str(path.parent)
        return None


def can_be_kept(directory: Path) -> bool:
    """Whether a program was started in the directory of a job; nobody could enter it otherwise."""
    return next(_find_plans(directory), None) is not None


def _find_plans(directory: Path) -> Iterator[Path]:
    """How each program in the directory of a job was started."""
    for pattern in ("*", "container-*/*"):
        for path in directory.glob(f"{pattern}/{_LAUNCH}"):
            # The inputs of a transform job lie there, too, and may have any name.
            if (path.parent / "layer").is_dir():
                yield path


def mark_failure(directory: Path, job: FailedJob) -> None:
    """Let the directory of a job stay after its end."""
    forget_end(directory)
    (directory / _FILE).write_text(json.dumps(asdict(job)), encoding="utf-8")


def is_kept(directory: Path) -> bool:
    """Whether the directory is that of a failed job that stays."""
    return (directory / _FILE).exists()


def list_failures(root: Path) -> list[KeptFailure]:
    """The failed jobs that are kept, newest first.

    :param root: the directory of all jobs' directories.
    """
    found = []
    for path in root.glob(f"*/{_FILE}"):
        with suppress(OSError, ValueError, TypeError):  # it is being removed, or was cut by a full disk
            found.append(KeptFailure(FailedJob(**json.loads(path.read_text(encoding="utf-8"))), path.parent))
    return sorted(found, key=lambda kept: kept.job.ended, reverse=True)


def drop_failures(root: Path, *, most: int = MAX_FAILURES, most_bytes: int = MAX_BYTES) -> None:
    """Remove the oldest failures, beyond so many or so large; those that somebody is in stay."""
    held = 0
    for number, kept in enumerate(list_failures(root)):
        held += measure_directory(kept.directory) if number < most else 0
        if number >= most or held > most_bytes:
            with suppress(OSError), (kept.directory / _FILE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(kept.directory, ignore_errors=True)


def choose_shell() -> list[str]:
    """An interactive shell of this machine that reads none of the user's own files."""
    return ["/bin/bash", "--norc"] if os.access("/bin/bash", os.X_OK) else ["/bin/sh"]
