"""Checks a block of a configuration file by what reads such a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.documents import read_document
from airflow_sm_pipelines.engine.driver.fault_injection import find_fault
from airflow_sm_pipelines.engine.jobs.dockerfile_text import parse_instructions
from airflow_sm_pipelines.engine.jobs.images import ImageCatalog
from airflow_sm_pipelines.engine.jobs.stand_in_table import STAND_INS_VARIABLE, StandIns
from airflow_sm_pipelines.exceptions import DefinitionError, SageMakerPipelinesError
from airflow_sm_pipelines.policy.team_policy import parse_policy
from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from tests.pages.blocks import Block


def check_configuration(block: Block) -> str | None:
    """What is wrong with the block; None if what reads such a file takes it."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            {"toml": _check_toml, "json": _check_json, "yaml": _check_yaml, "dockerfile": _check_dockerfile}[
                block.language
            ](block.text, Path(folder))
    except (SageMakerPipelinesError, ValueError, AssertionError) as error:
        return f"{block.place}: {error}"
    return None


def _check_toml(text: str, folder: Path) -> None:
    """A table of images, of stand-ins or of faults, or a part of a policy."""
    document = parse_toml(text)
    path = folder / "table.toml"
    path.write_text(text)
    if "image" in document:
        _make_paths(document["image"], folder)
        ImageCatalog.load(path)
    elif "stand_in" in document:
        for table in document["stand_in"]:
            (folder / table["function"].partition(":")[0]).touch()
        StandIns.load(env={STAND_INS_VARIABLE: str(path)})
    elif "fault" in document:
        fault = document["fault"][0]
        assert find_fault(path, pipeline=fault["pipeline"], step=fault["step"], attempt=1) == fault["exception"]
    else:
        parse_policy(text)


def _make_paths(tables: list[dict[str, Any]], folder: Path) -> None:
    """Make what a table of images names on this machine."""
    for table in tables:
        for name in filter(None, [table.get("dockerfile"), table.get("interpreter")]):
            path = folder / name
            if path.is_relative_to(folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("FROM python:3.11\n")
        for name in table.get("files", {}).values():
            (folder / name).mkdir(parents=True, exist_ok=True)


def _check_json(text: str, folder: Path) -> None:
    """A connection of Airflow."""
    del folder
    from airflow.models.connection import Connection

    assert Connection.from_json(text).conn_type == json.loads(text)["conn_type"]


def _check_yaml(text: str, folder: Path) -> None:
    """A CloudFormation template."""
    del folder
    try:
        read_document(text, name="template.yaml")
    except DefinitionError as error:
        if "holds no pipeline" not in str(error):
            raise


def _check_dockerfile(text: str, folder: Path) -> None:
    del folder
    assert parse_instructions(text)
