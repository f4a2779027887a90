"""``dags test`` and ``dags serve``: the command of Airflow that takes the place of ours, and its scratch Airflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.cli.entry_point import make_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

# Airflow's own command as far as it is needed: it makes the database, and says which one.
AIRFLOW = """#!/bin/sh
echo "$@" "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN}" >> "$AIRFLOW_HOME/asked"
[ -e "$AIRFLOW_HOME/broken" ] && echo no database for you && exit 1
touch "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN#sqlite:///}"
"""


class ReplacedError(Exception):
    """This process would be another program now."""


class Replacements:
    """What this process would have become."""

    def __init__(self) -> None:
        self.environment: Mapping[str, str] = {}
        self.arguments: argparse.Namespace | None = None

    def execve(self, path: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Take the place of ``os.execve``."""
        assert (path, command[:3]) == (sys.executable, [sys.executable, "-m", "airflow_sm_pipelines.cli"])
        self.environment = environment
        self.arguments = make_parser().parse_args(command[3:])
        raise ReplacedError


@pytest.fixture
def replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replacements:
    """A machine on which no Airflow is set up, and a folder of DAG files."""
    airflow = tmp_path / "bin" / "airflow"
    airflow.parent.mkdir()
    airflow.write_text(AIRFLOW)
    airflow.chmod(0o700)
    (tmp_path / "work" / "dags").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "executable", str(airflow.with_name("python")))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_HOME")
    found = Replacements()
    monkeypatch.setattr(os, "execve", found.execve)
    return found


def command_of(replaced: Replacements) -> list[str]:
    assert replaced.arguments is not None
    return [word for word in replaced.arguments.command if word != "--"]


def test_a_dag_is_tested_with_all_that_was_typed(replaced: Replacements, tmp_path: Path) -> None:
    with pytest.raises(ReplacedError):
        main(["dags", "test", "--strict", "--upload", "s3://raw=x", "--pipeline", "p=p.json", "train", "--conf", "{}"])
    assert command_of(replaced) == [str(tmp_path / "bin" / "airflow"), "dags", "test", "train", "--conf", "{}"]
    assert replaced.arguments is not None
    assert (replaced.arguments.strict, replaced.arguments.upload) == (True, ["s3://raw=x"])
    assert replaced.arguments.pipeline == ["p=p.json"]


def test_airflow_serves_on_loopback_at_the_port(replaced: Replacements, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReplacedError):
        main(["dags", "serve", "--port", "8099", "--function", "f=f.py"])
    assert command_of(replaced)[1:] == ["standalone"]
    assert replaced.arguments is not None
    assert (replaced.arguments.strict, replaced.arguments.function) == (False, ["f=f.py"])
    assert replaced.environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert replaced.environment["AIRFLOW__API__PORT"] == "8099"
    assert replaced.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8099/execution/"
    assert "will be at http://127.0.0.1:8099; Ctrl-C ends it." in capsys.readouterr().err


def test_a_scratch_airflow_is_made_once_and_whole(replaced: Replacements, capsys: pytest.CaptureFixture[str]) -> None:
    home = Path.cwd() / ".airflow"
    home.mkdir()
    (home / "broken").touch()
    assert main(["dags", "test", "train"]) == 2
    assert "Airflow could not make its database:\nno database for you" in capsys.readouterr().err
    (home / "broken").unlink()
    for _ in range(2):
        with pytest.raises(ReplacedError):
            main(["dags", "test", "train"])
    assert (home / "asked").read_text() == f"db migrate sqlite:///{home}/airflow.db.begun\n" * 2
    assert sorted(path.name for path in home.iterdir()) == ["airflow.db", "asked"]
    assert {name: replaced.environment[name] for name in replaced.environment if name.startswith("AIRFLOW")} == {
        **{name: os.environ[name] for name in os.environ if name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home.with_name("dags")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    }
    assert capsys.readouterr().err == f"No Airflow is set up: making a scratch one in {home}\n"


def test_an_airflow_that_is_set_up_is_taken_as_it_is(
    replaced: Replacements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "mine"))
    with pytest.raises(ReplacedError):
        main(["dags", "test", "train"])
    assert dict(replaced.environment) == dict(os.environ)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none" / "python"))
    monkeypatch.setenv("PATH", "")
    assert main(["dags", "test", "train"]) == 2
