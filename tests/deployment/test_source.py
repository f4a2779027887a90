"""The forms in which a pipeline is given."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.deployment.source import SourceKind, parse_source
from airflow_sm_pipelines.exceptions import DefinitionError


@pytest.mark.parametrize(
    ("pipeline", "kind"),
    [
        ({"Version": "2020-12-01"}, SourceKind.DOCUMENT),
        (' {"Version": "2020-12-01"}', SourceKind.TEXT),
        ("s3://bucket/key.json", SourceKind.S3),
        ("pipelines/train.py:get_pipeline", SourceKind.SCRIPT),
        ("pipelines/train.py", SourceKind.SCRIPT),
        ("train.ipynb", SourceKind.SCRIPT),
        ("train.ipynb:pipeline", SourceKind.SCRIPT),
        ("/a/b.json", SourceKind.FILE),
    ],
)
def test_the_form_of_a_source_is_seen(pipeline: Any, kind: SourceKind) -> None:
    assert parse_source(pipeline) is kind


@pytest.mark.parametrize(("pipeline", "words"), [("", "must be"), (3, "found 3")])
def test_what_is_no_source_is_refused(pipeline: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        parse_source(pipeline)
