"""What a build depends on: the bytes that its steps use, and nothing else.

The whole table, a build for each of its columns and for each row's own change, is made by `make builds`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.environments import default_cache_dir

from .build_table import (
    SCRIPTS,
    SDKS,
    Bench,
    build_everywhere_else,
    build_with_edit,
    changed_rows,
    prepare_aws,
    rows_of,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    environments = default_cache_dir(os.environ) / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    return Bench(SDKS[request.param], tmp_path / "builds", prepare_aws(aws_endpoint), environments)


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("bench", ["v2", "v3"], indirect=True)
def test_a_build_is_the_same_everywhere_and_a_change_stays_with_its_step(bench: Bench):
    first = bench.build(bench.source)
    before = rows_of(bench.sdk, first.definition_text)
    assert set(before) == set(bench.sdk.rows)
    elsewhere = build_everywhere_else(bench)
    assert changed_rows(bench, before, elsewhere) == set()
    assert elsewhere.definition_text == first.definition_text
    assert elsewhere.uploads == first.uploads
    assert elsewhere.sent == ()
    assert names_below(bench.source) == names_below(SCRIPTS)  # v2's repacking writes into the code that it packs
    edited = build_with_edit(bench, "Tuner")
    assert changed_rows(bench, before, edited) == {"Tuner"}
    assert edited.sent
    assert not any(mark in str(first.uploads) + first.definition_text for mark in ("2120-", "d15c0", "/tmp/", "4733"))
