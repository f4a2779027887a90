"""What all operators and sensors share: arguments are kept as they are given, calls go where they say."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines import SageMakerRunPipelineOperator, SageMakerStopExecutionOperator
from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.operators import base
from airflow_sm_pipelines.operators.ask_step import SageMakerAskStepOperator
from airflow_sm_pipelines.operators.base import SageMakerPipelinesOperator, is_deferrable
from airflow_sm_pipelines.operators.group_run import SageMakerJudgeGroupOperator, SageMakerStartGroupOperator
from airflow_sm_pipelines.operators.mirror_step import SageMakerMirrorStepOperator
from tests.airflow_objects import FakeTaskInstance

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
TASKS = [
    *(getattr(airflow_sm_pipelines, name) for name in airflow_sm_pipelines.__all__),
    *(SageMakerAskStepOperator, SageMakerJudgeGroupOperator, SageMakerMirrorStepOperator, SageMakerStartGroupOperator),
]
TASKS = [one for one in TASKS if inspect.isclass(one) and issubclass(one, SageMakerPipelinesOperator)]
PLAIN: dict[str, Any] = {
    "execution_arn": ARN,
    "older_than": timedelta(days=3),
    "branches": [["Check", True]],
    "outputs": {"a": "Steps.A"},
    "botocore_config": {"connect_timeout": 3},
    "assets": {"a": "b"},
    "step_tasks": {"A": "g.A"},
    "script_args": ["--a"],
    "script_env": {"A": "b"},
    "requirements": ["sagemaker"],
    "shape": None,
    "aliases": ["prod"],
    "assigned_users": [{"id": "1", "name": "A"}],
}
SET_BY_ITSELF: dict[type, dict[str, Any]] = {
    SageMakerStartGroupOperator: {"wait_for_completion": False, "deferrable": False},
    SageMakerJudgeGroupOperator: {"pipeline_name": "", "on_retry": "fail", "on_clear": "resume"},
}
KEPT_ELSEWHERE = {"dry_run": "is_dry_run"}
"""Arguments that Airflow's own attribute of that name hides."""


def own_arguments(task: type) -> list[str]:
    return [
        name
        for one in task.__mro__
        if one.__module__.startswith("airflow_sm_pipelines.") and "__init__" in vars(one)
        for name, parameter in inspect.signature(one.__init__).parameters.items()  # type: ignore[misc]
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.__name__)
def test_each_argument_is_kept_as_it_is_given(task: Any) -> None:
    fixed = SET_BY_ITSELF.get(task, {})
    given = {name: PLAIN.get(name, f"given-{name}") for name in own_arguments(task) if name not in fixed}
    numbers = ("waiter_delay", "progress_delay", "max_wait_seconds", "max_refused_seconds")
    given |= {name: 7.5 + at for at, name in enumerate(numbers) if name in given}
    made = task(task_id="t", **given)
    assert {name: getattr(made, KEPT_ELSEWHERE.get(name, name)) for name in (*given, *fixed)} == {**given, **fixed}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, HookArguments("aws_default", None, None, None)),
        ({"aws_conn_id": "", "region_name": "", "verify": ""}, HookArguments(None, None, None, None)),
        ({"aws_conn_id": None, "verify": "False"}, HookArguments(None, None, False, None)),
        (
            {"aws_conn_id": "a", "region_name": "r", "verify": "b.pem", "botocore_config": {"a": 1}},
            HookArguments("a", "r", "b.pem", {"a": 1}),
        ),
    ],
)
def test_calls_go_where_the_arguments_say(given: dict[str, Any], expected: HookArguments) -> None:
    operator = SageMakerStopExecutionOperator(task_id="t", execution_arn=ARN, **given)
    assert operator.hook_arguments == expected
    if expected.region_name is not None:
        with pytest.raises(ArgumentError, match="botocore_config takes no template"):
            _ = SageMakerStopExecutionOperator(
                task_id="t", execution_arn=ARN, botocore_config={"a": "{{ ds }}"}
            ).hook_arguments


@pytest.mark.parametrize("is_pushed", [True, False])
def test_links_are_shown_at_once_and_kept_for_the_end(
    monkeypatch: pytest.MonkeyPatch, xcoms: dict[tuple[Any, ...], Any], is_pushed: bool
) -> None:
    operator = SageMakerStopExecutionOperator(task_id="t", execution_arn=ARN, do_xcom_push=is_pushed)
    operator.link_addresses["earlier"] = "https://a"
    operator.publish_links(FakeTaskInstance(map_index=2), {"later": "https://b"})
    assert operator.link_addresses == {"earlier": "https://a", "later": "https://b"}
    assert xcoms == ({("d", "r", "t", 2, "later"): "https://b"} if is_pushed else {})


@pytest.mark.parametrize("configured", [True, False])
def test_a_task_waits_in_the_triggerer_if_it_says_so_or_else_if_airflow_is_configured_so(
    monkeypatch: pytest.MonkeyPatch, configured: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(configured))
    given = (True, False, "true", "False", None, "")
    assert [is_deferrable(one) for one in given] == [True, False, True, False, configured, configured]


def test_several_outputs_are_xcoms_of_their_own_unless_told_otherwise() -> None:
    arguments = {"task_id": "t", "pipeline_name": "p", "alias": "prod", "version": 1}
    makers: list[tuple[Any, dict[str, Any]]] = [
        (SageMakerStopExecutionOperator, {"task_id": "t", "execution_arn": ARN}),
        (SageMakerRunPipelineOperator, {"task_id": "t", "pipeline_name": "p"}),
        (airflow_sm_pipelines.SageMakerDeployPipelineOperator, {"task_id": "t", "pipeline": "p.json"}),
        (airflow_sm_pipelines.SageMakerPromotePipelineOperator, arguments),
        (airflow_sm_pipelines.SageMakerRollBackPipelineOperator, arguments),
        (airflow_sm_pipelines.SageMakerPipelineCallbackSensor, {"task_id": "t", "queue_url": "q"}),
    ]
    for task, given in makers:
        assert task(**given).multiple_outputs is True, task
        assert task(**given, multiple_outputs=False).multiple_outputs is False, task


def test_an_argument_of_another_name_is_told_the_right_one() -> None:
    with pytest.raises(ArgumentError) as caught:
        SageMakerRunPipelineOperator(task_id="t", pipeline_name="p", waiter_dely=3, zzz=1)
    assert str(caught.value) == (
        "SageMakerRunPipelineOperator has no argument 'waiter_dely' (did you mean 'waiter_delay'?), 'zzz'."
    )
    for name, told in base.PROVIDER_ARGUMENTS.items():
        with pytest.raises(ArgumentError, match=f"{name}.*{told.split(';')[0]}"):
            SageMakerRunPipelineOperator(task_id="t", pipeline_name="p", **{name: 1})
    with pytest.raises(TypeError, match="task_id"):
        SageMakerStopExecutionOperator(execution_arn=ARN)
