"""Ranges and strategies of tuning, by value."""

from __future__ import annotations

import random
from typing import Any

import pytest

from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.tuning.ranges import SearchSpace, parse_ranges
from airflow_sm_pipelines.engine.tuning.strategies import History, propose_point


def number(name: str, low: str, high: str, scaling: str = "Linear") -> dict[str, str]:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}


def test_a_point_is_found_again_from_its_values() -> None:
    found = space(
        IntegerParameterRanges=[number("depth", "1", "9")],
        ContinuousParameterRanges=[
            number("eta", "0.1", "0.5"),
            number("l2", "0.001", "10", "Logarithmic"),
            number("momentum", "0.5", "0.999", "ReverseLogarithmic"),
        ],
        CategoricalParameterRanges=[{"Name": "booster", "Values": ["gbtree", "dart"]}],
    )
    rng = random.Random(3)
    for _ in range(50):
        values = found.values_at(tuple(rng.random() for _ in range(5)))
        point = found.point_of({**values, "fixed": "1"})
        assert point is not None
        again = found.values_at(point)
        assert (again["depth"], again["booster"]) == (values["depth"], values["booster"])
        for name in ("eta", "l2", "momentum"):
            assert float(again[name]) == pytest.approx(float(values[name]))
    assert found.point_of(values | {"depth": "10"}) is None
    assert found.point_of(values | {"eta": "much"}) is None
    assert found.point_of(values | {"booster": "gblinear"}) is None
    assert found.point_of({"depth": "3"}) is None


def space(**ranges: Any) -> SearchSpace:
    return parse_ranges(ranges, static={})


def test_values_stay_in_their_ranges_and_integers_are_equally_likely() -> None:
    found = space(
        IntegerParameterRanges=[number("depth", "1", "3")],
        ContinuousParameterRanges=[number("eta", "0.1", "0.5")],
        CategoricalParameterRanges=[{"Name": "booster", "Values": ["gbtree", "dart"]}],
    )
    rng = random.Random(1)
    values = [found.values_at((rng.random(), rng.random(), rng.random())) for _ in range(3000)]
    counts = {depth: sum(value["depth"] == depth for value in values) for depth in ("1", "2", "3")}
    assert all(900 < count < 1100 for count in counts.values()), counts
    assert all(0.1 <= float(value["eta"]) <= 0.5 for value in values)
    assert {value["booster"] for value in values} == {"gbtree", "dart"}
    assert found.values_at((0.0, 0.0, 0.0)) == {"depth": "1", "eta": "0.1", "booster": "gbtree"}
    assert found.values_at((1.0, 1.0, 1.0)) == {"depth": "3", "eta": "0.5", "booster": "dart"}


@pytest.mark.parametrize(
    ("scaling", "low", "high", "middle"),
    [
        ("Linear", "0", "1", 0.5),
        ("Logarithmic", "0.0001", "1", 0.01),
        ("ReverseLogarithmic", "0", "0.9999", 0.99),
        ("Auto", "0.0001", "1", 0.01),
        ("Auto", "1", "100", 50.5),
    ],
)
def test_a_scale_says_what_lies_in_the_middle(scaling: str, low: str, high: str, middle: float) -> None:
    found = space(ContinuousParameterRanges=[number("x", low, high, scaling)])
    assert float(found.values_at((0.5,))["x"]) == pytest.approx(middle)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "at least one hyperparameter range"),
        ({"IntegerParameterRanges": [number("a", "3", "1")]}, "is empty: 3 to 1"),
        ({"IntegerParameterRanges": [number("a", "1.5", "2")]}, "is not of numbers"),
        ({"ContinuousParameterRanges": [number("a", "0", "2", "Logarithmic")]}, "needs a range above 0"),
        ({"ContinuousParameterRanges": [number("a", "0", "1", "ReverseLogarithmic")]}, "0 <= x < 1"),
        ({"ContinuousParameterRanges": [number("fixed", "0", "1")]}, "'fixed' has more than one range or value"),
        ({"AutoParameters": [{"Name": "a", "ValueHint": "1"}]}, "AutoParameters"),
    ],
)
def test_a_wrong_range_is_refused(ranges: Any, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        parse_ranges(ranges, static={"fixed": "1"})


def test_a_grid_gives_every_combination_once() -> None:
    found = space(
        CategoricalParameterRanges=[{"Name": "a", "Values": ["1", "2"]}, {"Name": "b", "Values": ["x", "y", "z"]}]
    )
    tried: tuple[Any, ...] = ()
    while (point := propose_point("Grid", found, History(tried), random.Random(1))) is not None:
        tried = (*tried, point)
    values = [tuple(found.values_at(point).values()) for point in tried]
    assert sorted(values) == [(a, b) for a in "12" for b in "xyz"]


def search(strategy: str, seed: int, trials: int) -> float:
    """The least of a valley in two dimensions after so many trials."""
    found = space(ContinuousParameterRanges=[number("x", "-5", "5"), number("y", "0.001", "10", "Logarithmic")])
    losses: tuple[Any, ...] = ()
    for trial in range(trials):
        history = History(tuple(point for point, _ in losses), losses)
        point = propose_point(strategy, found, history, random.Random(f"{seed}/{trial}"))
        assert point is not None
        losses = (*losses, (point, (point[0] - 0.7) ** 2 + (point[1] - 0.2) ** 2))
    return min(loss for _, loss in losses)


def test_bayesian_search_finds_a_valley_sooner_than_random_search() -> None:
    seeds = range(5)
    bayesian = sum(search("Bayesian", seed, 16) for seed in seeds) / len(seeds)
    by_chance = sum(search("Random", seed, 16) for seed in seeds) / len(seeds)
    assert bayesian < by_chance / 4, (bayesian, by_chance)


def test_parallel_trials_do_not_try_the_same() -> None:
    found = space(CategoricalParameterRanges=[{"Name": "a", "Values": list("abcdefgh")}])
    losses = tuple((((i + 0.5) / 8,), float(i)) for i in range(4))
    tried = tuple(point for point, _ in losses)
    for number_ in range(4):
        point = propose_point("Bayesian", found, History(tried, losses), random.Random(number_))
        assert point is not None
        tried = (*tried, point)
    assert len({found.values_at(point)["a"] for point in tried}) == 8
