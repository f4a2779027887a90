"""A plan says what would happen, in text, JSON and Markdown."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.planning import (
    DeploymentPlan,
    plan_deployment,
    render_plan,
    render_plan_markdown,
    write_plan,
)
from airflow_sm_pipelines.policy import load_policy

DEMO = json.loads((Path(__file__).parent.parent / "data" / "definitions" / "diabetes_v2.json").read_text())


def changed() -> Any:
    document = copy.deepcopy(DEMO)
    document["Parameters"][1]["DefaultValue"] = 3
    document["Steps"][1]["Arguments"]["HyperParameters"]["subsample"] = "0.9`|<b>"
    return document


def plan(new: Any, deployed: Any | None, **more: Any) -> DeploymentPlan:
    before = None if deployed is None else parse_definition(deployed)
    return plan_deployment(parse_definition(new), deployed=before, name="diabetes", **more)


def test_a_pipeline_that_is_not_there_is_created() -> None:
    made = plan(DEMO, None)
    assert (made.action, made.changes, made.errors) == ("create", (), ())
    assert render_plan(made).splitlines()[0] == "Pipeline 'diabetes' would be created."


def test_an_unchanged_pipeline_stays_as_it_is() -> None:
    made = plan(DEMO, copy.deepcopy(DEMO))
    assert made.action == "none"
    assert render_plan(made).splitlines()[0] == "Pipeline 'diabetes' would stay as it is."


def test_changes_and_limits_are_listed() -> None:
    lines = render_plan(plan(changed(), DEMO)).splitlines()
    assert lines[:5] == [
        "Pipeline 'diabetes' would get a new version.",
        "",
        "Changes (2):",
        "  ~ Parameters.MaxDepth.DefaultValue: 2 → 3",
        '  ~ Steps.Train.Arguments.HyperParameters.subsample: "0.8" → "0.9`|<b>"',
    ]
    assert lines[-1].endswith("of 1048576 characters, 7 of 200 parameters, 6 steps.")


def test_a_policy_refuses_or_is_filled_in(repository: Path) -> None:
    policy = load_policy(repository / "dags" / "policies" / "team.toml")
    refused = plan(DEMO, DEMO, policy=policy)
    assert len({finding.rule for finding in refused.errors}) >= 5
    assert render_plan(refused).splitlines()[-1] == "The deployment would be refused."
    filled = plan(DEMO, DEMO, policy=policy, is_filled_in=True)
    assert (filled.errors, filled.action) == ((), "update")
    text = "Filled in by the team's policy: 17 values in 3 steps, and the choices of 1 parameter."
    assert text in render_plan(filled)


def test_markdown_is_one_comment_that_names_cannot_break(repository: Path) -> None:
    policy = load_policy(repository / "dags" / "policies" / "team.toml")
    text = render_plan_markdown(plan(changed(), DEMO, policy=policy))
    assert text.startswith("<!-- sm-pipelines plan -->\n### Pipeline `diabetes` would get a new version\n")
    assert "❌ **The deployment would be refused.**" in text
    assert "```diff\n! Parameters.MaxDepth.DefaultValue: 2 → 3\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(rows) == 24
    assert all(row.count("|") - row.count("\\|") == 5 for row in rows)
    assert "| Train (Training) | off | the step does not ask for caching |" in text


def test_a_fence_is_longer_than_what_it_holds() -> None:
    document = changed()
    document["Steps"][1]["Arguments"]["HyperParameters"]["subsample"] = "````"
    assert "`````diff" in render_plan_markdown(plan(document, DEMO))


def test_json_holds_all_of_it() -> None:
    written = json.loads(json.dumps(write_plan(plan(changed(), DEMO))))
    assert written["action"] == "update"
    assert not written["is_refused"]
    assert written["changes"][0] == {
        "kind": "changed",
        "path": "Parameters.MaxDepth.DefaultValue",
        "before": 2,
        "after": 3,
    }
    assert [entry["outcome"] for entry in written["cache"]] == ["off", "off", "off"]
    assert len(written["definition_hash"]) == 64
