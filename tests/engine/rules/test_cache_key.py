"""A step with caching that runs all the same says why in the execution's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.engine.fake_world import processing

if TYPE_CHECKING:
    from tests.engine.fake_world import World

CACHE = {"Enabled": True, "ExpireAfter": "P30D"}
PARAMETERS = [{"Name": "Mode", "Type": "String", "DefaultValue": "fast"}]


def cached(**members: Any) -> dict[str, Any]:
    environment = {"MODE": {"Get": "Parameters.Mode"}, "OTHER": "same"}
    return processing("Work", CacheConfig={**CACHE, **members}, arguments={"Environment": environment})


def run(world: World, mode: str) -> tuple[str, list[str]]:
    """Run once; the execution and what its log says of the step."""
    arn = world.start(PipelineParameters=[{"Name": "Mode", "Value": mode}])
    assert world.finish(arn) == "Succeeded"
    stream = f"{arn.rpartition('/')[2]}/Work"
    return arn, world.logs.get(("/aws/sagemaker/PipelineExecutions", stream), [])


def test_the_log_names_the_field_that_differs_from_the_newest_result(world: World) -> None:
    world.create([cached()], parameters=PARAMETERS)
    first, said = run(world, "fast")
    assert said == ["Cache miss: step 'Work' has no earlier result with caching in this pipeline."]
    assert run(world, "fast")[1] == []
    assert run(world, "slow")[1] == [f'Cache miss: Environment.MODE is "slow", was "fast" in {first}.']


def test_the_log_says_when_a_result_is_too_old(world: World) -> None:
    world.create([cached(ExpireAfter="PT0S")], parameters=PARAMETERS)
    first, _ = run(world, "fast")
    assert run(world, "fast")[1] == [f"Cache miss: the result in {first} is older than ExpireAfter PT0S."]
