"""What an author says about a deployment: one class for the deploy operator, the decorator and ``sm-pipelines run``."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.valid_names import find_pipeline_name_problems
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError
from airflow_sm_pipelines.option_reader import (
    TAG_MEMBERS,
    find_count_problems,
    find_list_problems,
    find_mode_problems,
    find_problems,
    find_variable_problems,
    parse_named_values,
    parse_seconds,
    read_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.option_reader import PolicyMode

_ALIAS = re.compile(r"[a-zA-Z0-9._\-]{1,128}")
"""Source: the API's ``PipelineVersionAlias`` shape; digits only would be a version's id."""


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What to deploy, and how. The deploy operator describes each option for authors.

    :param pipeline: a script, a file, an S3 object, JSON text or a dict, as
        :func:`~airflow_sm_pipelines.deployment.source.parse_source` tells them apart.
    :param script_args: each counts as its text.
    :param tags: by key, or AWS's list of ``{"Key": ..., "Value": ...}``; ``cost_tags`` too.
    :param cache: whether an earlier build of a script may be taken.
    :param folder: where relative paths start.
    :param is_run_in_folder: whether a script runs in ``folder`` instead of in its own.
    """

    pipeline: Any
    folder: str = "."
    role_arn: str | None = None
    pipeline_name: str | None = None
    config: Mapping[str, Any] | None = None
    interpreter: str | None = None
    requirements: str | Sequence[str] | None = None
    script_args: Sequence[object] = ()
    script_env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    aliases: Sequence[str] = ()
    tags: Mapping[str, str] | Sequence[Mapping[str, str]] = field(default_factory=dict)
    description: str | None = None
    version_name: str | None = None
    version_description: str | None = None
    pipeline_display_name: str | None = None
    max_parallel_steps: int | None = None
    default_bucket: str | None = None
    definition_bucket: str | None = None
    policy_file: str | None = None
    policy: PolicyMode = "enforce"
    cost_tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None
    compile_timeout_seconds: float = 600
    cache: bool = True
    is_run_in_folder: bool = False

    @classmethod
    def of(cls, source: object, **given: Any) -> DeployOptions:
        """Read the options from an operator or from parsed arguments.

        :param source: has attributes of the options' names; see :func:`read_options`.
        :param given: options to take instead of the source's.
        """
        return read_options(cls, source, **given)

    def check(self) -> None:
        """Refuse options that cannot be meant, before any call.

        :raises ArgumentError: naming each of them, and what was expected.
        """
        problems = find_count_problems("max_parallel_steps", self.max_parallel_steps)
        problems += find_problems(parse_seconds, "compile_timeout_seconds", self.compile_timeout_seconds)
        problems += find_pipeline_name_problems(self.pipeline_name)
        problems += find_mode_problems(self.policy)
        if self.policy == "apply" and not self.policy_file:
            problems.append("policy='apply' fills in what a team's policy says: name its file with policy_file.")
        problems += find_list_problems("aliases", self.aliases) or self._find_alias_problems()
        problems += find_list_problems("script_args", self.script_args, example=["--name", "value"])
        problems += find_variable_problems("script_env", self.script_env)
        for name, value in (("tags", self.tags), ("cost_tags", self.cost_tags)):
            try:
                parse_named_values(name, value, members=TAG_MEMBERS)
            except ArgumentError as error:
                problems.append(str(error))
        if problems:
            raise ArgumentError("\n".join(problems))

    def resolve_path(self, text: str) -> Path:
        """The absolute path of a file; relative ones start at :attr:`folder`."""
        return resolve_path(text, folder=self.folder)

    def _find_alias_problems(self) -> list[str]:
        return [
            f"aliases: {alias!r} is no alias: expected letters, digits, '.', '_' and '-', and not digits alone."
            for alias in self.aliases
            if _ALIAS.fullmatch(str(alias)) is None or str(alias).isdigit()
        ]


def resolve_path(text: str, *, folder: str) -> Path:
    """The absolute path of a file, relative ones taken from the DAG file's folder.

    A file in a zipped DAG is unpacked, with all that the archive holds.
    """
    path = Path(text).expanduser()
    path = path if path.is_absolute() else Path(folder) / path
    return _find_unpacked(path)


def _find_unpacked(path: Path) -> Path:
    """The place of a file on this disk; that of an unpacked copy for a zip archive, and for a file below one.

    :param path: absolute, or seen from the working directory.
    :raises DefinitionError: the archive cannot be unpacked.
    """
    for archive in (path, *path.parents):
        if archive.suffix == ".zip" and archive.is_file():
            return _unpack(archive) / path.relative_to(archive)
    return path


def _unpack(archive: Path) -> Path:
    from airflow_sm_pipelines.environments import default_cache_dir  # needed for zipped DAGs alone

    try:
        content = archive.read_bytes()
        kept = default_cache_dir(os.environ) / "unpacked" / hashlib.sha256(content).hexdigest()[:20]
        if kept.is_dir():
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".")) / archive.stem
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(scratch)
        try:
            scratch.rename(kept)
        except OSError:
            if not kept.is_dir():  # another task was first
                raise
    except (OSError, zipfile.BadZipFile) as error:
        raise DefinitionError(f"The zipped DAG {archive} cannot be unpacked: {error}.") from error
    return kept
