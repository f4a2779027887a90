"""The stop operator, and what all operators and sensors share: arguments of the amazon provider, and executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines import (
    ArgumentError,
    SageMakerPipelineCostOperator,
    SageMakerPipelineExecutionSensor,
    SageMakerRunPipelineOperator,
    SageMakerStopExecutionOperator,
)
from airflow_sm_pipelines.option_reader import parse_execution
from tests.airflow_fakes import DEFINITION
from tests.airflow_objects import FakeTaskInstance, make_context

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdef123456"


@pytest.mark.usefixtures("fake_is_aws")
def test_an_execution_is_stopped_once_and_a_second_time_is_no_error(fake: FakeSageMaker) -> None:
    fake.add_pipeline("p", DEFINITION)
    fake.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": "t" * 40})
    (execution,) = fake.executions.values()
    task = SageMakerStopExecutionOperator(task_id="stop", execution_arn=execution.arn)
    first = task.execute(make_context(FakeTaskInstance()))
    assert first["was_running"] is True
    execution.statuses = ["Stopped"]
    again = task.execute(make_context(FakeTaskInstance()))
    assert again == {"pipeline_execution_arn": execution.arn, "status": "Stopped", "was_running": False}


RETURNED = {"pipeline_execution_arn": ARN, "status": "Executing", "failure_reason": None}


@pytest.mark.parametrize(
    "given", [ARN, RETURNED, str(RETURNED), {"execution_arn": ARN}], ids=["ARN", "dict", "text", "callback"]
)
def test_an_execution_is_named_by_its_arn_or_by_what_started_it(given: Any) -> None:
    assert parse_execution("execution_arn", given) == ARN


@pytest.mark.parametrize("given", ["", None, "p", {}, {"status": "x"}, "None"])
def test_what_names_no_execution_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match="expected an execution's ARN, or what the run operator returns"):
        parse_execution("execution_arn", given)


@pytest.mark.parametrize(
    ("operator", "given", "ours"),
    [
        (SageMakerRunPipelineOperator, "pipeline_params", "parameters="),
        (SageMakerRunPipelineOperator, "check_interval", "waiter_delay="),
        (SageMakerRunPipelineOperator, "waiter_max_attempts", "max_wait_seconds="),
        (SageMakerRunPipelineOperator, "verbose", "leave it out"),
        (SageMakerPipelineExecutionSensor, "pipeline_exec_arn", "execution_arn="),
        (SageMakerPipelineCostOperator, "pipeline_exec_arn", "execution_arn="),
        (SageMakerStopExecutionOperator, "pipeline_exec_arn", "execution_arn="),
        (SageMakerStopExecutionOperator, "fail_if_not_running", "was_running"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_an_argument_of_the_amazon_provider_is_refused_with_the_one_here(operator: Any, given: str, ours: str) -> None:
    needed = {"pipeline_name": "p"} if operator is SageMakerRunPipelineOperator else {"execution_arn": ARN}
    with pytest.raises(ArgumentError, match=f"{operator.__name__} has no argument '{given}' of the amazon") as raised:
        operator(task_id="t", **needed, **{given: "x"})
    assert ours in str(raised.value)


@pytest.mark.parametrize(
    ("operator", "given", "said"),
    [
        (SageMakerRunPipelineOperator, "displayname", r" \(did you mean 'display_name'\?\)"),
        (SageMakerRunPipelineOperator, "retrys", r" \(did you mean 'retries'\?\)"),
        (SageMakerPipelineExecutionSensor, "poke_intervall", r" \(did you mean 'poke_interval'\?\)"),
        (SageMakerStopExecutionOperator, "xyz", ""),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_an_argument_that_nobody_knows_is_refused_with_the_nearest_one(operator: Any, given: str, said: str) -> None:
    needed = {"pipeline_name": "p"} if operator is SageMakerRunPipelineOperator else {"execution_arn": ARN}
    with pytest.raises(ArgumentError, match=f"^{operator.__name__} has no argument '{given}'{said}\\.$"):
        operator(task_id="t", **needed, **{given: "x"})
