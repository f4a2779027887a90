"""The run operator in this process: what it asks, passes on, publishes and says, by each way that an execution ends."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, AssetAlias

from airflow_sm_pipelines import SageMakerRunPipelineOperator
from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow_sm_pipelines.airflow_task.task_state_store import STOP_KEY, SUBMISSION_KEY
from airflow_sm_pipelines.client import outputs
from airflow_sm_pipelines.exceptions import PipelineExecutionFailedError
from tests.airflow_fakes import EVALUATE_ARN, FAILED_STEPS, SUCCEEDED_STEPS, TRAIN_ARN
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_fakes import FakeSageMaker

pytestmark = pytest.mark.usefixtures("fake_is_aws", "xcoms", "no_pauses")

MODEL = "s3://bucket/model.tar.gz"
KEYS = {"pipeline_name", "pipeline_execution_arn", "pipeline_version_id", "status", "failure_reason", "steps"}


class Run:
    """One task with one operator, its XComs and what Airflow keeps for it."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = {"task_id": "t", "pipeline_name": "p", "aws_conn_id": None, **arguments}
        self.ti = FakeTaskInstance()
        self.store = FakeTaskStateStore()
        self.assets: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.context = make_context(self.ti, store=self.store, outlet_events=self)
        self.operator = self.make()

    def __getitem__(self, alias: AssetAlias) -> Any:
        events = self.assets.setdefault(alias.name, [])
        return SimpleNamespace(add=lambda asset, *, extra: events.append((asset.uri, extra)))

    def make(self) -> SageMakerRunPipelineOperator:
        """Another operator, as each process of a task has one."""
        self.operator = SageMakerRunPipelineOperator(**self.arguments)
        self.operator._cached_logger = logging.getLogger("task")  # type: ignore[assignment]
        return self.operator

    def execute(self) -> dict[str, Any]:
        return self.operator.execute(self.context)

    def defer(self) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as caught:
            self.execute()
        return caught.value

    def resume(self, event: dict[str, Any] | None, **arguments: Any) -> dict[str, Any]:
        return self.make().execute_complete(self.context, event, **arguments)


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str]) -> FakeSageMaker:
    """The fake, with a pipeline ``p``."""
    endpoint[0].add_pipeline("p")
    return endpoint[0]


def ended(arn: str, status: str = "Succeeded", **more: Any) -> dict[str, Any]:
    return {"kind": "ended", "execution_arn": arn, "status": status, "failure_reason": None, **more}


def test_a_run_publishes_its_execution_its_outputs_what_each_step_yields_and_its_assets(
    fake: FakeSageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="task")
    fake.log_lines = ["epoch 1"]
    run = Run(
        parameters={"MaxDepth": 4},
        outputs={"model": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
        assets={"model": "trained"},
        stream_logs=True,
        deferrable=False,
    )
    result = run.execute()
    ((arn, execution),) = fake.executions.items()
    assert execution.request["PipelineParameters"] == [{"Name": "MaxDepth", "Value": "4"}]
    assert set(result) == KEYS | {"model", "step_outputs"}
    expected = {"pipeline_name": "p", "pipeline_execution_arn": arn, "pipeline_version_id": 1, "status": "Succeeded"}
    assert {**result, **expected, "model": MODEL} == result
    assert [(step["name"], step["job_arn"]) for step in result["steps"]] == [
        ("Train", TRAIN_ARN),
        ("Evaluate", EVALUATE_ARN),
    ]
    assert result["step_outputs"]["Train"]["model"] == MODEL
    assert run.ti.pushed == result
    extra = {"pipeline_name": "p", "pipeline_execution_arn": arn, "pipeline_version_id": 1}
    assert run.assets == {"trained": [(MODEL, extra)]}
    assert f"Pipeline execution: {arn}" in caplog.text
    assert caplog.text.count("[Train algo-1-1] epoch 1") == 1
    assert STOP_KEY not in run.store.values


@pytest.mark.parametrize(("statuses", "event"), [(["Succeeded"], "complete"), (["Failed"], "failure")])
def test_openlineage_is_told_of_the_data_of_a_run_whichever_way_it_ended(
    fake: FakeSageMaker, statuses: list[str], event: str
) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    fake.statuses = statuses
    run = Run()
    with suppress(PipelineExecutionFailedError):
        run.execute()
    (arn,) = fake.executions
    run.operator.link_addresses["sagemaker_execution_link"] = "http://127.0.0.1:9/e"
    lineage = getattr(run.operator, f"get_openlineage_facets_on_{event}")(None)
    assert [(one.namespace, one.name) for one in lineage.inputs] == [("s3://bucket", "data/train")]
    assert [(one.namespace, one.name) for one in lineage.outputs] == [
        ("s3://bucket", "model.tar.gz"),
        ("s3://bucket", "out"),
    ]
    facet = lineage.run_facets["sageMakerPipelineExecution"]
    assert (facet.executionArn, facet.pipelineArn) == (arn, arn.partition("/execution/")[0])
    assert (facet.pipelineName, facet.pipelineVersionId, facet.status) == ("p", 1, statuses[0])
    assert (facet.url, facet.isLineageComplete) == ("http://127.0.0.1:9/e", True)
    assert [step["name"] for step in facet.steps] == ["Train", "Evaluate"]


def test_a_run_that_waits_on_a_worker_shows_its_steps_meanwhile(fake: FakeSageMaker, xcoms: dict[Any, Any]) -> None:
    fake.statuses = ["Executing", "Failed"]
    run = Run(deferrable=False)
    with pytest.raises(PipelineExecutionFailedError):
        run.execute()
    assert [step["name"] for step in xcoms["d", "r", "t", -1, "steps"]] == ["Train", "Evaluate"]


def test_before_it_defers_a_task_asks_twice_whether_it_is_still_wanted(fake: FakeSageMaker) -> None:
    fake.statuses = ["Executing"]
    run = Run(deferrable=True)
    asked: list[Any] = []
    run.operator._check_wanted = lambda arn=None, hook=None: asked.append((arn, type(hook).__name__))  # type: ignore[method-assign]
    run.defer()
    (arn,) = fake.executions
    assert asked[-2:] == [(arn, "SageMakerPipelinesHook")] * 2
    assert set(asked[:-2]) == {(None, "NoneType")}


def test_without_xcoms_nothing_is_pushed(fake: FakeSageMaker) -> None:
    run = Run(do_xcom_push=False, max_step_outputs=0)
    assert run.execute()["step_outputs"] == {}
    assert run.ti.pushed == {}


def test_a_run_that_does_not_wait_gives_its_execution_as_it_is_and_lets_it_go_on(fake: FakeSageMaker) -> None:
    fake.statuses = ["Executing"]
    run = Run(wait_for_completion=False)
    result = run.execute()
    (arn,) = fake.executions
    assert (result["status"], result["pipeline_execution_arn"]) == ("Executing", arn)
    assert run.ti.pushed == result
    assert STOP_KEY not in run.store.values


DISTINCT = {
    "waiter_delay": 7.0,
    "progress_delay": 9.0,
    "max_refused_seconds": 11.0,
    "stop_on_kill": False,
    "stream_logs": True,
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"connect_timeout": 3},
}


def test_a_deferred_run_hands_each_choice_to_its_trigger_and_goes_on_where_the_logs_stopped(
    fake: FakeSageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="task")
    fake.statuses, fake.log_lines = ["Executing", "Succeeded"], ["epoch 1"]
    run = Run(deferrable=True, on_clear="resume", max_wait_seconds=60, execution_timeout=timedelta(days=1), **DISTINCT)
    before = datetime.now(timezone.utc)
    deferred = run.defer()
    (arn,) = fake.executions
    _, found = deferred.trigger.serialize()
    assert {name: found[name] for name in DISTINCT} == DISTINCT
    assert (found["execution_arn"], found["aws_conn_id"]) == (arn, None)
    assert (found["stop_on_clear"], found["publish_steps"]) == (False, True)
    assert 60 <= (datetime.fromisoformat(found["deadline"]) - before).total_seconds() < 120
    assert deferred.kwargs == {"execution_arn": arn, "try_number": 1}
    assert deferred.method_name == "execute_complete"

    fake.executions[arn].statuses = ["Succeeded"]
    shown = Run(pipeline_name="p", stream_logs=True)
    shown.resume(ended(arn))
    cursor = shown.store.values["sagemaker_log_cursor"]
    assert caplog.text.count("[Train algo-1-1] epoch 1") == 1
    run.store.values.pop("sagemaker_log_cursor", None)
    result = run.resume(ended(arn, log_cursor=cursor), **(deferred.kwargs or {}))
    assert caplog.text.count("[Train algo-1-1] epoch 1") == 1, "the trigger has shown the line"
    assert (result["status"], result["step_outputs"]["Train"]["model"]) == ("Succeeded", MODEL)
    assert run.ti.pushed == result


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"stop_on_clear": True, "stop_on_kill": True, "progress_delay": 30.0, "deadline": None}),
        ({"progress_delay": None}, {"progress_delay": None, "stream_logs": False}),
        ({"progress_delay": None, "stream_logs": True}, {"progress_delay": 30.0, "stream_logs": True}),
        ({"do_xcom_push": False}, {"publish_steps": False, "waiter_delay": 30.0}),
    ],
)
def test_what_the_author_leaves_out_has_its_usual_value(
    fake: FakeSageMaker, arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    _, found = Run(deferrable=True, **arguments).defer().trigger.serialize()
    assert {name: found[name] for name in expected} == expected


def test_a_wait_whose_event_was_lost_asks_what_has_come_of_its_execution(fake: FakeSageMaker) -> None:
    fake.statuses = ["Executing"]
    run = Run(deferrable=True, stream_logs=True, max_wait_seconds=60)
    run.defer()
    (arn,) = fake.executions
    with pytest.raises(TaskDeferred) as again:  # `airflow dags test` drops the argument
        run.resume(None)
    _, found = again.value.trigger.serialize()
    assert (found["execution_arn"], found["stream_logs"]) == (arn, True)
    assert found["deadline"] is not None
    fake.executions[arn].statuses = ["Succeeded"]
    assert run.resume(None)["status"] == "Succeeded"
    run.store.values.pop(SUBMISSION_KEY)
    assert run.resume(None, execution_arn=arn)["pipeline_execution_arn"] == arn
    with pytest.raises(PipelineExecutionFailedError, match=r"(?i)without an event.*execution is unknown"):
        run.resume(None)


def test_an_execution_that_somebody_has_resumed_since_its_end_is_waited_for_again(fake: FakeSageMaker) -> None:
    fake.statuses = ["Executing"]
    run = Run(deferrable=True, stream_logs=True)
    run.defer()
    (arn,) = fake.executions
    with pytest.raises(TaskDeferred) as again:
        run.resume(ended(arn, "Failed", log_cursor={"seen": "before"}))
    assert again.value.trigger.serialize()[1]["execution_arn"] == arn
    assert again.value.trigger.serialize()[1]["log_cursor"] is not None


@pytest.mark.parametrize(
    ("chosen", "is_selective"), [({}, False), ({"select_steps": ["Train"]}, True), ({"from_step": "Train"}, True)]
)
def test_outputs_of_selected_steps_are_read_as_such(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], is_selective: bool
) -> None:
    run = Run(deferrable=True)
    fake.statuses = ["Executing"]
    run.defer()
    (arn,) = fake.executions
    fake.executions[arn].statuses = ["Succeeded"]
    made: list[bool] = []

    class Reader(outputs.OutputReader):
        def __init__(self, *given: Any, **named: Any) -> None:
            made.append(named["is_selective"])
            super().__init__(*given, **named)

    monkeypatch.setattr(outputs, "OutputReader", Reader)
    run.arguments |= chosen
    assert run.resume(ended(arn))["status"] == "Succeeded"
    assert made == [is_selective]


@pytest.mark.parametrize(("stop_on_kill", "stops"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("status", ["Executing", "Stopping"])
def test_a_wait_that_is_over_names_execution_and_running_step_and_stops_it_if_wanted(
    fake: FakeSageMaker, status: str, stop_on_kill: bool, stops: int
) -> None:
    fake.statuses = [status]
    fake.steps = [SUCCEEDED_STEPS[0], {"StepName": "Evaluate", "StepStatus": "Executing", "StartTime": 1013.0}]
    run = Run(deferrable=True, stop_on_kill=stop_on_kill)
    run.defer()
    ((arn, execution),) = fake.executions.items()
    with pytest.raises(PipelineExecutionFailedError, match=f"{arn} is still {status}.*running: Evaluate") as caught:
        run.resume({**ended(arn, status), "kind": "timeout"})
    assert len(execution.stops) == (stops if status == "Executing" else 0)
    said = {"It was told to stop", "It was stopping already"}
    told = {one for one in said if one in str(caught.value)}
    assert told == ({"It was told to stop" if status == "Executing" else "It was stopping already"} if stops else set())
    assert run.ti.pushed["step_outputs"] is None
    assert run.store.values[SUBMISSION_KEY]["failed_try"] == 1, "what follows is a retry"


@pytest.mark.parametrize(
    ("status", "arguments", "error"),
    [
        ("Failed", {}, PipelineExecutionFailedError),
        ("Failed", {"on_retry": "fail"}, AirflowFailException),
        ("Stopped", {}, PipelineExecutionFailedError),
        ("Stopped", {"on_stopped": "skip"}, AirflowSkipException),
        ("Stopped", {"on_stopped": "succeed"}, None),
        ("Failed", {"on_stopped": "succeed", "on_completed_with_failures": "succeed"}, PipelineExecutionFailedError),
        ("CompletedWithFailures", {"on_completed_with_failures": "skip"}, AirflowSkipException),
        ("CompletedWithFailures", {"on_stopped": "succeed"}, PipelineExecutionFailedError),
    ],
)
def test_an_end_without_success_means_what_the_author_says_and_names_what_failed(
    fake: FakeSageMaker, status: str, arguments: dict[str, Any], error: type[Exception] | None
) -> None:
    fake.statuses, fake.steps, fake.failure_reason = [status], FAILED_STEPS, "A step failed"
    fake.log_lines = ["first line", "last line"]
    run = Run(log_lines=1, **arguments)
    if error is None:
        assert run.execute()["status"] == status
        return
    with pytest.raises(error) as caught:
        run.execute()
    (arn,) = fake.executions
    text = str(caught.value)
    assert all(word in text for word in (arn, status, "Evaluate", "AlgorithmError: exit code 3"))
    if error is not AirflowSkipException:
        assert "last line" in text
        assert "first line" not in text
    assert run.ti.pushed["status"] == status
    assert {*KEYS, "step_outputs"} == set(run.ti.pushed)
    assert STOP_KEY not in run.store.values, "nobody has to stop what has ended"


def test_the_teams_rules_lie_beside_the_dag_file_and_are_kept(fake: FakeSageMaker, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[instances]\nallowed = ["ml.t3.*"]\n')
    with DAG("d", schedule=None) as dag:
        run = Run(policy_file="rules.toml")
    dag.fileloc = str(tmp_path / "dag.py")
    assert run.operator.start_options().policy_file == str(tmp_path / "rules.toml")
    with pytest.raises(AirflowFailException, match=r"ml\.m5\.large"):
        run.execute()
    assert fake.executions == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"assets": {"modle": "a", "b": "b"}, "outputs": {"model": "Steps.Train.TrainingJobName"}}, "b, modle"),
        ({"wait_for_completion": False, "outputs": {"m": "Steps.Train.X"}}, "outputs need wait_for_completion=True"),
        ({"on_retry": "again"}, "on_retry='again'"),
        ({"outputs": {"m": "Steps.Trian.ModelArtifacts.S3ModelArtifacts"}}, "Trian"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_starts(
    fake: FakeSageMaker, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(AirflowFailException, match=named):
        Run(**arguments).execute()
    assert fake.executions == {}


def test_an_output_that_is_not_there_makes_no_asset_and_is_named(
    fake: FakeSageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    fake.steps = [SUCCEEDED_STEPS[1]]
    output = {"property": "Steps.Train.ModelArtifacts.S3ModelArtifacts", "required": False}
    run = Run(outputs={"model": output}, assets={"model": "trained"})
    assert run.execute()["model"] is None
    assert run.assets == {}
    assert "'model' is None" in caplog.text


def test_what_cannot_be_watched_any_more_fails_with_the_reason(fake: FakeSageMaker) -> None:
    run = Run(deferrable=True)
    run.defer()
    with pytest.raises(AirflowFailException, match="may not look"):
        run.resume(
            {"kind": "error", "execution_arn": "arn", "code": "AccessDeniedException", "message": "may not look"}
        )


def test_a_killed_task_stops_its_execution_unless_the_author_says_otherwise(fake: FakeSageMaker) -> None:
    fake.statuses = ["Executing"]
    for stop_on_kill, stops in ((False, 0), (True, 1)):
        run = Run(deferrable=True, stop_on_kill=stop_on_kill, display_name=f"{stop_on_kill}")
        run.ti.task_id = f"t{stops}"
        run.defer()
        assert (STOP_KEY in run.store.values) is stop_on_kill
        run.operator.on_kill()
        execution = next(one for one in fake.executions.values() if json.dumps(one.request).count(f'"{stop_on_kill}"'))
        assert len(execution.stops) == stops
