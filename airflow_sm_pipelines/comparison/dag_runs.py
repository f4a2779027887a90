"""Runs DAG files with scripts in a process of their own, which has Airflow and the local endpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS = 3600
"""How long all runs together may take."""


def run_dags(
    jobs: Sequence[tuple[Path, Sequence[Mapping[str, Any]]]],
    environment: Mapping[str, str],
    *,
    worker: str = "dag_worker",
) -> list[dict[str, Any]]:
    """Run DAGs, each once for each of its scripts.

    :param jobs: DAG files, beside their definitions, with scripts as :mod:`dag_worker` reads them: ``input`` and
        ``answers``.
    :param environment: variables of an Airflow with a database.
    :param worker: the module that runs them, which decides what a script holds.
    :return: for each file either its ``runs``, with ``events``, ``end`` and the ``states`` of the tasks, its ``files``
        and the tasks directly ``before`` each task; or the ``problem`` for which it could not be run.
    :raises MigrationError: the process came to nothing.
    """
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-compare-") as scratch:
        request, answer, log = (Path(scratch, name) for name in ("request.json", "answer.json", "log"))
        content = [
            {"file": str(_copy(file, Path(scratch, str(number)))), "scripts": list(scripts)}
            for number, (file, scripts) in enumerate(jobs)
        ]
        request.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-m", f"airflow_sm_pipelines.comparison.{worker}", str(request), str(answer)]
        with log.open("wb") as output:
            try:
                variables = {**os.environ, **environment}
                subprocess.run(command, env=variables, stdout=output, stderr=output, timeout=_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise MigrationError("The runs of the DAG took longer than an hour.") from None
        if not answer.exists():
            text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise MigrationError(f"The DAG could not be run:\n{text}")
        return list(json.loads(answer.read_text(encoding="utf-8")))


def _copy(file: Path, folder: Path) -> Path:
    """The DAG file with its definitions and components, alone in a folder: Airflow reads all of it for each run."""
    folder.mkdir()
    for path in (file, *file.parent.glob("*.definition.json"), *file.parent.glob("*.components.json")):
        shutil.copy(path, folder / path.name)
    return folder / file.name
