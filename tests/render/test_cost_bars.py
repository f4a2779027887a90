"""The bars of a bill: as long as what each step cost, each in its own row."""

from __future__ import annotations

import re

import pytest

from airflow_sm_pipelines.render import render_cost_svg

COSTS = [("Prepare", 1.0), ("Train", 4.0), ("Check", 0.0), ("Odd", None), ("Tiny", 0.001)]


def numbers(pattern: str, svg: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, svg)]


@pytest.mark.parametrize("title", ["", "Costs"])
def test_bars_are_as_long_as_their_amounts_and_level_with_their_names(title: str) -> None:
    svg = render_cost_svg(COSTS, currency="EUR", title=title)
    tops, widths = numbers(r'<rect x="[\d.]+" y="([\d.]+)"', svg), numbers(r'<rect x[^>]* width="([\d.]+)"', svg)
    assert widths == [105.0, 420.0, 2.0]
    heights = numbers(r'<rect x[^>]* height="([\d.]+)"', svg)
    rows = dict(re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(Prepare|Train|Check|Odd|Tiny|Total)<', svg))
    baselines = {name: float(y) for y, name in rows.items()}
    assert sorted(baselines, key=baselines.__getitem__) == [*(name for name, _ in COSTS), "Total"]
    # A text's base line is 4 below the middle of its row.
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    assert middles == [baselines[name] - 4 for name in ("Prepare", "Train", "Tiny")]
    assert re.findall(r">([\d.]+ EUR|no price)</text>", svg) == [
        "1.0000 EUR",
        "4.0000 EUR",
        "0.0000 EUR",
        "no price",
        "0.0010 EUR",
        "5.0010 EUR",
    ]


def test_a_bill_of_nothing_is_a_picture_too() -> None:
    svg = render_cost_svg([], currency="USD")
    assert ("<rect x" in svg, "0.0000 USD" in svg, "Total" in svg) == (False, True, True)
