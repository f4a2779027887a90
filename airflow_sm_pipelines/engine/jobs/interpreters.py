"""A job's own layer over the Python environment of an image.

All jobs of an image share its environment, so it must not change. A container is thrown away after its job. So each job
gets a thin virtual environment that sees the packages of the image and takes what the job installs with ``pip``.

What belongs here: facts about an interpreter, and the layer. What does not: making the environment of an image.
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
    from collections.abc import Mapping

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
_PACKAGES = Path(__file__).with_name("programs") / "packages"
"""Parts of the toolkits of SageMaker's containers, which scripts import."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that stands in for an image.

    :param executable: the Python of the environment.
    :param base_executable: the Python under it, if the environment is a virtual one.
    :param version: ``3.11``.
    :param site_directories: where its packages are.
    :param prefixes: the directories that it needs to run.
    :param scripts: by name, its console scripts that look for ``python`` in their own directory.
    """

    executable: Path
    base_executable: Path
    version: str
    site_directories: tuple[str, ...]
    prefixes: tuple[str, ...]
    scripts: Mapping[str, bytes]


def make_layer(interpreter: Interpreter, directory: Path) -> tuple[Path, ...]:
    """Make the virtual environment of a job, and give the directories for the front of ``PATH``."""
    programs = directory / "bin"
    packages = directory / "lib" / f"python{interpreter.version}" / "site-packages"
    for path in (directory, programs, *reversed(packages.parents[:2]), packages):
        path.mkdir()
    home = interpreter.base_executable.parent
    (directory / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    )
    # addsitedir also reads the .pth files there; a bare path in a .pth file would not.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in interpreter.site_directories]
    # Last of all: a package of the image, or of the step, wins over ours of that name.
    lines.append(f"import sys; sys.path.append({str(_PACKAGES)!r})\n")
    (packages / "_image.pth").write_text("".join(lines))
    for name in ("python", "python3", f"python{interpreter.version}"):
        (programs / name).symlink_to(interpreter.base_executable)
    image_programs = interpreter.executable.parent
    for name, content in interpreter.scripts.items():
        # pip and torchrun then run in the layer.
        file = os.open(f"{programs}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
        try:
            os.write(file, content)
            os.fchmod(file, 0o755)
        finally:
            os.close(file)
    return (programs, image_programs)


def _read_relocatable_scripts(directory: Path) -> dict[str, bytes]:
    scripts = {}
    for entry in os.scandir(directory):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_size <= _SCRIPT_BYTES:
            content = Path(entry.path).read_bytes()
            if content.startswith(b"#!/bin/sh") and b"dirname" in content:
                scripts[entry.name] = content
    return scripts


def inspect_interpreter(python: Path, uri: str) -> Interpreter:
    """The facts about an interpreter.

    :param uri: the image that it stands in for.
    :raises ImageError: it does not run.
    """
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
