"""What a DAG file costs to parse: with our operators, with the amazon provider's, and with the SDK imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from airflow_sm_pipelines.environments import ensure_environment
from benchmarks.measure import Row, alternate, run_probe

CASES = Path(__file__).parent / "cases"
SDK = "sagemaker>=2.257,<3"


def measure(runs: int = 5) -> list[Row]:
    """Seconds and megabytes that parsing adds to a process that has Airflow loaded."""
    sdk_python = str(ensure_environment([SDK], log=lambda line: print(line, file=sys.stderr)))
    env = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "SAGEMAKER_TELEMETRY_OPT_OUT": "true"}

    def probe(python: str, case: str) -> dict[str, float]:
        return run_probe([python, str(CASES / "parse_probe.py"), str(CASES / case)], env)

    ours, amazon, sdk = alternate(
        runs,
        lambda: probe(sys.executable, "dag_ours.py"),
        lambda: probe(sys.executable, "dag_amazon.py"),
        lambda: probe(sdk_python, "dag_sdk.py"),
    )
    return [
        Row(f"parse a DAG file: {label}", ours[key], name, figures[key], unit, runs)
        for label, key, unit in (("time", "seconds", "s"), ("memory", "megabytes", "MB"), ("modules", "modules", ""))
        for name, figures in (("amazon provider", amazon), (f"import of {SDK} alone", sdk))
    ]
