"""A plan with something in each part, in full: as text, as JSON and as a comment on a pull request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_sm_pipelines.compiler import CompiledPipeline
from airflow_sm_pipelines.compiler.compile import Upload
from airflow_sm_pipelines.definition import Change
from airflow_sm_pipelines.planning import DeploymentPlan, render_plan, render_plan_markdown, write_plan
from airflow_sm_pipelines.planning.cache_forecast import CacheForecast
from airflow_sm_pipelines.planning.deployment_plan import LimitUse
from airflow_sm_pipelines.planning.generated_names import NamesOnly
from airflow_sm_pipelines.policy import Finding, Severity

BUILD = CompiledPipeline(
    name="p",
    definition_text="{}",
    description=None,
    tags=(),
    parallelism=None,
    sdk_version="sagemaker 3",
    from_cache=False,
    uploads=(Upload("s3://b/new", 12345), Upload("s3://b/old", 7)),
    sent=("s3://b/new",),
    aws_changes=("lambda:CreateFunction score",),
    not_sent=("sagemaker:CreateModel m",),
)
TEAM = Finding("team", Severity.ERROR, "Steps[0].A", "m1|x is <b>", "Take m2.")
NOTE = Finding("note", Severity.WARNING, "Steps", "Look\n here.")
PLAN = DeploymentPlan(
    name="p",
    action="update",
    definition_hash="0123456789abcdef",
    changes=(Change("changed", "Steps.A.X", 1, 2), Change("added", "Steps.B.Y", None, "z")),
    filled_in=(
        Change("added", "Steps.A.V", None, 1),
        Change("added", "Steps.A.W", None, 1),
        Change("added", "Parameters.P.EnumValues", None, ["a"]),
    ),
    findings=(NOTE, TEAM),
    limits=(LimitUse("parameters", 3, 200), LimitUse("steps", 2, None)),
    cache=(
        CacheForecast("Aa", "Training", "miss", ("first", "second|third")),
        CacheForecast("B", "Processing", "hit"),
        CacheForecast("C", "Lambda", "unknown", ("why",)),
    ),
    build=BUILD,
    names_only=NamesOnly(("A",), ("s3://b/gone",)),
)
NAMES_ONLY = (
    "Only names that the SDK made up differ from what is deployed; this release takes them from the content. "
    "So these steps lose their cached result, once: A. What lies at these addresses could not be compared: s3://b/gone."
)


def test_the_text_for_a_terminal() -> None:
    assert render_plan(PLAN).splitlines() == [
        "Pipeline 'p' would get a new version.",
        NAMES_ONLY,
        "",
        "Changes (2):",
        "  ~ Steps.A.X: 1 → 2",
        '  + Steps.B.Y: "z"',
        "",
        "Filled in by the team's policy: 2 values in 1 step, and the choices of 1 parameter.",
        "",
        "Findings (1 error, 1 warning):",
        "  error: Steps[0].A: m1|x is <b> Take m2. [team]",
        "  warning: Steps: Look",
        "   here. [note]",
        "",
        "Cache:",
        "  Aa  miss  first",
        "            second|third",
        "  B   hit",
        "  C   ?     why",
        "",
        "Uploaded to S3 by the build (2):",
        "  12,345 bytes  new            s3://b/new",
        "       7 bytes  already there  s3://b/old",
        "",
        "Changed in AWS by the build (1):",
        "  lambda:CreateFunction score",
        "",
        "Called by the script, answered without being sent (1):",
        "  sagemaker:CreateModel m",
        "",
        "Limits: 3 of 200 parameters, 2 steps.",
        "",
        "The deployment would be refused.",
    ]


def test_the_comment_on_a_pull_request() -> None:
    assert render_plan_markdown(PLAN).splitlines() == [
        "<!-- sm-pipelines plan -->",
        "### Pipeline `p` would get a new version",
        "",
        "2 changes, 1 error, 1 warning, 1 of 3 jobs from the cache. ❌ **The deployment would be refused.**",
        "",
        NAMES_ONLY,
        "",
        "<details open><summary>2 changes</summary>",
        "",
        "```diff",
        "! Steps.A.X: 1 → 2",
        '+ Steps.B.Y: "z"',
        "```",
        "",
        "</details>",
        "",
        "Filled in by the team's policy: 2 values in 1 step, and the choices of 1 parameter.",
        "",
        "| | Where | What | Rule |",
        "|---|---|---|---|",
        "| ❌ | `Steps[0].A` | m1\\|x is &lt;b> Take m2. | team |",
        "| ⚠️ | `Steps` | Look here. | note |",
        "",
        "| Step | Cache | Because |",
        "|---|---|---|",
        "| Aa (Training) | miss | first<br>second\\|third |",
        "| B (Processing) | hit |  |",
        "| C (Lambda) | ? | why |",
        "",
        "<details><summary>Uploaded to S3 by the build: 2</summary>",
        "",
        "```text",
        "12,345 bytes  new            s3://b/new",
        "     7 bytes  already there  s3://b/old",
        "```",
        "",
        "</details>",
        "",
        "<details><summary>Changed in AWS by the build: 1</summary>",
        "",
        "```text",
        "lambda:CreateFunction score",
        "```",
        "",
        "</details>",
        "",
        "<details><summary>Called by the script, answered without being sent: 1</summary>",
        "",
        "```text",
        "sagemaker:CreateModel m",
        "```",
        "",
        "</details>",
        "",
        "<sub>3 of 200 parameters, 2 steps · definition `0123456789ab`</sub>",
    ]


def test_the_json() -> None:
    assert write_plan(PLAN) == {
        "pipeline": "p",
        "action": "update",
        "is_refused": True,
        "definition_hash": "0123456789abcdef",
        "changes": [
            {"kind": "changed", "path": "Steps.A.X", "before": 1, "after": 2},
            {"kind": "added", "path": "Steps.B.Y", "before": None, "after": "z"},
        ],
        "filled_in": [
            {"kind": "added", "path": "Steps.A.V", "before": None, "after": 1},
            {"kind": "added", "path": "Steps.A.W", "before": None, "after": 1},
            {"kind": "added", "path": "Parameters.P.EnumValues", "before": None, "after": ["a"]},
        ],
        "findings": [
            {"severity": "warning", "rule": "note", "path": "Steps", "message": "Look\n here.", "fix": ""},
            {
                "severity": "error",
                "rule": "team",
                "path": "Steps[0].A",
                "message": "m1|x is <b>",
                "fix": "Take m2.",
            },
        ],
        "cache": [
            {"step": "Aa", "type": "Training", "outcome": "miss", "reasons": ["first", "second|third"]},
            {"step": "B", "type": "Processing", "outcome": "hit", "reasons": []},
            {"step": "C", "type": "Lambda", "outcome": "unknown", "reasons": ["why"]},
        ],
        "limits": [
            {"name": "parameters", "used": 3, "limit": 200},
            {"name": "steps", "used": 2, "limit": None},
        ],
        "names_only": {"recomputed": ["A"], "unread": ["s3://b/gone"]},
        "uploads": [
            {"address": "s3://b/new", "size_bytes": 12345, "is_there": False},
            {"address": "s3://b/old", "size_bytes": 7, "is_there": True},
        ],
        "not_sent": ["sagemaker:CreateModel m"],
        "aws_changes": ["lambda:CreateFunction score"],
    }


EMPTY = replace(
    PLAN, action="none", changes=(), filled_in=(), findings=(), cache=(), build=None, names_only=None,
)  # fmt: skip


def test_a_plan_without_anything_has_no_empty_parts() -> None:
    assert render_plan(EMPTY).splitlines() == [
        "Pipeline 'p' would stay as it is.",
        "",
        "Limits: 3 of 200 parameters, 2 steps.",
    ]
    assert render_plan_markdown(EMPTY).splitlines() == [
        "<!-- sm-pipelines plan -->",
        "### Pipeline `p` would stay as it is",
        "",
        "No findings.",
        "",
        "<sub>3 of 200 parameters, 2 steps · definition `0123456789ab`</sub>",
    ]
    written = write_plan(EMPTY)
    assert (written["is_refused"], written["names_only"]) == (False, None)
    assert (written["uploads"], written["not_sent"], written["aws_changes"]) == ([], [], [])


@pytest.mark.parametrize(
    ("findings", "changes", "said"),
    [
        ((NOTE, NOTE), 1, "1 change, 2 warnings"),
        ((TEAM, TEAM), 0, "2 errors"),
        ((TEAM,), 2, "2 changes, 1 error"),
    ],
)
def test_numbers_are_told_in_words_that_fit(findings: tuple[Finding, ...], changes: int, said: str) -> None:
    plan = replace(EMPTY, findings=findings, changes=PLAN.changes[:changes])
    assert render_plan_markdown(plan).splitlines()[3].partition(".")[0] == said


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("Steps.A.V",), "1 values in 1 step."),
        (("Steps.A.V", "Steps.B.V"), "2 values in 2 steps."),
        (("Parameters.P.X", "Parameters.Q.X"), "0 values in 0 steps, and the choices of 2 parameters."),
    ],
)
def test_what_the_team_fills_in_is_counted_by_step_and_parameter(paths: tuple[str, ...], said: str) -> None:
    plan = replace(EMPTY, filled_in=tuple(Change("added", path, None, 1) for path in paths))
    assert f"Filled in by the team's policy: {said}" in render_plan(plan).splitlines()
