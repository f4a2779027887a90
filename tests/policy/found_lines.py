"""Definitions for the tests of the policy, and what the rules find in them as lines of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import check_definition

DATA = Path(__file__).parent.parent / "data" / "definitions"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def findings_of(document: Any) -> list[str]:
    return [
        f"{finding.severity} {finding.path}: {finding.message}"
        for finding in check_definition(parse_definition(document))
    ]
