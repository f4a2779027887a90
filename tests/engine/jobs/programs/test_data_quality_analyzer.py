"""The data-quality analysis by value: statistics, constraints, violations, drift."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.programs.data_quality_analyzer import (
    find_violations,
    measure_drift,
    profile,
    read_dataset,
    suggest_constraints,
)
from airflow_sm_pipelines.engine.jobs.programs.model_quality_analyzer import UserError

if TYPE_CHECKING:
    from pathlib import Path

Columns = dict[str, list[str | None]]
CSV = {"csv": {"header": True}}


def normal(mean: float, count: int = 1000, seed: int = 1) -> list[str | None]:
    rng = random.Random(seed)
    return [str(rng.gauss(mean, 1)) for _ in range(count)]


def violations(baseline: Columns, current: Columns) -> list[tuple[str, str]]:
    through_json = json.loads(json.dumps([suggest_constraints(baseline), profile(baseline)]))
    found = find_violations(current, *through_json)
    return [(one["feature_name"], one["constraint_check_type"]) for one in found]


def test_columns_are_read_from_csv_with_and_without_header_and_from_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('name,age\n"x, y",1\n,2.5\n')
    assert read_dataset(tmp_path, CSV) == {"name": ["x, y", None], "age": ["1", "2.5"]}
    assert read_dataset(tmp_path / "a.csv", {"csv": {"header": False}})["_c1"] == ["age", "1", "2.5"]
    (tmp_path / "a.csv").write_text('{"a": {"b": 1}}\n{"a": {"b": 2}, "c": "x"}\n')
    assert read_dataset(tmp_path, {"json": {"lines": True}}) == {"a.b": ["1", "2"], "c": [None, "x"]}


def test_an_empty_dataset_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="has no rows"):
        read_dataset(tmp_path, CSV)
    with pytest.raises(UserError, match="not parquet"):
        read_dataset(tmp_path, {"parquet": {}})


def test_statistics_are_those_of_the_schema() -> None:
    document = profile({"n": ["1", "2", "3", None], "s": ["a", "a", "b", None]})
    numbers, texts = document["features"]
    assert document["dataset"] == {"item_count": 4}
    assert numbers["inferred_type"] == "Integral"
    statistics = numbers["numerical_statistics"]
    assert statistics["common"] == {"num_present": 3, "num_missing": 1}
    assert [statistics[name] for name in ("mean", "sum", "min", "max")] == [2.0, 6.0, 1.0, 3.0]
    assert statistics["std_dev"] == pytest.approx(0.8164965)
    assert sum(bucket["count"] for bucket in statistics["distribution"]["kll"]["buckets"]) == 3
    assert texts["string_statistics"]["distinct_count"] == 2
    assert texts["string_statistics"]["distribution"]["categorical"]["buckets"][0] == {"value": "a", "count": 2}


def test_a_dataset_does_not_violate_its_own_baseline() -> None:
    columns: Columns = {
        "x": normal(0, 5000),
        "constant": ["7"] * 5000,
        "color": ["red", "green"] * 2500,
        "gap": [*[None] * 10, *normal(3, 4990)],
        "empty": [None] * 5000,
    }
    assert violations(columns, columns) == []


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ({"x": normal(0.1, seed=2)}, []),
        ({"x": normal(2, seed=2)}, [("x", "baseline_drift_check")]),
        ({"x": [*normal(0, 990, seed=2), *["oops"] * 10]}, [("x", "data_type_check")]),
        ({"x": [*normal(0, 900, seed=2), *[None] * 100]}, [("x", "completeness_check")]),
        ({}, [("x", "missing_column_check")]),
        ({"x": normal(0, seed=2), "y": ["1"] * 1000}, [("y", "extra_column_check")]),
    ],
    ids=["same", "drifted", "other type", "gaps", "missing column", "extra column"],
)
def test_what_differs_from_the_baseline_is_a_violation(current: Columns, expected: list[Any]) -> None:
    assert violations({"x": normal(0)}, current) == expected


def test_categories_are_compared_by_domain_and_by_share() -> None:
    baseline: Columns = {"c": ["a", "b"] * 500}
    assert violations(baseline, {"c": ["a", "b"] * 400}) == []
    assert violations(baseline, {"c": ["a"] * 900 + ["b"] * 100}) == [("c", "baseline_drift_check")]
    assert violations(baseline, {"c": ["a", "b"] * 499 + ["c", "c"]}) == [("c", "categorical_values_check")]


def test_negative_values_violate_a_baseline_without_any() -> None:
    baseline: Columns = {"x": [str(n % 50) for n in range(1000)]}
    assert violations(baseline, {"x": ["-1", *[str(n % 50) for n in range(999)]]}) == [("x", "numerical_values_check")]


def test_drift_is_the_largest_gap_of_the_distributions_also_from_a_sampled_sketch() -> None:
    (feature,) = profile({"x": [str(n) for n in range(10_000)]})["features"]
    assert sum(map(len, feature["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"])) <= 2048
    moved = [str(n + 2500) for n in range(10_000)]
    assert measure_drift(feature, moved, is_robust=False) == pytest.approx(0.25, abs=0.002)
    assert measure_drift(feature, moved, is_robust=True) == pytest.approx(0.25 - 1.8 * (2 / 10_000) ** 0.5, abs=0.002)
