"""The lock file of a team: for each Python environment, the exact packages and their hashes.

`sm-pipelines lock` writes it, a team commits it, and ``SM_PIPELINES_LOCK`` names it where environments are made. What
belongs here: the file. What does not: choosing and installing packages (:mod:`airflow_sm_pipelines.environments`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import EnvironmentBuildError
from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCK_VARIABLE = "SM_PIPELINES_LOCK"
"""Environment variable: the lock file. Where it is set, no environment is made that is not in the file."""

DEFAULT_NAME = "sm-pipelines.lock"
"""How the file is called where nothing names it."""

_HEAD = """\
# Made by `sm-pipelines lock`; commit it. The packages of each Python environment, with their hashes, are used where
# SM_PIPELINES_LOCK names this file.
"""


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """One environment of the file.

    :param requirements: what was asked for, in order.
    :param python: the version or range that was asked for; None for the Python of whoever makes it.
    :param packages: lines as in a requirements file, each with its hashes.
    """

    requirements: tuple[str, ...]
    python: str | None
    packages: str


@dataclass(frozen=True, slots=True)
class EnvironmentLock:
    """A lock file."""

    path: Path
    environments: tuple[LockedEnvironment, ...] = field(default=())

    @classmethod
    def of_environment(cls, env: Mapping[str, str]) -> EnvironmentLock | None:
        """The lock file that ``SM_PIPELINES_LOCK`` names; None where it names none.

        :raises EnvironmentBuildError: the file cannot be read.
        """
        named = env.get(LOCK_VARIABLE)
        return cls.read(Path(named).expanduser()) if named else None

    @classmethod
    def read(cls, path: Path) -> EnvironmentLock:
        """Read a lock file.

        :raises EnvironmentBuildError: it is missing, or not what `sm-pipelines lock` writes.
        """
        try:
            tables = parse_toml(path.read_text(encoding="utf-8")).get("environment", [])
            found = [
                LockedEnvironment(tuple(table["requirements"]), table.get("python"), table["packages"])
                for table in tables
            ]
        except OSError as error:
            raise EnvironmentBuildError(
                f"The lock file {path} cannot be read: {error.strerror}. Write it with `sm-pipelines lock`, or unset "
                f"{LOCK_VARIABLE}."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EnvironmentBuildError(
                f"The lock file {path} is not what `sm-pipelines lock` writes ({error}). Write it anew."
            ) from error
        return cls(path, tuple(found))

    def find(self, requirements: Sequence[str], python: str | None) -> LockedEnvironment:
        """The environment for these requirements.

        :raises EnvironmentBuildError: the file has none.
        """
        wanted = _sorted(requirements)
        for one in self.environments:
            if one.requirements == wanted and one.python == python:
                return one
        raise EnvironmentBuildError(
            f"The lock file {self.path} has no environment for {', '.join(wanted) or 'no requirements'}"
            f"{f' on Python {python}' if python else ''}. Add it: `sm-pipelines lock SCRIPT` or `sm-pipelines lock "
            f"--image URI`; or unset {LOCK_VARIABLE}."
        )

    def with_environment(self, requirements: Sequence[str], python: str | None, packages: str) -> EnvironmentLock:
        """A changed copy: with an environment more, or with other packages in one."""
        made = LockedEnvironment(_sorted(requirements), python, packages)
        others = [one for one in self.environments if (one.requirements, one.python) != (made.requirements, python)]
        return replace(self, environments=tuple(sorted([*others, made], key=_order)))

    def render(self) -> str:
        """The text of the file."""
        parts = [_HEAD]
        for one in self.environments:
            lines = ["[[environment]]", f"requirements = {json.dumps(one.requirements)}"]
            if one.python is not None:
                lines.append(f"python = {json.dumps(one.python)}")
            parts.append("\n".join([*lines, f"packages = '''\n{one.packages.strip()}\n'''\n"]))
        return "\n".join(parts)


def _sorted(requirements: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({requirement.strip() for requirement in requirements}))


def _order(one: LockedEnvironment) -> tuple[tuple[str, ...], str]:
    return one.requirements, one.python or ""
