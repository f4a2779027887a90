"""The package's root and a DAG file cost little: no boto3 where a DAG file is parsed."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines import definition, exceptions

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parent.parent

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


@pytest.mark.processes
def test_operators_and_params_bring_no_boto3_into_a_dag_file() -> None:
    code = "from airflow_sm_pipelines import *"
    names = ", ".join(name for name in airflow_sm_pipelines.__all__ if not name.endswith("Hook"))
    assert loaded(code.replace("*", names)) == "[]"


def test_every_public_name_is_there() -> None:
    for name in airflow_sm_pipelines.__all__:
        assert getattr(getattr(airflow_sm_pipelines, name), "__name__", name) == name
    assert set(airflow_sm_pipelines.__all__) <= set(dir(airflow_sm_pipelines))


@pytest.mark.parametrize("package", [airflow_sm_pipelines, definition], ids=lambda package: package.__name__)
def test_type_checkers_see_what_is_loaded(package: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(package))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {
        (str(node.module).removeprefix(f"{package.__name__}."), name.name, name.asname)
        for node in imports
        for name in node.names
        if str(node.module).startswith(f"{package.__name__}.")
    }
    named = {module: names for module, names in package._NAMES.items() if module != "exceptions"}
    loaded = {(module, name, name) for module, names in named.items() for name in names}
    assert seen - {("exceptions", "*", None)} == loaded
    assert all(getattr(package, name) is not None for _, name, _ in loaded)


@pytest.mark.slow
def test_a_strict_type_checker_takes_the_names_from_the_root(tmp_path: Path) -> None:
    code = "".join(f"from airflow_sm_pipelines import {name}\n" for name in airflow_sm_pipelines.__all__)
    (tmp_path / "dag.py").write_text(code + "reveal_type(COST_PARAMETERS)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, str(tmp_path / "dag.py")], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "dict[str, str]"' in done.stdout.replace("builtins.", "")


def test_every_error_can_be_caught_by_a_name_of_the_root() -> None:
    defined = {name for name, value in vars(exceptions).items() if inspect.isclass(value)}
    assert defined <= set(airflow_sm_pipelines.__all__)


def test_docs_and_dags_take_public_names_from_the_root() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "dags").glob("*.py")]
    found = [
        (path.name, module, name)
        for path in files
        for module, names in re.findall(
            r"^from airflow_sm_pipelines\.([\w.]+) import ([\w, ]+)", path.read_text(), re.MULTILINE
        )
        for name in names.split(", ")
        if name in airflow_sm_pipelines.__all__
    ]
    assert found == []
