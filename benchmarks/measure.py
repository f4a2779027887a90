"""One measured line, and how a whole process is measured."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: ours against another, in ``unit``; both are medians of ``runs`` runs taken in turn."""

    what: str
    ours: float
    other_name: str
    other: float
    unit: str
    runs: int

    @property
    def ratio(self) -> float:
        """How many times ours the other is; above 1, ours is the smaller."""
        return self.other / self.ours if self.ours else float("inf")


def alternate(runs: int, *measures: Callable[[], Mapping[str, float]]) -> list[dict[str, float]]:
    """Call the measures in turn, ``runs`` rounds after one that is not counted; the median of every figure of each."""
    rounds: list[list[Mapping[str, float]]] = [[] for _ in measures]
    for number in range(runs + 1):
        for figures, measure in zip(rounds, measures, strict=True):
            result = measure()
            if number:
                figures.append(result)
    return [{key: statistics.median(row[key] for row in figures) for key in figures[0]} for figures in rounds]


def run_probe(command: Sequence[str], env: Mapping[str, str]) -> dict[str, float]:
    """Run a probe that prints one JSON object of figures as its last line."""
    finished = subprocess.run(
        list(command), env=dict(env), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=300
    )
    figures: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return figures
