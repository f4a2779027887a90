"""The table of repairs in docs/reliability.md: its place, and its sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.reliability.repairs.workshop import Row

BEGIN, END = "<!-- made by `python -m tests.reliability.repairs --write`: begin -->", "<!-- repairs: end -->"


def render_sum(rows: Sequence[Row], outcomes: Mapping[str, str]) -> str:
    """What came of the rows, in one sentence."""
    actions = sum(row.actions for row in rows)
    return f"**{len(rows)} rows, {actions} actions; {sum(map(bool, outcomes.values()))} otherwise than expected.**"
