"""A job's own layer over an image's Python environment.

An environment is shared by every job of an image and must not change. A container is thrown away after its job. So each
job gets a thin virtual environment that sees the image's packages and takes what the job itself installs with ``pip``.

Belongs here: describing an interpreter and making the layer. Does not belong here: making the image's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.engine.jobs.images import ImageCatalog

_QUESTION = """\
import json, site, sys
print(json.dumps({
    "base_executable": getattr(sys, "_base_executable", sys.executable),
    "version": "%d.%d" % sys.version_info[:2],
    "site_directories": site.getsitepackages(),
    "prefixes": [sys.prefix, sys.base_prefix],
}))
"""
_SCRIPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that stands in for an image.

    :param executable: what was asked for.
    :param base_executable: the Python under it, when it is a virtual environment.
    :param version: ``3.11``.
    :param site_directories: where its packages are.
    :param prefixes: the directories it needs to see to run.
    :param scripts: its console scripts that look for ``python`` beside themselves, by name.
    """

    executable: Path
    base_executable: Path
    version: str
    site_directories: tuple[str, ...]
    prefixes: tuple[str, ...]
    scripts: Mapping[str, bytes]


def resolve_interpreter(images: ImageCatalog, uri: str, *, cache_dir: Path, log: Callable[[str], None]) -> Interpreter:
    """Give the interpreter for an image, making its environment when it is first needed.

    :param log: gets uv's lines while an environment is made.
    :raises ImageError: nothing stands in for the image, or its interpreter does not run.
    :raises EnvironmentBuildError: uv could not make the environment.
    """
    from airflow_sm_pipelines.environments import ensure_environment

    entry = images.resolve(uri)
    if entry.interpreter is not None:
        python = Path(entry.interpreter)
    else:
        python = ensure_environment(entry.requirements, cache_dir=cache_dir, log=log)
    if python not in images.interpreters:
        images.interpreters[python] = _describe(python, uri)
    return images.interpreters[python]


def make_layer(interpreter: Interpreter, directory: Path) -> tuple[Path, ...]:
    """Make the job's virtual environment in ``directory`` and give the directories for the front of ``PATH``."""
    programs = directory / "bin"
    packages = directory / "lib" / f"python{interpreter.version}" / "site-packages"
    programs.mkdir(parents=True)
    packages.mkdir(parents=True)
    home = interpreter.base_executable.parent
    (directory / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    )
    # addsitedir reads the .pth files there too, which a bare path in a .pth file does not.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in interpreter.site_directories]
    (packages / "_image.pth").write_text("".join(lines))
    for name in ("python", "python3", f"python{interpreter.version}"):
        (programs / name).symlink_to(interpreter.base_executable)
    image_programs = interpreter.executable.parent
    for name, content in interpreter.scripts.items():
        # pip and torchrun then run in the layer.
        copy = programs / name
        copy.write_bytes(content)
        copy.chmod(0o755)
    return (programs, image_programs)


def _read_relocatable_scripts(directory: Path) -> dict[str, bytes]:
    scripts = {}
    for entry in os.scandir(directory):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_size <= _SCRIPT_BYTES:
            content = Path(entry.path).read_bytes()
            if content.startswith(b"#!/bin/sh") and b"dirname" in content:
                scripts[entry.name] = content
    return scripts


def _describe(python: Path, uri: str) -> Interpreter:
    try:
        answer = subprocess.run([str(python), "-I", "-c", _QUESTION], capture_output=True, check=True, timeout=60)
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ImageError(f"The interpreter {python} for the image '{uri}' does not run: {error}") from error
    return Interpreter(
        executable=python,
        base_executable=Path(facts["base_executable"]),
        version=facts["version"],
        site_directories=tuple(facts["site_directories"]),
        prefixes=tuple(dict.fromkeys(facts["prefixes"])),
        scripts=_read_relocatable_scripts(python.parent),
    )
