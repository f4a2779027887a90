"""A state directory that an older version wrote: migrated step by step, and its executions go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.store import database
from airflow_sm_pipelines.engine.store.database import MIGRATIONS, EngineDatabase
from airflow_sm_pipelines.exceptions import LocalEndpointError
from tests.engine.fake_world import World, definition_text, processing

if TYPE_CHECKING:
    from pathlib import Path

FIRST_RELEASE = 3


def test_an_execution_that_the_first_version_left_open_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:FIRST_RELEASE])
        old = EngineDatabase(tmp_path / "state" / "engine.db")
    pipeline_arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/demo"
    arn = f"{pipeline_arn}/execution/abcdefghijkl"
    text = definition_text([processing("A"), processing("B", depends_on=["A"])])
    with old.transaction():
        old.insert(
            "pipelines",
            {"name": "demo", "seq": 1, "arn": pipeline_arn, "display_name": "demo", "created_ms": 1, "modified_ms": 1},
        )
        old.insert("versions", {"pipeline": "demo", "version": 1, "definition": text, "hash": "h", "created_ms": 1})
        old.insert(
            "executions",
            {
                "id": "abcdefghijkl", "arn": arn, "pipeline": "demo", "version": 1, "display_name": "old",
                "status": "Executing", "parameters": "{}", "experiment": "{}", "created_ms": 1, "modified_ms": 1,
            },
        )  # fmt: skip
        for name, status in (("A", "Succeeded"), ("B", "Executing")):
            old.insert(
                "steps",
                {
                    "execution_id": "abcdefghijkl", "name": name, "status": status, "started_ms": 1, "metadata": "{}",
                    "attempt": 1,
                },
            )  # fmt: skip
    old.close()
    world = World(tmp_path)
    world.open()
    assert world.finish(arn) == "Succeeded"
    assert world.started == ["B"]
    assert world.describe(arn)["PipelineExecutionDisplayName"] == "old"
    world.engine.stop()


def test_a_newer_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EngineDatabase(tmp_path / "engine.db").close()
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS[:-1])
    with pytest.raises(LocalEndpointError, match="use the newer version that wrote it"):
        EngineDatabase(tmp_path / "engine.db")
