"""The bias analysis by value: metrics as Amazon's smclarify 0.5 computes them, groups, baselines, refusals."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.programs.bias_analyzer import UserError, analyze, find_violations, read_columns

if TYPE_CHECKING:
    from pathlib import Path


def make_columns() -> dict[str, list[str]]:
    chance = random.Random(7)
    rows = [
        (
            sex := chance.choice("MFX"),
            age := chance.randint(18, 90),
            chance.choice("uv"),
            int(chance.random() < (0.6 if sex == "M" else 0.35) + (age - 50) / 300),
        )
        for _ in range(200)
    ]
    return {name: [str(row[n]) for row in rows] for n, name in enumerate(("sex", "age", "group", "hired"))}


COLUMNS = make_columns()


def config(facet: Any, value: Any = None, **more: Any) -> dict[str, Any]:
    described = {"name_or_index": facet} | ({} if value is None else {"value_or_threshold": value})
    return {
        "label": "hired",
        "label_values_or_threshold": [1],
        "facet": [described],
        "group_variable": "group",
        "methods": {"pre_training_bias": {"methods": "all"}, "report": {"name": "report"}},
    } | more


def values(analysis: dict[str, Any], facet: str, number: int = 0) -> dict[str, float]:
    group = analysis["pre_training_bias_metrics"]["facets"][facet][number]
    return {metric["name"]: metric["value"] for metric in group["metrics"]}


@pytest.mark.parametrize(
    ("facet", "value", "name", "expected"),
    [
        (
            "sex",
            ["F"],
            "F",
            {
                "CDDL": 0.040604545455,
                "CI": 0.34,
                "DPL": 0.045680687472,
                "JS": 0.001049724937,
                "KL": 0.00421013938,
                "KS": 0.045680687472,
                "LP": 0.064602247761,
                "TVD": 0.045680687472,
            },
        ),
        (
            "sex",
            ["F", "X"],
            "F,X",
            {
                "CDDL": 0.235864935065,
                "CI": -0.25,
                "DPL": 0.250666666667,
                "JS": 0.031754693065,
                "KL": 0.128344012267,
                "KS": 0.250666666667,
                "LP": 0.354496199635,
                "TVD": 0.250666666667,
            },
        ),
        (
            "age",
            [40],
            "(40, 90]",
            {
                "CDDL": -0.140323376623,
                "CI": -0.49,
                "DPL": -0.183445190157,
                "JS": 0.017322405702,
                "KL": 0.068386251022,
                "KS": 0.183445190157,
                "LP": 0.259430675872,
                "TVD": 0.183445190157,
            },
        ),
    ],
    ids=["one category", "two categories", "threshold"],
)
def test_metrics_are_those_of_smclarify(facet: str, value: Any, name: str, expected: dict[str, float]) -> None:
    analysis = analyze(COLUMNS, config(facet, value))
    assert analysis["pre_training_bias_metrics"]["facets"][facet][0]["value_or_threshold"] == name
    assert values(analysis, facet) == pytest.approx(expected, abs=1e-9)


def test_a_facet_without_values_is_measured_for_each_of_its_categories() -> None:
    section = analyze(COLUMNS, config("sex"))["pre_training_bias_metrics"]
    assert (section["label"], section["label_value_or_threshold"]) == ("hired", "1")
    assert sorted(group["value_or_threshold"] for group in section["facets"]["sex"]) == ["F", "M", "X"]


def test_a_metric_that_cannot_be_computed_says_why_and_leaves_the_others() -> None:
    analysis = analyze(COLUMNS, config("sex", ["F"], group_variable=None))
    (broken,) = [m for m in analysis["pre_training_bias_metrics"]["facets"]["sex"][0]["metrics"] if "error" in m]
    assert (broken["name"], broken["value"]) == ("CDDL", None)
    assert broken["error"] == "Group variable is empty or not provided"


def test_a_metric_farther_from_zero_than_the_baselines_is_a_violation() -> None:
    analysis = analyze(COLUMNS, config("age", [40]))
    assert find_violations(analysis, analysis) == []
    baseline = json.loads(json.dumps(analysis))
    group = baseline["pre_training_bias_metrics"]["facets"]["age"][0]
    # The same threshold, in a dataset whose oldest was younger.
    group["value_or_threshold"] = "(40, 80]"
    (metric,) = [metric for metric in group["metrics"] if metric["name"] == "CI"]
    metric["value"] = abs(metric["value"]) - 0.1
    value = values(analysis, "age")["CI"]
    assert find_violations(analysis, baseline) == [
        {
            "facet": "age",
            "facet_value": "40",
            "metric_name": "CI",
            "constraint_check_type": "bias_drift_check",
            "description": f"Value {value} does not meet the constraint requirement",
        }
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"label": "fired"}, "The dataset has no column 'fired'; it has sex, age, group, hired."),
        ({"facet": [{"name_or_index": "age"}]}, "'age' is continuous: give one threshold"),
        ({"facet": [{"name_or_index": "sex", "value_or_threshold": ["Q"]}]}, "'sex' has none of the values Q"),
        ({"methods": {"shap": {}}}, "Only pre_training_bias is computed here, not shap"),
        ({"methods": {"pre_training_bias": {"methods": ["CI", "XX"]}}}, "no pre-training bias metric XX"),
    ],
    ids=["label", "no threshold", "no such value", "needs a model", "unknown metric"],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        analyze(COLUMNS, config("sex", ["F"]) | changed)


def test_datasets_are_read_with_their_own_headers_given_ones_and_none_and_from_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,b\n")
    assert read_columns(tmp_path, {}) == {"x": ["1", "2"], "y": ["a", "b"]}
    assert read_columns(tmp_path, {"headers": ["x", "y"]}) == {"x": ["1", "2"], "y": ["a", "b"]}
    assert read_columns(tmp_path, {"headers": ["p", "q"]})["p"] == ["x", "1", "2"]
    (tmp_path / "a.csv").write_text("1,a\n")
    assert read_columns(tmp_path, {}) == {"column_0": ["1"], "column_1": ["a"]}
    (tmp_path / "a.csv").write_text('{"f": [1, "a"], "l": 0}\n{"f": [2, null], "l": 1}\n')
    form = {"dataset_type": "application/jsonlines", "features": "f", "label": "l", "headers": ["x", "y", "l"]}
    assert read_columns(tmp_path, form) == {"x": ["1", "2"], "y": ["a", ""], "l": ["0", "1"]}
    with pytest.raises(UserError, match="not application/x-parquet"):
        read_columns(tmp_path, {"dataset_type": "application/x-parquet"})
    (tmp_path / "a.csv").write_text("1\n")
    with pytest.raises(UserError, match="A row has 1 values for 2 headers"):
        read_columns(tmp_path, {"headers": ["x", "y"]})
