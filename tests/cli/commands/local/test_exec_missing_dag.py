"""What is said after an ``airflow`` command that found no DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli.commands.local.exec import explain_missing_dag, find_dag_folder

if TYPE_CHECKING:
    from pathlib import Path

TEST = ["airflow", "dags", "test", "train"]


def test_a_folder_that_is_not_there_or_has_no_such_dag_is_named(tmp_path: Path) -> None:
    environment = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
    assert f"There is no DAG folder {tmp_path / 'dags'}: set AIRFLOW__CORE__DAGS_FOLDER" in str(
        explain_missing_dag(TEST, environment)
    )
    (tmp_path / "dags" / "team").mkdir(parents=True)
    assert "names 'train'" in str(explain_missing_dag(TEST, environment))
    (tmp_path / "dags" / "team" / "a.py").write_text('DAG("train")')
    assert explain_missing_dag(TEST, environment) is None


@pytest.mark.parametrize("command", [["airflow", "db", "migrate"], ["python", "dags", "test", "train"], ["airflow"]])
def test_other_commands_are_left_alone(command: list[str], tmp_path: Path) -> None:
    assert explain_missing_dag(command, {"AIRFLOW_HOME": str(tmp_path)}) is None


def test_the_folder_is_the_one_that_airflow_takes(tmp_path: Path) -> None:
    environment = {"AIRFLOW_HOME": str(tmp_path)}
    assert find_dag_folder(environment) == tmp_path / "dags"
    (tmp_path / "airflow.cfg").write_text("[core]\ndags_folder = /elsewhere\nformat = %(x)s\n")
    assert str(find_dag_folder(environment)) == "/elsewhere"
    (tmp_path / "airflow.cfg").write_text("no section\n")
    assert find_dag_folder(environment) == tmp_path / "dags"
    assert str(find_dag_folder({**environment, "AIRFLOW__CORE__DAGS_FOLDER": "/given"})) == "/given"
