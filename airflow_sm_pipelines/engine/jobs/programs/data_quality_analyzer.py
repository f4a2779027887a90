"""Profiles a dataset and compares it with a baseline, as SageMaker's model monitor container does for data quality.

It is run by path, without arguments; the container's environment variables are its settings. It writes
``statistics.json``, ``constraints.json`` and, with a baseline, ``constraint_violations.json``. Standard library only.
Source: developer guide, "Schema for statistics", "Schema for constraints", "Schema for violations". The distance is
that of awslabs/deequ (analyzers/Distance), on which the container is built.

What differs: it reads only CSV and JSON lines. The sketch holds a regular sample instead of KLL's random one. There are
no pre- and post-processing scripts.
"""

from __future__ import annotations

import json
import math
import sys
from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.jobs.programs.analysis import (
        COMPLETED,
        format_message,
        given,
        read_dataset,
        read_json,
        run,
        setting,
        write_json,
    )
else:
    # In the directory of this script.
    from analysis import COMPLETED, format_message, given, read_dataset, read_json, run, setting, write_json


_SKETCH = 2048
_BUCKETS = 10
_MAX_DOMAIN = 20
_ROBUSTNESS = 1.8
_MONITORING = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
    },
}


def main() -> str:
    """Analyze, and give the message for the end."""
    columns = read_dataset(Path(setting("dataset_source")), json.loads(setting("dataset_format")))
    output = Path(setting("output_path"))
    statistics, constraints = profile(columns), suggest_constraints(columns)
    write_json(output / "statistics.json", statistics)
    write_json(output / "constraints.json", constraints)
    baseline = given("baseline_constraints")
    if not baseline:
        return COMPLETED
    known = given("baseline_statistics")
    violations = find_violations(
        columns, read_json(Path(baseline)), read_json(Path(known)) if known else {"features": []}
    )
    write_json(output / "constraint_violations.json", {"violations": violations})
    return format_message(violations)


def infer_type(values: list[str]) -> str:
    """``Integral``, ``Fractional``, ``String``, or ``Unknown`` if there are no values."""
    kinds = {_kind(value) for value in values}
    if not kinds:
        return "Unknown"
    if kinds == {"Integral"}:
        return "Integral"
    return "Fractional" if kinds <= {"Integral", "Fractional"} else "String"


def _kind(value: str) -> str:
    try:
        int(value)
    except ValueError:
        try:
            return "Fractional" if math.isfinite(float(value)) else "String"
        except ValueError:
            return "String"
    return "Integral"


def profile(columns: dict[str, list[str | None]]) -> dict[str, Any]:
    """The content of ``statistics.json``."""
    features = []
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        common = {"num_present": len(present), "num_missing": len(values) - len(present)}
        kind = infer_type(present)
        feature: dict[str, Any] = {"name": name, "inferred_type": kind}
        if kind in ("Integral", "Fractional"):
            feature["numerical_statistics"] = {"common": common, **_describe_numbers([float(v) for v in present])}
        else:
            counts = Counter(present)
            buckets = [{"value": value, "count": count} for value, count in counts.most_common(_SKETCH)]
            distribution = {"categorical": {"buckets": buckets}}
            feature["string_statistics"] = {
                "common": common, "distinct_count": len(counts), "distribution": distribution,
            }  # fmt: skip
        features.append(feature)
    return {"version": 0.0, "dataset": {"item_count": len(next(iter(columns.values())))}, "features": features}


def _describe_numbers(values: list[float]) -> dict[str, Any]:
    ordered = sorted(values)
    total = math.fsum(values)
    mean = total / len(values)
    low, high = ordered[0], ordered[-1]
    width = (high - low) / _BUCKETS
    edges = [low + width * n for n in range(_BUCKETS)] + [high]
    starts = [0, *(bisect_right(ordered, edge) for edge in edges[1:-1]), len(ordered)]
    buckets = [
        {"lower_bound": edges[n], "upper_bound": edges[n + 1], "count": float(starts[n + 1] - starts[n])}
        for n in range(_BUCKETS)
    ]
    # In a KLL sketch an item of level n stands for 2^n values.
    level = max(0, math.ceil(math.log2(len(ordered) / _SKETCH)))
    data: list[list[float]] = [[] for _ in range(level)] + [ordered[(2**level) // 2 :: 2**level]]
    return {
        "mean": mean,
        "sum": total,
        "std_dev": math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)),
        "min": low,
        "max": high,
        "distribution": {
            "kll": {"buckets": buckets, "sketch": {"parameters": {"c": 0.64, "k": float(_SKETCH)}, "data": data}}
        },
    }


def suggest_constraints(columns: dict[str, list[str | None]]) -> dict[str, Any]:
    """The content of ``constraints.json``."""
    features = []
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        kind = infer_type(present)
        feature: dict[str, Any] = {
            "name": name, "inferred_type": kind, "completeness": len(present) / len(values),
        }  # fmt: skip
        if kind in ("Integral", "Fractional"):
            feature["num_constraints"] = {"is_non_negative": all(float(value) >= 0 for value in present)}
        elif len(domain := sorted(set(present))) <= _MAX_DOMAIN:
            feature["string_constraints"] = {"domains": domain}
        features.append(feature)
    return {"version": 0.0, "features": features, "monitoring_config": _MONITORING}


def find_violations(
    columns: dict[str, list[str | None]], constraints: dict[str, Any], statistics: dict[str, Any]
) -> list[dict[str, str]]:
    """The violations of the constraints of a baseline, and the features that have drifted."""
    found: list[dict[str, str]] = []
    config = {**_MONITORING, **(constraints.get("monitoring_config") or {})}
    expected = {feature["name"]: feature for feature in constraints["features"]}
    known = {feature["name"]: feature for feature in statistics["features"]}
    for check, names in (
        ("missing_column_check", [name for name in expected if name not in columns]),
        ("extra_column_check", [name for name in columns if name not in expected]),
    ):
        word = check.partition("_")[0]
        text = (
            f"There are {word} columns in current dataset. Number of columns in current dataset: {len(columns)}, "
            f"Number of columns in baseline constraints: {len(expected)}"
        )
        found += [_violation(name, check, text) for name in names]
    if config["evaluate_constraints"] != "Enabled":
        return found
    for name, feature in expected.items():
        if name in columns:
            found += _check_feature(feature, columns[name], config, known.get(name))
    return found


def _check_feature(
    feature: dict[str, Any], values: list[str | None], config: dict[str, Any], known: dict[str, Any] | None
) -> list[dict[str, str]]:
    name, kind = feature["name"], feature["inferred_type"]
    present = [value for value in values if value is not None]
    found = []
    completeness, required = len(present) / len(values), feature.get("completeness", 0.0)
    if completeness < required:
        text = f"Data completeness requirement is not met. Expected: {required:.1%}. Observed: {completeness:.1%}."
        found.append(_violation(name, "completeness_check", text))
    matching = {"Integral": ("Integral",), "Fractional": ("Integral", "Fractional"), "String": ("String",)}.get(kind)
    # A column of texts may have numbers among them, but is not one of numbers alone.
    is_mixed = kind == "String" and any(_kind(value) == "String" for value in present)
    if matching and present and not is_mixed:
        share = sum(_kind(value) in matching for value in present) / len(present)
        threshold = float(config["datatype_check_threshold"])
        if share < threshold:
            text = (
                f"Data type match requirement is not met. Expected data type: {kind}, Expected match: {threshold:.1%}. "
                f"Observed: Only {share:.1%} of data is {kind}."
            )
            found.append(_violation(name, "data_type_check", text))
            return found
    if (feature.get("num_constraints") or {}).get("is_non_negative") and any(float(value) < 0 for value in present):
        found.append(_violation(name, "numerical_values_check", "Values are negative; the baseline has none that are."))
    domain = (feature.get("string_constraints") or {}).get("domains")
    if domain and present:
        share = sum(value in domain for value in present) / len(present)
        if share < float(config["domain_content_threshold"]):
            strange = sorted({value for value in present if value not in domain})
            text = f"Only {share:.1%} of values are among the baseline's; others: {', '.join(strange[:5])}"
            found.append(_violation(name, "categorical_values_check", text))
    comparison = config["distribution_constraints"]
    if known and present and comparison["perform_comparison"] == "Enabled":
        distance = measure_drift(known, present, is_robust=comparison.get("comparison_method") == "Robust")
        threshold = float(comparison["comparison_threshold"])
        if distance > threshold:
            text = f"Baseline drift distance: {distance} exceeds threshold: {threshold}"
            found.append(_violation(name, "baseline_drift_check", text))
    return found


def measure_drift(feature: dict[str, Any], present: list[str], *, is_robust: bool) -> float:
    """The largest difference of two cumulative distributions. ``Robust`` subtracts what chance explains."""
    if "numerical_statistics" in feature:
        sketch = feature["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
        weighted = sorted((float(v), 2.0**level) for level, values in enumerate(sketch) for v in values)
        current = sorted(float(value) for value in present)
        before = sum(weight for _, weight in weighted)
        if not before:
            return 0.0
        distance = _largest_gap(weighted, current)
    else:
        buckets = feature.get("string_statistics", {}).get("distribution", {}).get("categorical", {}).get("buckets", [])
        counts, known = Counter(present), {bucket["value"]: bucket["count"] for bucket in buckets}
        before = float(sum(known.values()))
        if not before:
            return 0.0
        distance = max(abs(counts[name] / len(present) - known.get(name, 0) / before) for name in {*counts, *known})
    if is_robust:
        size = len(present)
        distance = max(0.0, distance - _ROBUSTNESS * math.sqrt((before + size) / (before * size)))
    return distance


def _largest_gap(weighted: list[tuple[float, float]], current: list[float]) -> float:
    """The largest difference of two step functions, which is at one of their steps."""
    values = [value for value, _ in weighted]
    sums = [0.0, *accumulate(weight for _, weight in weighted)]
    return max(
        abs(sums[bisect_right(values, point)] / sums[-1] - bisect_right(current, point) / len(current))
        for point in {*values, *current}
    )


def _violation(name: str, check: str, text: str) -> dict[str, str]:
    return {"feature_name": name, "constraint_check_type": check, "description": text}


if __name__ == "__main__":
    sys.exit(run(main))
