"""Measures the bias of a dataset before training, as SageMaker's Clarify container does.

It is run by path, without arguments; ``analysis_config.json`` in its input describes the analysis. It writes
``analysis.json`` and, with a baseline, ``constraint_violations.json``. Standard library only, but JSON lines need
jmespath. Source: developer guide, "Measure Pre-training Bias", "Analysis results" and "Bias Drift Violations". As in
Amazon's smclarify 0.5, with which the values were compared, logarithms are natural, and so is the rule for continuous
columns.

What does not belong here: what needs a model (the bias of predictions, explanations).
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.engine.jobs.programs.analysis import (
        BASE,
        COMPLETED,
        UserError,
        dataset_files,
        format_message,
        given,
        is_same,
        read_json,
        run,
        write_json,
    )
else:
    # In the directory of this script.
    from analysis import (
        BASE,
        COMPLETED,
        UserError,
        dataset_files,
        format_message,
        given,
        is_same,
        read_json,
        run,
        write_json,
    )

_PROCESSING = BASE / "processing"
_UNIQUE_SHARE = 0.05
_METRICS = {
    "CDDL": "Conditional Demographic Disparity in Labels (CDDL)",
    "CI": "Class Imbalance (CI)",
    "DPL": "Difference in Positive Proportions in Labels (DPL)",
    "JS": "Jensen-Shannon Divergence (JS)",
    "KL": "Kullback-Liebler Divergence (KL)",
    "KS": "Kolmogorov-Smirnov Distance (KS)",
    "LP": "L-p Norm (LP)",
    "TVD": "Total Variation Distance (TVD)",
}
"""The metrics and their descriptions, as the service spells them."""


@dataclass(frozen=True)
class Group:
    """Some rows of a column: those with certain values, or those over a threshold.

    :param name: the service's name for it, such as ``1`` or ``(40.0, 90.0]``.
    :param members: for each row, whether it is one of them.
    """

    name: str
    members: tuple[bool, ...]


def main() -> str:
    """Measure, and give the message for the end."""
    config = read_json(_PROCESSING / "input" / "config" / "analysis_config.json")
    columns = read_columns(_PROCESSING / "input" / "data", config)
    analysis = analyze(columns, config)
    output = _PROCESSING / "output"
    write_json(output / "analysis.json", analysis)
    baseline = given("baseline_constraints")
    if not baseline:
        return COMPLETED
    violations = find_violations(analysis, read_json(Path(baseline)))
    write_json(output / "constraint_violations.json", {"version": "1.0", "violations": violations})
    return format_message(violations)


def analyze(columns: dict[str, list[str]], config: dict[str, Any]) -> dict[str, Any]:
    """The content of ``analysis.json``.

    :raises UserError: the configuration asks for what is not computed here, or does not fit the dataset.
    """
    methods = config.get("methods") or {}
    other = sorted(set(methods) - {"pre_training_bias", "report"})
    if other or "pre_training_bias" not in methods:
        raise UserError(
            f"Only pre_training_bias is computed here, not {', '.join(other) or 'nothing'}: the rest needs a model. "
            "Let a stand-in perform the step, or run it on AWS."
        )
    names = methods["pre_training_bias"].get("methods", "all")
    wanted = list(_METRICS) if names in ("all", ["all"]) else [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in wanted if name not in _METRICS]:
        raise UserError(f"There is no pre-training bias metric {', '.join(unknown)}; there are {', '.join(_METRICS)}.")
    label = find_column(columns, config.get("label"))
    (positive,) = find_groups(columns[label], config.get("label_values_or_threshold"), column=label)
    conditions = config.get("group_variable")
    strata = columns[find_column(columns, conditions)] if conditions is not None else None
    facets: dict[str, Any] = {}
    for facet in config.get("facet") or ():
        name = find_column(columns, facet["name_or_index"])
        groups = find_groups(columns[name], facet.get("value_or_threshold"), column=name, is_facet=True)
        facets[name] = [
            {
                "value_or_threshold": group.name,
                "metrics": [_describe(metric, group, positive, strata) for metric in sorted(wanted)],
            }
            for group in groups
        ]
    section = {"label": label, "facets": facets, "label_value_or_threshold": positive.name}
    return {"version": "1.0", "pre_training_bias_metrics": section}


def find_violations(analysis: dict[str, Any], baseline: dict[str, Any]) -> list[dict[str, str]]:
    """The metrics that are farther from zero than in the baseline (documented), or missing."""
    section = "pre_training_bias_metrics"
    if section not in baseline:
        raise UserError(f"The baseline has no {section}: it is not that of a data bias check.")
    current = dict(_iter_values(analysis[section]))
    found = []
    for key, known in _iter_values(baseline[section]):
        value = current.get(key)
        if known is None or (value is not None and (abs(value) <= abs(known) or is_same(value, known))):
            continue
        facet, group, metric = key
        shown = "There is no value, which" if value is None else f"Value {value}"
        found.append(
            {
                "facet": facet,
                "facet_value": group,
                "metric_name": metric,
                "constraint_check_type": "bias_drift_check",
                "description": f"{shown} does not meet the constraint requirement",
            }
        )
    return found


def read_columns(source: Path, config: dict[str, Any]) -> dict[str, list[str]]:
    """The values of each column as text; a missing value is empty.

    :raises UserError: the format is not supported, or there is no data.
    """
    kind, headers = config.get("dataset_type", "text/csv"), config.get("headers")
    if unsupported := [name for name in ("facet_dataset_uri", "predicted_label_dataset_uri") if config.get(name)]:
        raise UserError(f"The local analyzer does not read {', '.join(unsupported)}.")
    if kind == "text/csv":
        rows = [row for path in dataset_files(source) for row in _read_csv(path, headers)]
        headers = headers or _take_headers(rows)
    elif kind == "application/jsonlines":
        rows = [row for path in dataset_files(source) for row in _read_json_lines(path, config)]
        headers = headers or [f"column_{n}" for n in range(len(rows[0]) if rows else 0)]
    else:
        raise UserError(f"The local analyzer reads text/csv and application/jsonlines, not {kind}.")
    if not rows:
        raise UserError("The dataset has no rows.")
    if wrong := next((row for row in rows if len(row) != len(headers)), None):
        raise UserError(f"A row has {len(wrong)} values for {len(headers)} headers: {','.join(wrong)[:200]}")
    return {name: [row[n] for row in rows] for n, name in enumerate(headers)}


def find_column(columns: dict[str, list[str]], name_or_index: Any) -> str:
    """The name of a column that is given by its name or its index.

    :raises UserError: there is no such column.
    """
    if name_or_index in columns:
        return str(name_or_index)
    if isinstance(name_or_index, int) and 0 <= name_or_index < len(columns):
        return list(columns)[name_or_index]
    raise UserError(f"The dataset has no column {name_or_index!r}; it has {', '.join(columns)}.")


def find_groups(values: list[str], wanted: Any, *, column: str, is_facet: bool = False) -> list[Group]:
    """The group that values or a threshold mean; without these, a group for each value of a facet with categories.

    :raises UserError: they do not fit the column.
    """
    given_values = list(wanted) if isinstance(wanted, list) else [] if wanted is None else [wanted]
    if _is_continuous(values, given_values):
        if not given_values:
            raise UserError(f"Column '{column}' is continuous: give one threshold for it.")
        try:
            threshold = float(given_values[0])
        except ValueError:
            raise UserError(f"Column '{column}' is continuous, its threshold is {given_values[0]!r}.") from None
        numbers = [float(value) if value else math.nan for value in values]
        whole = all(number.is_integer() for number in (*numbers, threshold))
        high = max(number for number in numbers if not math.isnan(number))
        bounds = (int(threshold), int(high)) if whole else (threshold, high)
        return [Group(f"({bounds[0]}, {bounds[1]}]", tuple(number > threshold for number in numbers))]
    if not given_values and not is_facet:
        raise UserError("label_values_or_threshold is empty.")
    sets = [[str(one) for one in given_values]] if given_values else [[one] for one in dict.fromkeys(values) if one]
    known = {_canonical(value) for value in values}
    groups = []
    for names in sets:
        chosen = {_canonical(name) for name in names}
        if not chosen & known:
            raise UserError(f"Column '{column}' has none of the values {', '.join(names)}.")
        groups.append(Group(",".join(names), tuple(_canonical(value) in chosen for value in values)))
    return groups


def compute(metric: str, group: Group, positive: Group, strata: Sequence[str] | None) -> float:
    """The value of one metric. Facet d is the group, and facet a the other rows.

    :raises ValueError: the dataset lacks what the metric needs.
    """
    pairs = list(zip(group.members, positive.members, strict=True))
    a, d = [label for member, label in pairs if not member], [label for member, label in pairs if member]
    if not a or not d:
        raise ValueError(f"{metric}: the facet {'covers all rows' if d else 'is empty'}")
    if metric == "CI":
        return (len(a) - len(d)) / len(pairs)
    if metric == "DPL":
        return sum(a) / len(a) - sum(d) / len(d)
    if metric == "CDDL":
        return _compute_disparity(pairs, strata)
    shares = [
        (labels_a / len(a), labels_d / len(d))
        for labels_a, labels_d in ((len(a) - sum(a), len(d) - sum(d)), (sum(a), sum(d)))
        # As in smclarify, values that one of the facets does not have are left out.
        if labels_a and labels_d
    ]
    if not shares:
        raise ValueError("No instance of common facet found, dataset may be too small")
    gaps = [abs(one - other) for one, other in shares]
    if metric == "KL":
        return math.fsum(one * math.log(one / other) for one, other in shares)
    if metric == "JS":
        means = [(one + other) / 2 for one, other in shares]
        return 0.5 * math.fsum(
            one * math.log(one / mean) + other * math.log(other / mean)
            for (one, other), mean in zip(shares, means, strict=True)
        )
    if metric == "LP":
        return math.sqrt(math.fsum(gap**2 for gap in gaps))
    return max(gaps) if metric == "KS" else 0.5 * math.fsum(gaps)


def _compute_disparity(pairs: list[tuple[bool, bool]], strata: Sequence[str] | None) -> float:
    if strata is None:
        raise ValueError("Group variable is empty or not provided")
    if len({label for _, label in pairs}) < 2:
        raise ValueError("No positive labels in set" if not pairs[0][1] else "No negative labels in set")
    sizes, accepted, rejected = Counter(strata), Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
    for (member, label), stratum in zip(pairs, strata, strict=True):
        (accepted if label else rejected)[stratum, member] += 1

    def share(counts: Counter[tuple[str, bool]], stratum: str) -> float:
        total = counts[stratum, True] + counts[stratum, False]
        return counts[stratum, True] / total if total else 0.0

    gaps = (size * (share(rejected, name) - share(accepted, name)) for name, size in sizes.items())
    return math.fsum(gaps) / len(pairs)


def _describe(metric: str, group: Group, positive: Group, strata: Sequence[str] | None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": metric, "description": _METRICS[metric], "value": None}
    try:
        described["value"] = compute(metric, group, positive, strata)
    except ValueError as error:
        described["error"] = str(error)
    return described


def _iter_values(section: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str], float | None]]:
    for facet, groups in section["facets"].items():
        for group in groups:
            for metric in group["metrics"]:
                yield (facet, _group_key(group["value_or_threshold"]), metric["name"]), metric.get("value")


def _group_key(name: str) -> str:
    """The name by which groups are compared: a group over a threshold is the same even if the highest value differs."""
    return name.partition(",")[0].removeprefix("(") if name.startswith("(") else name


def _is_continuous(values: list[str], given_values: list[Any]) -> bool:
    if len(given_values) > 1:
        return False
    present = [value for value in values if value]
    try:
        whole = all(float(value).is_integer() and "." not in value for value in present)
    except ValueError:
        return False
    # smclarify asks pandas, for which a column with missing values holds fractions.
    return not whole or len(present) < len(values) or len(set(present)) / len(present) >= _UNIQUE_SHARE


def _canonical(value: str) -> str:
    try:
        return repr(float(value))
    except ValueError:
        return value


def _read_csv(path: Path, headers: list[str] | None) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for n, row in enumerate(csv.reader(file)):
            if row and not (n == 0 and row == headers):
                yield row


def _take_headers(rows: list[list[str]]) -> list[str]:
    """The names in the first row if it has no numbers, else names made from the positions."""
    if rows and not any(_canonical(cell) != cell for cell in rows[0]):
        return rows.pop(0)
    return [f"column_{n}" for n in range(len(rows[0]) if rows else 0)]


def _read_json_lines(path: Path, config: dict[str, Any]) -> Iterator[list[str]]:
    import jmespath  # type: ignore[import-untyped]

    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            record = json.loads(line)
            row = jmespath.search(config.get("features") or "@", record)
            cells = list(row) if isinstance(row, list) else list(row.values()) if isinstance(row, dict) else [row]
            if isinstance(config.get("label"), str) and config.get("features"):
                cells.append(jmespath.search(config["label"], record))
            yield ["" if cell is None else str(cell) for cell in cells]


if __name__ == "__main__":
    sys.exit(run(main))
