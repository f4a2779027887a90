"""The Python environment that a ``local`` command runs in: the current one, or one of its own.

The endpoint needs newer packages than Airflow's constraints allow (werkzeug, boto3) and some that nobody wants beside
Airflow (moto). Where the current environment lacks one of them, the command goes on in another Python that has them.
The package itself is not installed there: ``local_launcher.py`` loads it from where it is.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.terminal import complain
from airflow_sm_pipelines.environments import ensure_environment, find_environment
from airflow_sm_pipelines.exceptions import EnvironmentBuildError, LocalEndpointError
from airflow_sm_pipelines.local_endpoint import CALLER_PYTHON_VARIABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

_DISTRIBUTION = "airflow-sm-pipelines"
_EXTRA = "local"
_LAUNCHER = Path(__file__).with_name("local_launcher.py")

_CONSTRAINTS = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT")
"""Settings of uv that hold Airflow's environment to versions; the endpoint's is free of them."""


def enter_local_environment(arguments: argparse.Namespace) -> None:
    """Go on with this command in an environment that has the endpoint's packages, if the current one has them not.

    A line on standard error says so, unless ``--quiet`` is given. Returns where the current environment will do, and
    otherwise not: the other Python takes the place of this process.

    :param arguments: those of the command; ``argv`` in it holds them as they were typed.
    :raises LocalEndpointError: if that environment cannot be made.
    """
    lacking = ", ".join(find_unmet(_extra_requirements()))
    if not lacking:
        return
    env = {name: value for name, value in os.environ.items() if name not in _CONSTRAINTS}
    needed = [str(one) for one in local_requirements()]
    python = find_environment(needed, env=env)
    if not getattr(arguments, "quiet", False):
        complain(
            f"sm-pipelines: the local endpoint runs in a Python environment of its own, as this one lacks {lacking}"
            + ("" if python else "; making it takes a minute, once")
        )
    try:
        python = python or ensure_environment(needed, env=env)
    except EnvironmentBuildError as error:
        raise LocalEndpointError(
            f"This Python environment lacks {lacking}, and uv could not make one for the local endpoint. Give uv a "
            "package index, such as UV_DEFAULT_INDEX=URL or UV_FIND_LINKS=FOLDER, or call sm-pipelines from a virtual "
            f"environment without Airflow's constraints that has '{_DISTRIBUTION}[{_EXTRA}]'. {error}"
        ) from error
    sys.stdout.flush()
    # -I: neither the folder of the launcher nor PYTHONPATH may bring packages of the environment that is left.
    command = [str(python), "-I", str(_LAUNCHER), *arguments.argv]
    os.execve(python, command, {**os.environ, CALLER_PYTHON_VARIABLE: sys.executable})  # noqa: S606 - no shell


def has_local_packages() -> bool:
    """Whether the endpoint can run in this Python environment."""
    return not find_unmet(_extra_requirements())


def local_requirements() -> list[Requirement]:
    """What the endpoint's own environment holds: the requirements of this package and of its extra, without Airflow."""
    ours = [one for one in _requirements(_DISTRIBUTION) if not one.name.startswith("apache-airflow")]
    return [*ours, *_extra_requirements()]


def find_unmet(requirements: Iterable[Requirement]) -> list[str]:
    """What this environment lacks of requirements and of their extras: ``moto>=5``, ``werkzeug>=3 (has 2.2.3)``."""
    found: dict[str, None] = {}
    for one in requirements:
        try:
            have = version(one.name)
        except PackageNotFoundError:
            found[f"{one.name}{one.specifier}"] = None
            continue
        if not one.specifier.contains(have, prereleases=True):
            found[f"{one.name}{one.specifier} (has {have})"] = None
        else:
            found |= dict.fromkeys(find_unmet(extra for name in one.extras for extra in _requirements(one.name, name)))
    return list(found)


def _extra_requirements() -> list[Requirement]:
    return list(_requirements(_DISTRIBUTION, _EXTRA))


def _requirements(distribution: str, extra: str = "") -> Iterator[Requirement]:
    """The requirements of an installed distribution for this Python, or those that an extra adds to them.

    Nothing where the distribution is not installed, such as this package in the endpoint's own environment.
    """
    try:
        lines = requires(distribution) or ()
    except PackageNotFoundError:
        return
    from packaging.requirements import Requirement

    for line in lines:
        one = Requirement(line)
        is_plain = one.marker is None or one.marker.evaluate({"extra": ""})
        is_wanted = one.marker is None or one.marker.evaluate({"extra": extra})
        if is_wanted and not (extra and is_plain):
            one.marker = None
            yield one
