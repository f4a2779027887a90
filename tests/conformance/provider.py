"""Runs DAGs of the amazon provider's system tests beside the endpoint."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import run_beside
from tests.conformance.results import Result
from tests.conformance.suites import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

_IMAGES = """
[[image]]
match = "knn*"
interpreter = "{python}"
files = {{ "/opt/program/knn.py" = "{knn}" }}
entrypoint = ["python3", "/opt/program/knn.py"]

[[image]]
match = "conformance*-repo*"
requirements = ["numpy<2", "pandas<3"]
files = {{ "/preprocessing.py" = "{script}" }}
entrypoint = ["python3", "/preprocessing.py"]
"""
_ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def run_examples(checkout: Path, foreign: Path, scratch: Path) -> list[Result]:
    """Run each DAG, and say which of its tasks did not end well.

    :param checkout: with the folder ``tests/system``.
    :param foreign: with modules in place of Airflow's development tools.
    """
    results = []
    # Scratch homes of Airflow are made there.
    os.environ["AIRFLOW_HOME"] = str(scratch)
    os.environ.setdefault("SM_PIPELINES_CACHE_DIR", str(default_cache_dir(os.environ)))
    script = scratch / "preprocessing.py"
    script.touch()
    table = scratch / "provider-images.toml"
    table.write_text(
        _IMAGES.format(knn=foreign / "knn_image.py", script=script, python=sys.executable), encoding="utf-8"
    )
    os.environ["SM_PIPELINES_IMAGES"] = str(table)
    with serve(scratch / "provider-state", region="us-east-1") as server:
        runner = run_beside(server, scratch)
        paths = [str(checkout / "tests"), str(foreign)]
        runner.environment |= {
            "ROLE_ARN": _ROLE,
            "AWS_DEFAULT_REGION": "us-east-1",
            "CONFORMANCE_SCRIPT": str(script),
        }
        for number, name in enumerate(EXAMPLES, start=1):
            runner.environment["SYSTEM_TESTS_ENV_ID"] = f"conformance{number}"
            text = (
                f"import sys\n\nsys.path[:0] = {paths}\n"
                f"from conformance_replacements import load_dag\n\ndag = load_dag('{name}')  # a DAG\n"
            )
            runner.write(f"{name}.py", text)
            done = runner.test(name, timeout_seconds=900)
            bad = {task: state for task, state in done.states.items() if state in {"failed", "upstream_failed", None}}
            results.append(Result("provider", f"provider::{name}", not bad, f"{bad}\n{done.output[-3000:]}"))
    return results
