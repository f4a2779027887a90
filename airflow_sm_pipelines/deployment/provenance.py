"""Where a deployed version comes from: the DAG run and task or the command, and the revision of the code.

The revision is read from Git's own files, without starting a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.client.valid_names import make_display_name

if TYPE_CHECKING:
    from pathlib import Path

MAX_VERSION_DESCRIPTION = 3072
"""Characters of a version's description; source: the API's ``PipelineVersionDescription`` shape."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """A deployment by an Airflow task.

    :param revision: ``git 1a2b3c… (main)`` or ``bundle dags version 1a2b3c…``; None where neither is known.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    revision: str | None = None

    @property
    def version_name(self) -> str:
        """A name for the version, made from DAG, task and run."""
        index = f"-{self.map_index}" if self.map_index >= 0 else ""
        return make_display_name(f"{self.dag_id}-{self.task_id}{index}-{self.run_id}")

    @property
    def text(self) -> str:
        """A description for the version."""
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        found = f"Deployed by Airflow: DAG {self.dag_id}, run {self.run_id}, task {self.task_id}{index}"
        return f"{found}; {self.revision}"[:MAX_VERSION_DESCRIPTION] if self.revision else found


@dataclass(frozen=True, slots=True)
class CommandProvenance:
    """A deployment by ``sm-pipelines``; such versions get no name.

    :param revision: as in :class:`Provenance`.
    """

    revision: str | None = None

    @property
    def version_name(self) -> None:
        """No name: a command has no run to name a version after."""

    @property
    def text(self) -> str:
        """A description for the version."""
        found = "Deployed by sm-pipelines"
        return f"{found}; {self.revision}"[:MAX_VERSION_DESCRIPTION] if self.revision else found


def read_git_revision(path: Path) -> str | None:
    """``git <commit> (<branch>)`` of the repository that a file lies in; None outside a repository.

    Changes that are not committed do not show: only Git itself could tell.
    """
    for folder in path.absolute().parents:
        marker = folder / ".git"
        try:
            if marker.is_file():  # a worktree or a submodule
                marker = folder / marker.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
            if marker.is_dir():
                return _read_head(marker)
        except (OSError, ValueError):
            return None
    return None


def _read_head(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return f"git {head}" if head else None
    ref = head.removeprefix("ref: ")
    branch = ref.removeprefix("refs/heads/")
    common = git / "commondir"
    homes = [git, git / common.read_text(encoding="utf-8").strip()] if common.is_file() else [git]
    for home in homes:
        if (home / ref).is_file():
            return f"git {(home / ref).read_text(encoding='utf-8').strip()} ({branch})"
        packed = home / "packed-refs"
        for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
            commit, _, name = line.partition(" ")
            if name == ref:
                return f"git {commit} ({branch})"
    return None
