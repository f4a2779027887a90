"""The package's root and a DAG file cost little: no boto3 where a DAG file is parsed."""

from __future__ import annotations

import subprocess
import sys

import airflow_sm_pipelines

LOOK = (
    "; import sys; print(sorted({name.partition('.')[0] for name in sys.modules} & {'boto3', 'botocore', 'sagemaker'}))"
)


def loaded(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code + LOOK], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_the_root_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import airflow_sm_pipelines; "
    code += "print(sorted(n for n in set(sys.modules) - before if n.startswith(('airflow', 'boto'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['airflow_sm_pipelines']"


def test_operators_and_params_bring_no_boto3_into_a_dag_file() -> None:
    code = "from airflow_sm_pipelines import *"
    names = ", ".join(name for name in airflow_sm_pipelines.__all__ if not name.endswith("Hook"))
    assert loaded(code.replace("*", names)) == "[]"


def test_every_public_name_is_there() -> None:
    for name in airflow_sm_pipelines.__all__:
        assert getattr(airflow_sm_pipelines, name).__name__ == name
    assert set(airflow_sm_pipelines.__all__) <= set(dir(airflow_sm_pipelines))
