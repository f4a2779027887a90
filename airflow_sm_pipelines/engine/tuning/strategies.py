"""What a tuning job tries next. The random numbers come from an argument.

``Bayesian`` is a small Gaussian process: a squared exponential kernel whose length is chosen by likelihood among a few,
and the expected improvement over random candidates. It makes a tuning step behave on a laptop as it does on AWS. The
method of the service is not public and finds better points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from airflow_sm_pipelines.engine.tuning.ranges import Point, SearchSpace
    from airflow_sm_pipelines.engine.tuning.request import Strategy

_CANDIDATES = 300
_MAX_OBSERVATIONS = 60
_LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
_NOISE = 1e-4
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class History:
    """What is known when the next point is chosen.

    :param tried: every point so far, those of running jobs too.
    :param losses: points with their objective; lower is better.
    """

    tried: tuple[Point, ...] = ()
    losses: tuple[tuple[Point, float], ...] = ()


def propose_point(strategy: Strategy, space: SearchSpace, history: History, rng: random.Random) -> Point | None:
    """The next point to try; None when a grid has no more."""
    if strategy == "Grid":
        used = set(history.tried)
        return next((point for point in space.iter_grid() if point not in used), None)
    warm_up = max(3, len(space.ranges) + 1)
    if strategy == "Bayesian" and len(history.losses) >= warm_up:
        return _propose_bayesian(space, history, rng)
    return _propose_new(space, history, rng)


def _random_point(space: SearchSpace, rng: random.Random) -> Point:
    return tuple(rng.random() for _ in space.ranges)


def _propose_new(space: SearchSpace, history: History, rng: random.Random) -> Point:
    """A random point with values that were not tried yet; after some attempts, any random point."""
    tried = [space.values_at(point) for point in history.tried]
    point = _random_point(space, rng)
    for _ in range(_ATTEMPTS):
        if space.values_at(point) not in tried:
            break
        point = _random_point(space, rng)
    return point


def _propose_bayesian(space: SearchSpace, history: History, rng: random.Random) -> Point:
    losses = sorted(history.losses, key=lambda entry: entry[1])[:_MAX_OBSERVATIONS]
    known = {point for point, _ in history.losses}
    average = sum(loss for _, loss in losses) / len(losses)
    # A running job counts as an average one, so that parallel jobs do not all try the same.
    observed = [*losses, *((point, average) for point in history.tried if point not in known)]
    process = _GaussianProcess([space.coordinates(point) for point, _ in observed], [loss for _, loss in observed])
    best = losses[0][0]
    candidates = [_random_point(space, rng) for _ in range(_CANDIDATES)]
    candidates += [
        tuple(min(max(position + rng.gauss(0, 0.05), 0.0), 1.0) for position in best) for _ in range(_CANDIDATES // 6)
    ]
    tried = [space.values_at(point) for point in history.tried]
    fresh = [point for point in candidates if space.values_at(point) not in tried] or candidates
    return max(fresh, key=lambda point: process.expected_improvement(space.coordinates(point)))


class _GaussianProcess:
    """A regression on a few dozen points, without a library."""

    def __init__(self, points: Sequence[tuple[float, ...]], values: Sequence[float]) -> None:
        self._points = points
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) or 1.0
        self._values = [(value - mean) / spread for value in values]
        self._best = min(self._values)
        fits = [self._fit(length) for length in _LENGTHS]
        _, self._length, self._lower, self._weights = max(fits, key=lambda fit: fit[0])

    def expected_improvement(self, point: tuple[float, ...]) -> float:
        """By how much the value here is expected to be lower than the best so far."""
        near = [_kernel(point, other, self._length) for other in self._points]
        mean = sum(a * b for a, b in zip(near, self._weights))  # noqa: B905
        half = _solve_lower(self._lower, near)
        deviation = math.sqrt(max(1.0 - sum(value * value for value in half), 1e-12))
        score = (self._best - mean) / deviation
        density = math.exp(-score * score / 2) / math.sqrt(2 * math.pi)
        return deviation * (score * (1 + math.erf(score / math.sqrt(2))) / 2 + density)

    def _fit(self, length: float) -> tuple[float, float, list[list[float]], list[float]]:
        size = len(self._points)
        matrix = [
            [_kernel(self._points[i], self._points[j], length) + (_NOISE if i == j else 0.0) for j in range(size)]
            for i in range(size)
        ]
        lower = _cholesky(matrix)
        half = _solve_lower(lower, self._values)
        likelihood = -sum(value * value for value in half) / 2 - sum(math.log(lower[i][i]) for i in range(size))
        return likelihood, length, lower, _solve_upper(lower, half)


def _kernel(a: tuple[float, ...], b: tuple[float, ...], length: float) -> float:
    return math.exp(-sum((x - y) ** 2 for x, y in zip(a, b)) / (2 * length * length))  # noqa: B905


def _cholesky(matrix: list[list[float]]) -> list[list[float]]:
    size = len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(max(rest, _NOISE * _NOISE)) if i == j else rest / lower[j][j]
    return lower


def _solve_lower(lower: list[list[float]], values: Sequence[float]) -> list[float]:
    solved: list[float] = []
    for i, row in enumerate(lower):
        solved.append((values[i] - sum(row[k] * solved[k] for k in range(i))) / row[i])
    return solved


def _solve_upper(lower: list[list[float]], values: Sequence[float]) -> list[float]:
    size = len(lower)
    solved = [0.0] * size
    for i in reversed(range(size)):
        solved[i] = (values[i] - sum(lower[k][i] * solved[k] for k in range(i + 1, size))) / lower[i][i]
    return solved
