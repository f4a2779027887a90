"""What runs in an image's place: its Python environment, and its files, variables and program.

What belongs here: bringing together an entry of the table, its Dockerfile, and the image that this one begins with.
What does not: the table (``images``), and reading a Dockerfile (``dockerfile``).
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.image_contents import PATH_REFERENCE, ImageContents
from airflow_sm_pipelines.engine.jobs.images import ImageError
from airflow_sm_pipelines.engine.jobs.interpreters import inspect_interpreter
from airflow_sm_pipelines.engine.jobs.public_images import BASE_REQUIREMENTS, find_nearest, is_unpinned
from airflow_sm_pipelines.exceptions import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_sm_pipelines.engine.jobs.images import ImageCatalog, ImageEntry
    from airflow_sm_pipelines.engine.jobs.interpreters import Interpreter

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIN = re.compile(r"===?\s*([\w.!]+)$")
_PLAIN_BASES = frozenset(
    {
        *("scratch", "ubuntu", "debian", "alpine", "amazonlinux", "centos", "fedora", "rockylinux", "buildpack-deps"),
        *("miniconda3", "mambaorg/micromamba", "condaforge/miniforge3", "cuda", "base-debian", "micromamba"),
    }
)
"""Images that bring a system and perhaps a Python, but no packages of Python that programs import."""
_SYSTEM_PYTHONS = {
    "ubuntu:18.04": "3.6",
    "ubuntu:20.04": "3.8",
    "ubuntu:22.04": "3.10",
    "ubuntu:24.04": "3.12",
    "debian:buster": "3.7",
    "debian:bullseye": "3.9",
    "debian:bookworm": "3.11",
    "debian:trixie": "3.13",
}
"""The Python that a system's own packages bring."""
_MAX_NOTES = 8
_MAX_DEPTH = 8
OLDEST_PYTHON = (3, 7)
"""The oldest Python that our programs in jobs run on."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What an image needs here.

    :param notes: what its Dockerfile asks for and is not done here.
    """

    requirements: tuple[str, ...]
    interpreter: str | None
    python: str | None
    contents: ImageContents
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalImage:
    """What runs in an image's place.

    :param interpreter: the Python that its programs run on.
    """

    interpreter: Interpreter
    contents: ImageContents


def prepare_image(
    images: ImageCatalog, uri: str, *, cache_dir: Path, log: Callable[[str], None], also: Sequence[str] = ()
) -> LocalImage:
    """What runs in an image's place. Its environment is made when it is needed first.

    :param also: what the job needs besides. A ready interpreter has it or not.
    :param log: gets uv's lines while an environment is made, and what differs from the image.
    :raises ImageError: nothing stands in for the image, or its interpreter does not run.
    :raises EnvironmentBuildError: uv could not make the environment.
    """
    plan = plan_image(images, uri)
    differences: list[str] = []

    def differ(line: str) -> None:
        differences.append(line)
        log(line)

    if plan.notes:
        shown = [
            *plan.notes[:_MAX_NOTES],
            *([f"{len(plan.notes) - _MAX_NOTES} more"] if len(plan.notes) > _MAX_NOTES else []),
        ]
        differ(f"The image is read off its Dockerfile. Not done here: {'; '.join(shown)}.")
    contents = plan.contents
    if plan.interpreter is not None:
        python = Path(plan.interpreter)
    else:
        python, variables = _make_environment(plan, also, cache_dir=cache_dir, log=log, differ=differ)
        contents = replace(contents, env={**variables, **contents.env})
    if is_unpinned(uri):
        differences.append("Its packages are the newest ones, since its tag names no version that is known.")
    images.differences[uri] = tuple(differences)
    if python not in images.interpreters:
        images.interpreters[python] = inspect_interpreter(python, uri)
    return LocalImage(images.interpreters[python], contents)


def plan_image(images: ImageCatalog, uri: str) -> ImagePlan:
    """What an image needs here.

    :raises ImageError: nothing stands in for it, or its Dockerfile cannot be read any more.
    """
    return _plan_entry(images, images.resolve(uri), uri, depth=0)


def _plan_entry(images: ImageCatalog, entry: ImageEntry, uri: str, *, depth: int) -> ImagePlan:
    image = parse_image_uri(uri)
    python = entry.python or image.python
    source = entry.dockerfile
    if source is None:
        version = ".".join(map(str, image.version[:3]))
        requirements = [one.replace("{version}", version).removesuffix("==") for one in entry.requirements]
        return ImagePlan(tuple(requirements), entry.interpreter, python, entry.contents)
    from airflow_sm_pipelines.engine.jobs.dockerfile import read_dockerfile

    try:
        read = read_dockerfile(source.path, context=source.context, stage=source.stage, arguments=source.arguments)
    except (OSError, ValueError) as error:
        raise ImageError(f"The Dockerfile of the image '{uri}' cannot be read: {error}") from error
    base = _plan_base(images, read.base, entry, depth=depth)
    return ImagePlan(
        merge_requirements([*base.requirements, *read.requirements, *entry.requirements]),
        entry.interpreter or (base.interpreter if not read.requirements else None),
        entry.python or read.python or base.python,
        _join(_join(base.contents, read.contents), entry.contents),
        (*base.notes, *read.notes),
    )


def _plan_base(images: ImageCatalog, base: str, derived: ImageEntry, *, depth: int) -> ImagePlan:
    """The plan of the image that a Dockerfile begins with."""
    image = parse_image_uri(base)
    entry = images.find(image, but=derived)
    if entry is not None and depth < _MAX_DEPTH:
        return _plan_entry(images, entry, base, depth=depth + 1)
    system = f"{image.repository.rpartition('/')[2]}:{image.tag}"
    python = next((version for name, version in _SYSTEM_PYTHONS.items() if system.startswith(name)), image.python)
    plain = ImagePlan(BASE_REQUIREMENTS, None, python, ImageContents())
    if image.repository.rpartition("/")[2] in _PLAIN_BASES or image.repository in _PLAIN_BASES:
        return plain
    return replace(plain, notes=(f"FROM {base}: what it brings is not known",))


def merge_requirements(requirements: Iterable[str]) -> tuple[str, ...]:
    """Requirements with one for each package: the last, at the place of the first."""
    by_name: dict[str, str] = {}
    for requirement in requirements:
        name = _NAME.match(requirement)
        key = re.sub(r"[-_.]+", "-", name[0]).lower() if name and "://" not in requirement else requirement
        by_name[key] = requirement
    return tuple(by_name.values())


def _join(base: ImageContents, derived: ImageContents) -> ImageContents:
    """The contents of an image that begins with another one."""
    env = {**base.env, **derived.env}
    if "PATH" in derived.env and "PATH" in base.env:
        env["PATH"] = derived.env["PATH"].replace(PATH_REFERENCE, base.env["PATH"])
    has_program = derived.entrypoint is not None
    return ImageContents(
        derived.workdir or base.workdir,
        env,
        derived.entrypoint if has_program else base.entrypoint,
        derived.command if has_program or derived.command is not None else base.command,
        (*base.files, *derived.files),
        (*base.executables, *derived.executables),
        (*base.links, *derived.links),
        (*base.installs, *derived.installs),
    )


def _make_environment(
    plan: ImagePlan,
    also: Sequence[str],
    *,
    cache_dir: Path,
    log: Callable[[str], None],
    differ: Callable[[str], None],
) -> tuple[Path, dict[str, str]]:
    """Make the environment on the image's Python. Where this machine has none, ours must do.

    :return: its interpreter, and variables that make up for what differs.
    """
    from airflow_sm_pipelines.environments import ensure_environment, fetch_python, find_environment, find_python

    requirements = (*plan.requirements, *also)
    wanted = plan.python
    if wanted is not None and _version(wanted) < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
    python = find_python(wanted, env=os.environ) if wanted else None
    if wanted is not None and python is None:
        ours = find_nearest(requirements, _ours())[0]
        # Asked once: an environment on our own Python is there when that has failed before.
        if find_environment(ours, cache_dir=cache_dir) is None:
            python = fetch_python(wanted, env=os.environ, log=log)
    version = wanted if python is not None and wanted is not None else _ours()
    path = str(python) if python is not None and version != _ours() else None
    if plan.python == version:
        return ensure_environment(requirements, python=path, cache_dir=cache_dir, log=log), {}
    nearest, changes, variables = find_nearest(requirements, version)
    if plan.python is not None:
        packages = f", with {', '.join(changes)}" if changes else ""
        differ(f"The image has Python {plan.python}; here Python {version} runs it{packages}.")
    try:
        return ensure_environment(nearest, python=path, cache_dir=cache_dir, log=log), variables
    except EnvironmentBuildError as error:
        loosened = [_PIN.sub(r">=\1", requirement) for requirement in nearest]
        if nearest == loosened:
            raise
        cause = next((line for line in str(error).splitlines() if "Because" in line), str(error).splitlines()[-1])
        differ(f"Its pins are lower bounds here, as they cannot all be had for Python {version}: {cause.strip()[:300]}")
        return ensure_environment(loosened, python=path, cache_dir=cache_dir, log=log), variables


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _ours() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
