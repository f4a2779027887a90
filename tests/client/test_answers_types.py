"""What counts as another type in an answer is what the service model's walk counts as one."""

from __future__ import annotations

import os
import random
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import botocore.session

from airflow_sm_pipelines.client.answers import find_wrong_type
from airflow_sm_pipelines.service_model import FaultKind, judge_value, load_service_model
from airflow_sm_pipelines.service_model.walk import format_timestamp
from tests.service_model.argument_maker import ArgumentMaker, find_ways

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.service_model import Shape

OPERATIONS = (
    *("DescribePipeline", "ListPipelineVersions", "ListPipelines", "ListPipelineExecutions"),
    *("DescribePipelineExecution", "ListPipelineExecutionSteps", "ListTags", "DescribeTrainingJob"),
    *("DescribeProcessingJob", "DescribeTransformJob", "DescribeHyperParameterTuningJob", "DescribeModelPackage"),
)
ROUNDS = int(os.environ.get("DIFFERENTIAL_CASES", "1000"))
CLIENT = botocore.session.get_session().get_service_model("sagemaker")


class AnswerMaker(ArgumentMaker):
    """Makes answers, which have timestamps; requests have none."""

    def _make(self, shape: Shape, way: Any, end: Callable[[Shape], Any] | None) -> Any:
        if shape.type_name == "timestamp":
            return datetime(2026, 11, 30, self.chance.randrange(24), tzinfo=timezone.utc)
        return super()._make(shape, way, end)

    def make_wrong(self, shape: Shape) -> Any:
        """A value of another type than the shape's."""
        return self.chance.choice(WRONG[shape.type_name])


WRONG: dict[str, list[Any]] = {
    "string": [5, True, [], {}],
    "integer": ["5", 5.5, True, []],
    "long": ["5", 5.5, True, []],
    "float": ["5", True, []],
    "double": ["5", True, []],
    "boolean": ["true", 1, []],
    "timestamp": [5, "2026-11-30", []],
    "structure": ["x", 5, []],
    "list": ["x", 5, {}],
    "map": ["x", 5, []],
}


def test_both_walks_call_the_same_values_another_type() -> None:
    model = load_service_model()
    places = [
        (operation, shape, way)
        for operation in OPERATIONS
        for shape, way in find_ways(model.get_operation(operation).output_shape).values()  # type: ignore[arg-type]
        if way and way[-1][0] != "key"
    ]
    seen = set()
    for number in range(ROUNDS):
        chance = random.Random(number)
        operation, broken, way = chance.choice(places)
        root = model.get_operation(operation).output_shape
        assert root is not None
        maker = AnswerMaker(chance)
        is_wrong = chance.random() < 0.5
        value = maker.make(root, way, maker.make_wrong) if is_wrong else maker.make(root)
        faults = judge_value(value, root, convert_timestamp=format_timestamp).faults
        judged = any(fault.kind is FaultKind.WRONG_TYPE for fault in faults)
        found = find_wrong_type(CLIENT.operation_model(operation).output_shape, value, "")
        assert (found is not None) == judged == is_wrong, (operation, way, value, found)
        if is_wrong:
            seen.add(broken.type_name)
    assert seen >= WRONG.keys() - {"double", "long", "float"}
