"""The rules run over a definition: what SageMaker takes passes, and teams add rules of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import Finding, Severity, check_definition, render_findings
from tests.policy.found_lines import findings_of, load


@pytest.mark.parametrize("name", ["train_and_evaluate.json", "fan_out.json"])
def test_what_the_sdks_write_passes(name: str) -> None:
    assert findings_of(load(name)) == []


def test_an_organisation_adds_rules_of_its_own() -> None:
    def no_lambda(definition: Any) -> list[Finding]:
        steps = [step for step in definition.iter_steps() if step.type == "Lambda"]
        return [
            Finding("no-lambda", Severity.ERROR, step.name, "is a Lambda step.", "Use Processing.") for step in steps
        ]

    found = check_definition(parse_definition(load("fan_out.json")), rules=[no_lambda])
    assert render_findings(found).splitlines() == [
        "error: Prepare: is a Lambda step. Use Processing. [no-lambda]",
        "error: TellSomebody: is a Lambda step. Use Processing. [no-lambda]",
    ]


def test_importing_the_policy_does_not_load_botocore() -> None:
    code = "import sys, airflow_sm_pipelines.policy; print('botocore' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n"
