"""The Python in which both sides of a Kubeflow pipeline's comparison run their components.

It has kfp and what the components install, so their own ``pip install`` does nothing. Each process starts with the same
random numbers, so that both sides flip the same coins.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.environments import ensure_environment
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.migrate.kubeflow import HeldPipeline

KFP = "kfp>=2.16,<3"
"""The first version whose ``kfp.local`` runs conditions, loops and exit handlers."""

_SECONDS = 900
"""How long all runs of a pipeline may take together."""
_INSTALL = re.compile(r"pip install\s+(.*?)(?:&&|\n|\Z)", re.DOTALL)
_WORD = re.compile(r"'([^']+)'")
_PIP = 'print("The packages of this comparison are there already.")\n'


@dataclass(frozen=True, slots=True)
class KfpEnvironment:
    """A Python with kfp.

    :param seed_file: the number that random numbers begin with.
    :param images: the table for ``SM_PIPELINES_IMAGES`` that has this Python stand in for every image.
    """

    python: Path
    seed_file: Path
    images: Path

    def run(self, held: HeldPipeline, scripts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run a pipeline with ``kfp.local``, once for each script; see :mod:`kfp_runner`.

        :raises MigrationError: the runs came to nothing.
        """
        with tempfile.TemporaryDirectory(prefix="sm-pipelines-kfp-") as scratch:
            request, answer = Path(scratch, "request.json"), Path(scratch, "answer.json")
            text = json.dumps(held.document)
            asked = {"pipeline": text, "scripts": list(scripts), "seed_file": str(self.seed_file)}
            request.write_text(json.dumps(asked), encoding="utf-8")
            command = [str(self.python), str(Path(__file__).with_name("kfp_runner.py")), str(request), str(answer)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise MigrationError(
                    "The runs of the Kubeflow pipeline took longer than a quarter of an hour."
                ) from None
            if not answer.exists():
                raise MigrationError(f"The Kubeflow pipeline could not be run:\n{done.stderr[-2000:]}")
            return list(json.loads(answer.read_text(encoding="utf-8"))["runs"])


@contextmanager
def make_kfp_environment(pipelines: Sequence[HeldPipeline]) -> Iterator[KfpEnvironment]:
    """Make the Python for some pipelines. What it installs is kept in the cache directory; the rest goes away.

    :raises EnvironmentBuildError: uv could not make it.
    """
    wanted = dict.fromkeys(package for one in pipelines for package in find_packages(one))
    built = ensure_environment([KFP, *wanted])
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-kfp-") as folder:
        # A job sees the folder of its interpreter, and no other below /tmp: so all is in it.
        own = Path(folder, "python")
        shutil.copytree(built.parent.parent, own, symlinks=True, copy_function=_link)
        site = next((own / "lib").glob("python*/site-packages"))
        seed = own / "seed"
        seed.write_text("0", encoding="utf-8")
        line = f"import random; random.seed(int(open({str(seed)!r}).read()))\n"
        (site / "seed.pth").write_text(line, encoding="utf-8")
        (site / "pip").mkdir()
        (site / "pip" / "__main__.py").write_text(_PIP, encoding="utf-8")
        python = own / "bin" / "python3"
        images = Path(folder, "images.toml")
        images.write_text(f'[[image]]\nmatch = "*"\ninterpreter = {json.dumps(str(python))}\n', encoding="utf-8")
        yield KfpEnvironment(python, seed, images)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def find_packages(held: HeldPipeline) -> list[str]:
    """What the commands of a pipeline's components install, but for kfp.

    :raises MigrationError: a component is not a lightweight one, which alone ``kfp.local`` runs without Docker.
    """
    found: dict[str, None] = {}
    spec: Any = held.document.get("deploymentSpec")
    for name, executor in (spec.get("executors") or {} if isinstance(spec, dict) else {}).items():
        container = executor.get("container") if isinstance(executor, dict) else None
        if not isinstance(container, dict):
            continue
        words = [str(word) for word in (*(container.get("command") or []), *(container.get("args") or []))]
        if not any("kfp.dsl.executor_main" in word for word in words):
            what = "is not a lightweight Python component, and kfp.local runs no other without Docker"
            raise MigrationError(f"The pipeline cannot be compared: {name.removeprefix('exec-')} {what}.")
        for word in words:
            for line in _INSTALL.findall(word):
                packages = [one for one in _WORD.findall(line) if not one.startswith("-")]
                found.update(dict.fromkeys(one for one in packages if not re.match(r"kfp\b", one)))
    return list(found)
