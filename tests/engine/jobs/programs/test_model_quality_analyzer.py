"""The model-quality analysis by value: the developer guide's examples, which rows count, constraints and violations."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.engine.jobs.programs.model_quality_analyzer import (
    UserError,
    find_violations,
    measure,
    select_rows,
    suggest_constraints,
)

BINARY = "BinaryClassification"
MULTICLASS = "MulticlassClassification"


def values(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: metric["value"] for name, metric in metrics.items() if "value" in metric}


def test_binary_metrics_are_those_of_the_developer_guides_example() -> None:
    metrics = measure(BINARY, [(0, 0, 0.1), (0, 1, 0.6), (0, 1, 0.7), (1, 1, 0.9)])
    assert metrics["confusion_matrix"] == {"0": {"0": 1, "1": 2}, "1": {"0": 0, "1": 1}}
    assert values(metrics) == pytest.approx(
        {
            "recall": 1.0,
            "precision": 1 / 3,
            "accuracy": 0.5,
            "recall_best_constant_classifier": 1.0,
            "precision_best_constant_classifier": 0.25,
            "accuracy_best_constant_classifier": 0.25,
            "true_positive_rate": 1.0,
            "true_negative_rate": 1 / 3,
            "false_positive_rate": 2 / 3,
            "false_negative_rate": 0.0,
            "auc": 1.0,
            "f0_5": 0.3846153846153846,
            "f1": 0.5,
            "f2": 0.7142857142857143,
            "f0_5_best_constant_classifier": 0.29411764705882354,
            "f1_best_constant_classifier": 0.4,
            "f2_best_constant_classifier": 0.625,
        }
    )
    assert {metric["standard_deviation"] for metric in metrics.values() if "value" in metric} == {"NaN"}
    assert metrics["precision_recall_curve"]["recalls"] == [0, 1, 1, 1, 1]


def test_multiclass_metrics_are_those_of_the_developer_guides_example() -> None:
    counts = {("0", "0"): 1180, ("0", "1"): 510, ("1", "0"): 268, ("1", "1"): 138}
    metrics = measure(MULTICLASS, [(*pair, None) for pair, count in counts.items() for _ in range(count)])
    assert metrics["confusion_matrix"] == {"0": {"0": 1180, "1": 510}, "1": {"0": 268, "1": 138}}
    expected = {
        "accuracy": 0.6288167938931297,
        "weighted_recall": 0.6288167938931297,
        "weighted_precision": 0.6983172269629505,
        "weighted_f0_5": 0.6803947317178771,
        "weighted_f1": 0.6571162346664904,
        "weighted_f2": 0.6384024354394601,
        "weighted_precision_best_constant_classifier": 0.03752057718081697,
        "weighted_f2_best_constant_classifier": 0.10570313141262414,
    }
    assert {name: value for name, value in values(metrics).items() if name in expected} == pytest.approx(expected)
    assert 0 < metrics["accuracy"]["standard_deviation"] < 0.02


def test_the_area_under_the_curve_counts_equal_scores_half() -> None:
    rows = [(1, 1, 0.9), (0, 1, 0.9), (1, 0, 0.4), (0, 0, 0.1), (0, 0, 0.4)]
    # Of 6 pairs of a positive and a negative 3 are right, 2 equal.
    assert values(measure(BINARY, rows))["auc"] == pytest.approx(4 / 6)


def test_regression_metrics() -> None:
    metrics = values(measure("Regression", [(1.0, 2.0, None), (2.0, 2.0, None), (3.0, 1.0, None)]))
    assert metrics == pytest.approx({"mae": 1.0, "mse": 5 / 3, "rmse": (5 / 3) ** 0.5, "r2": -1.5})


def test_columns_are_found_by_name_index_and_path_and_rows_with_gaps_are_left_out() -> None:
    columns: dict[str, list[str | None]] = {"_c0": ["1", "0", None, "1.0"], "_c1": ["0.9", "0.5", "0.3", None]}
    for truth, chance in (("_c0", "_c1"), ("0", "1"), ("$._c0", "$._c1")):
        rows = select_rows(columns, BINARY, ground_truth=truth, inference=None, probability=chance)
        assert rows == [(1, 1, 0.9), (0, 0, 0.5)]
    named: dict[str, list[str | None]] = {"label": ["1.0", "b"], "guess": ["1", "c"]}
    rows = select_rows(named, MULTICLASS, ground_truth="label", inference="guess", probability=None)
    assert rows == [("1", "1", None), ("b", "c", None)]


@pytest.mark.parametrize(
    ("truth", "inference", "reason"),
    [
        ("label", "y", "The dataset has no column 'label'; it has x, y."),
        ("x", None, "inference_attribute must be set"),
        ("x", "y", "Expected a number, found 'cat'"),
    ],
    ids=["no such column", "nothing to judge", "no number"],
)
def test_settings_that_do_not_fit_the_dataset_are_refused(truth: str, inference: str | None, reason: str) -> None:
    columns: dict[str, list[str | None]] = {"x": ["1"], "y": ["cat"]}
    with pytest.raises(UserError, match=reason):
        select_rows(columns, "Regression", ground_truth=truth, inference=inference, probability="x")


def test_a_worse_model_violates_the_constraints_of_a_better_one() -> None:
    good = measure(BINARY, [(0, 0, 0.1), (0, 0, 0.2), (1, 1, 0.8), (1, 1, 0.9)])
    bad = measure(BINARY, [(0, 0, 0.1), (0, 1, 0.6), (1, 1, 0.8), (1, 1, 0.9)])
    constraints = suggest_constraints(good)
    assert constraints["recall"] == {"threshold": 1.0, "comparison_operator": "LessThanThreshold"}
    assert constraints["false_positive_rate"]["comparison_operator"] == "GreaterThanThreshold"
    assert "recall_best_constant_classifier" not in constraints
    assert find_violations(good, constraints) == []
    found = {violation["metric_name"]: violation for violation in find_violations(bad, constraints)}
    assert set(found) == {"precision", "accuracy", "true_negative_rate", "false_positive_rate", "f0_5", "f1", "f2"}
    assert found["accuracy"] == {
        "constraint_check_type": "LessThanThreshold",
        "description": "Metric accuracy with 0.75 was LessThanThreshold '1.0'",
        "metric_name": "accuracy",
    }


def test_a_last_digit_of_another_order_of_summation_is_no_violation() -> None:
    constraints = {
        "mse": {"threshold": 0.33364933609800973, "comparison_operator": "GreaterThanThreshold"},
        "r2": {"threshold": -3.208758170289026, "comparison_operator": "LessThanThreshold"},
    }
    assert (
        find_violations({"mse": {"value": 0.33364933609800984}, "r2": {"value": -3.208758170289027}}, constraints) == []
    )
    worse = find_violations({"mse": {"value": 0.3336494}, "r2": {"value": -3.21}}, constraints)
    assert [one["metric_name"] for one in worse] == ["mse", "r2"]
