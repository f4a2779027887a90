"""Where a deployed version comes from: DAG, run and task, and the revision of the code where that is known.

A revision is read from Git's own files or from the DAG bundle; no process is started, and nothing is read while a DAG
file is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.naming import make_display_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_VERSION_DESCRIPTION = 3072
"""Characters of a version's description; source: the API's ``PipelineVersionDescription`` shape."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who deploys.

    :param revision: ``git 1a2b3c… (main)`` or ``bundle dags version 1a2b3c…``; None where neither is known.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    revision: str | None = None

    @property
    def version_name(self) -> str:
        """A name for the version: the DAG's and the run's, as the API takes names."""
        index = f"-{self.map_index}" if self.map_index >= 0 else ""
        return make_display_name(f"{self.dag_id}-{self.task_id}{index}-{self.run_id}")

    @property
    def text(self) -> str:
        """A description for the version."""
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        found = f"Deployed by Airflow: DAG {self.dag_id}, run {self.run_id}, task {self.task_id}{index}"
        return f"{found}; {self.revision}"[:MAX_VERSION_DESCRIPTION] if self.revision else found


def read_provenance(context: Mapping[str, Any], *, code: Path) -> Provenance:
    """Who deploys, in a running task.

    :param code: the pipeline's script or definition, or the DAG file where it has none.
    """
    ti = context["ti"]
    bundle = getattr(ti, "bundle_instance", None)
    revision = read_git_revision(code)
    version = getattr(bundle, "version", None)
    if revision is None and version:
        revision = f"bundle {getattr(bundle, 'name', '')} version {version}"
    return Provenance(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        revision=revision,
    )


def read_git_revision(path: Path) -> str | None:
    """``git <commit> (<branch>)`` of the repository that a file lies in; None outside of one.

    What is not committed does not show: that would take Git itself.
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
