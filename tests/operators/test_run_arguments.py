"""The run operator in a real Airflow: arguments from templates, XComs and links under a backend of one's own, skips."""

from __future__ import annotations

import inspect
import json
import os
import sqlite3
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines import (
    SageMakerDeployPipelineOperator,
    SageMakerPipelineCallbackSensor,
    SageMakerPipelineCostOperator,
    SageMakerPipelineExecutionSensor,
    SageMakerPipelineStepSensor,
    SageMakerPromotePipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRunPipelineOperator,
)
from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.airflow_task.run_arguments import read_run_arguments
from airflow_sm_pipelines.decorators.sagemaker_pipeline import SageMakerPipelineFunctionOperator
from airflow_sm_pipelines.exceptions import ArgumentError
from tests.airflow_fakes import SUCCEEDED_STEPS
from tests.airflow_objects import FakeDagRun, FakeTaskInstance, make_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

DAG_FILE = """
from airflow.sdk import DAG, Param
from airflow_sm_pipelines import SageMakerRunPipelineOperator

CASES = {cases!r}

with DAG("arguments", schedule=None, params={{"steps": 4, "word": "skip", "nothing": Param("", type="string")}}):
    for name, arguments in CASES:
        SageMakerRunPipelineOperator(task_id=name, pipeline_name=name, **arguments)
"""
TEMPLATED = {
    "max_parallel_steps": "{{ params.steps }}",
    "waiter_delay": "{{ params.steps / 10 }}",
    "max_wait_seconds": "{{ params.steps * 100 }}",
    "on_stopped": "{{ params.word }}",
    "on_completed_with_failures": "fail",
    "on_retry": "{{ 'restart' }}",
    "on_clear": "{{ 'resume' }}",
    "studio_domain_id": "d-{{ params.steps }}abcdefghij",
    "verify": "{{ 'false' }}",
    "max_refused_seconds": "{{ params.steps * 100 }}",
    "progress_delay": "{{ params.steps }}",
    "max_step_outputs": "{{ params.steps - 4 }}",
    "log_lines": "{{ 0 }}",
    "deferrable": "{{ true }}",
    "stream_logs": "{{ 'no' }}",
    "stop_on_kill": "{{ false }}",
    "wait_for_completion": "{{ 1 }}",
}
WRONG = {
    "wrong-count": ("max_parallel_steps", "{{ 'many' }}", "expected a whole number from 1"),
    "wrong-delay": ("waiter_delay", "{{ 'soon' }}", "waiter_delay='soon': expected a number of seconds over 0"),
    "wrong-wait": ("max_wait_seconds", "{{ -1 }}", "max_wait_seconds='-1': expected a number of seconds over 0"),
    "wrong-end": ("on_stopped", "{{ 'ignore' }}", "on_stopped='ignore': expected one of"),
    "wrong-flag": ("stop_on_kill", "{{ 'perhaps' }}", "stop_on_kill='perhaps': expected True or False"),
    "wrong-defer": ("deferrable", "{{ 'maybe' }}", "deferrable='maybe': expected True or False"),
    "wrong-lines": ("log_lines", "{{ 'all' }}", "log_lines='all': expected a whole number from 0"),
    "wrong-refusal": ("max_refused_seconds", "{{ 0 }}", "max_refused_seconds='0': expected a number of seconds over 0"),
    "wrong-domain": ("studio_domain_id", "{{ 'mine' }}", "studio_domain_id='mine': expected the id of a Studio domain"),
    "wrong-assets": ("assets", {"x": "{{ ds }}"}, "assets takes no template: found '{{ ds }}'"),
    "wrong-config": ("botocore_config", {"region": "{{ ds }}"}, "botocore_config takes no template"),
    "wrong-clear": ("on_clear", "{{ 'again' }}", "on_clear='again': expected one of 'restart', 'resume'"),
}
NOT_EMPTY = ("on_stopped", "on_completed_with_failures", "on_retry", "on_clear")
EMPTY = dict.fromkeys((name for name in TEMPLATED if name not in NOT_EMPTY), "{{ params.nothing }}")
NOT_RENDERED = {
    "assets": "the names of aliases are needed when the DAG is parsed",
    "botocore_config": "client settings",
    "older_than": "a timedelta",
    "requirements": "packages of a function's environment",
}
"""The arguments that take no template: one in them is refused in a sentence."""


@pytest.mark.slow
def test_a_template_works_or_is_refused_before_anything_starts(fake: FakeSageMaker, dag_runner: DagRunner) -> None:
    cases = [("templated", TEMPLATED), ("empty", EMPTY)]
    cases += [(name, {argument: value}) for name, (argument, value, _) in WRONG.items()]
    for name, _ in cases:
        fake.add_pipeline(name)
        fake.by_pipeline[name] = (["Stopped" if name == "templated" else "Succeeded"], SUCCEEDED_STEPS, None)
    dag_runner.write("arguments.py", DAG_FILE.format(cases=cases))
    result = dag_runner.test("arguments")
    assert result.states == {"templated": "skipped", "empty": "success"} | dict.fromkeys(WRONG, "failed"), result.output
    (execution,) = fake.executions_of("templated")
    assert execution.request["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 4}
    for name, (_, _, message) in WRONG.items():
        assert fake.executions_of(name) == []
        assert message in result.output
    assert f"Skipped: Pipeline 'templated' execution {execution.arn} ended Stopped" in result.output


@pytest.mark.parametrize(("deferred_in", "expected"), [(1, "anew"), (2, "ended"), (None, "ended")])
def test_an_attempt_that_airflow_resumes_by_mistake_after_a_clear_begins_anew(
    monkeypatch: pytest.MonkeyPatch, deferred_in: int | None, expected: str
) -> None:
    operator = SageMakerRunPipelineOperator(task_id="t", pipeline_name="p")
    monkeypatch.setattr(operator, "_execute", lambda _: "anew")
    monkeypatch.setattr(operator, "_finish", lambda *_: "ended")
    monkeypatch.setattr(operator, "make_hook", lambda: None)
    monkeypatch.setattr(operator, "_progress", lambda *_, **__: None)
    context = make_context(FakeTaskInstance(try_number=2), dag_run=FakeDagRun(clear_number=1))
    assert operator.execute_complete(context, {"kind": "ended"}, try_number=deferred_in) == expected


def test_a_run_shows_its_steps_unless_told_otherwise_and_the_graph_its_whole_name() -> None:
    operator = SageMakerRunPipelineOperator(task_id="t", pipeline_name="p")
    assert operator.progress_delay == 30
    names = [value.custom_operator_name for value in map(load, airflow_sm_pipelines.__all__) if is_operator(value)]
    assert names
    assert all(len(name) <= 24 for name in names)


def test_each_argument_of_ours_takes_a_template_or_refuses_it() -> None:
    for operator in filter(is_operator, map(load, airflow_sm_pipelines.__all__)):
        own = [
            name
            for one in operator.__mro__
            if one.__module__.startswith("airflow_sm_pipelines.") and "__init__" in vars(one)
            for name, parameter in inspect.signature(one.__init__).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        fields = {name.removeprefix("is_") for name in operator.template_fields}
        missing = [name for name in own if name not in fields and name not in NOT_RENDERED]
        assert missing == [], operator.__name__


@pytest.mark.parametrize(
    "operator",
    [
        lambda: SageMakerPromotePipelineOperator(
            task_id="t", pipeline_name="p", version=1, alias="a", require_success="maybe"
        ),
        lambda: SageMakerPrunePipelinesOperator(task_id="t", prefix="p", keep="few"),
        lambda: SageMakerPrunePipelinesOperator(task_id="t", prefix="p", dry_run="perhaps"),
        lambda: SageMakerPrunePipelinesOperator(task_id="t", prefix="p", older_than="{{ params.age }}"),
        lambda: SageMakerPipelineCostOperator(task_id="t", execution_arn="arn:aws:x", wait_for_bill="later"),
        lambda: SageMakerDeployPipelineOperator(task_id="t", pipeline="p.py:f", studio_domain_id="x"),
        lambda: SageMakerPipelineFunctionOperator(
            task_id="t", python_callable=lambda: None, requirements=["sagemaker"], on_stopped="x"
        ),
        lambda: SageMakerPipelineFunctionOperator(
            task_id="t", python_callable=lambda: None, requirements=["sagemaker=={{ params.sdk }}"]
        ),
        lambda: SageMakerPipelineStepSensor(task_id="t", execution_arn="arn", step_name="s", on_not_run="x"),
        lambda: SageMakerPipelineStepSensor(task_id="t", execution_arn="arn", step_name="s", deferrable="x"),
        lambda: SageMakerPipelineExecutionSensor(task_id="t", execution_arn="arn", log_lines="all"),
        lambda: SageMakerPipelineCallbackSensor(task_id="t", queue_url="q", max_refused_seconds="long"),
    ],
)
def test_what_a_template_gave_wrongly_is_refused_before_any_call(operator: Callable[[], Any]) -> None:
    with pytest.raises(AirflowFailException, match=r"=.*: expected |takes no template"):
        operator().execute({})


def test_numbers_and_flags_that_came_as_text_are_read_and_empty_ones_have_their_usual_value() -> None:
    given = {
        "wait_for_completion": ("False", False, True),
        "stream_logs": ("true", True, False),
        "stop_on_kill": ("false", False, True),
        "waiter_delay": ("0.5", 0.5, 30.0),
        "max_wait_seconds": ("60", 60.0, None),
        "max_refused_seconds": ("7", 7.0, 3600.0),
        "progress_delay": ("9", 9.0, None),
        "max_step_outputs": ("0", 0, 25),
        "log_lines": ("3", 3, 20),
        "studio_domain_id": ("d-abcdefghijkl", "d-abcdefghijkl", None),
    }
    for place, choose in ((1, lambda values: values[0]), (2, lambda _: "")):
        task = SimpleNamespace(assets=None, **{name: choose(values) for name, values in given.items()})
        read_run_arguments(task)
        assert vars(task) == {"assets": None, **{name: values[place] for name, values in given.items()}}
        task.assets = {"x": "{{ ds }}"}
        with pytest.raises(ArgumentError, match="assets takes no template"):
            read_run_arguments(task)


def load(name: str) -> Any:
    return getattr(airflow_sm_pipelines, name)


def is_operator(value: Any) -> bool:
    return isinstance(value, type) and value.__name__.endswith(("Operator", "Sensor"))


BACKEND = """
import json, os
from airflow.sdk.bases.xcom import BaseXCom

class PathXCom(BaseXCom):
    @staticmethod
    def serialize_value(value, *, key=None, **_):
        with open(os.environ["PUSHED"], "a") as file:
            file.write(json.dumps([key, value]) + chr(10))
        return BaseXCom.serialize_value("path://" + json.dumps(value))

    @staticmethod
    def deserialize_value(result):
        value = BaseXCom.deserialize_value(result)
        return json.loads(value.removeprefix("path://")) if str(value).startswith("path://") else value
"""


@pytest.mark.slow
def test_keys_are_pushed_once_and_links_are_addresses_whatever_the_xcom_backend(
    fake: FakeSageMaker, dag_runner: DagRunner
) -> None:
    for name in ("sync", "deferred"):
        fake.add_pipeline(name)
        fake.by_pipeline[name] = (["Executing", "Succeeded"], SUCCEEDED_STEPS, None)
    dag_runner.write("path_xcom.py", BACKEND)
    dag_runner.environment |= {
        "AIRFLOW__CORE__XCOM_BACKEND": "path_xcom.PathXCom",
        "PUSHED": str(dag_runner.home / "pushed"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(dag_runner.dags), os.environ.get("PYTHONPATH")))),
        "SM_PIPELINES_CONSOLE_URL": "http://127.0.0.1:9/console",
    }
    cases = [("sync", {"deferrable": False}), ("deferred", {"deferrable": True})]
    dag_runner.write("arguments.py", DAG_FILE.format(cases=cases))
    result = dag_runner.test("arguments")
    assert set(result.states.values()) == {"success"}, result.output
    pushed = Counter(json.loads(line)[0] for line in (dag_runner.home / "pushed").read_text().splitlines())
    assert set(pushed.values()) == {2}, "each of two tasks pushes each key once"
    assert {"pipeline_execution_arn", "steps", "status", "step_outputs", "return_value"} <= set(pushed)
    with sqlite3.connect(dag_runner.home / "airflow.db") as database:
        links = [value for (value,) in database.execute("select value from xcom where key like 'sagemaker_%_link'")]
    addresses = [json.loads(json.loads(value)) if '"\\"' in value else json.loads(value) for value in links]
    assert addresses
    assert all(not address or address.startswith("http://127.0.0.1:9/") for address in addresses), addresses
    assert "Pipeline execution: arn:" in result.output
    assert "\nhttp://127.0.0.1:9/" in result.output
