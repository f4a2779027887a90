"""The example DAG, its file unchanged, under a real api-server, scheduler, dag-processor and triggerer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import pytest

from airflow_sm_pipelines.local_endpoint import child_environment
from airflow_sm_pipelines.server import read_secret
from tests.system.browser import Browser, find_chromium
from tests.system.cluster import AirflowCluster
from tests.system.endpoint import served_endpoint
from tests.system.trigger_form import TriggerForm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def airflow(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    """Airflow with the example DAGs, beside `sm-pipelines local serve`."""
    folder = tmp_path_factory.mktemp("airflow")
    with served_endpoint(folder / "sagemaker") as url:
        environment = child_environment({}, url, "us-east-1", secret=str(read_secret(folder / "sagemaker")))
        extra = {"events_queue": "airflow-sagemaker-events"}
        environment["AIRFLOW_CONN_AWS_EVENTS"] = json.dumps({"conn_type": "aws", "extra": extra})
        with AirflowCluster(folder / "home", dags=repository / "dags", environment=environment) as cluster:
            yield cluster


def test_the_demo_dag_succeeds_while_deferred_and_shows_its_link_and_outputs(airflow: AirflowCluster) -> None:
    run_id = airflow.trigger("train_diabetes", {})
    path = f"/dags/train_diabetes/dagRuns/{run_id}"
    train = f"{path}/taskInstances/train"

    airflow.wait_for(lambda: airflow.call("GET", train)["state"] == "deferred", "train to defer", timeout_seconds=400)
    shown = airflow.call("GET", f"{train}/links")
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=300)

    assert state == "success", airflow.log_tails()
    assert "Preprocess" in read_page(shown["extra_links"]["SageMaker execution"])
    assert xcom(airflow, path, "deploy", "pipeline_name") in read_page(shown["extra_links"]["SageMaker pipeline"])
    ended = airflow.call("GET", f"{train}/links")
    assert "RMSE" in read_page(ended["extra_links"]["Step logs"])
    rmse = xcom(airflow, path, "train", "rmse")
    assert 30 < rmse < 70
    assert xcom(airflow, path, "train", "status") == "Succeeded"
    assert xcom(airflow, path, "train", "model").endswith("model.tar.gz")
    assert {step["name"]: step["status"] for step in xcom(airflow, path, "train", "steps")} == {
        "Preprocess": "Succeeded",
        "Train": "Succeeded",
        "Evaluate": "Succeeded",
        "CheckRmse": "Succeeded",
        "Register-RegisterModel": "Succeeded",
    }
    assert xcom(airflow, path, "decide", "return_value") in ("approve", "ask a person")


def test_a_threshold_that_cannot_be_met_fails_the_task_with_the_step_and_its_message(airflow: AirflowCluster) -> None:
    run_id = airflow.trigger("train_diabetes", {"RmseThreshold": 1})
    path = f"/dags/train_diabetes/dagRuns/{run_id}"
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=400)

    assert state == "failed"
    log = str(airflow.call("GET", f"{path}/taskInstances/train/logs/1?full_content=true"))
    assert "RmseTooHigh" in log
    assert "The model's RMSE is" in log
    assert xcom(airflow, path, "train", "status") == "Failed"


@pytest.mark.parametrize(("choice", "status"), [("Approve", "success"), ("Reject", "failed")])
def test_a_person_decides_how_the_pipeline_goes_on(airflow: AirflowCluster, choice: str, status: str) -> None:
    run_id = airflow.trigger("approve_model", {})
    path = f"/dags/approve_model/dagRuns/{run_id}"
    asked = f"{path}/taskInstances/approve/-1/hitlDetails"
    details = airflow.wait_for(partial(hitl_details, airflow, path, "approve"), "the question", timeout_seconds=240)
    assert details["subject"] == "Register the model with an RMSE of 52.5?"
    # Airflow 3.3.2 fails a task that is answered before the scheduler has noticed that its worker is done with it.
    airflow.wait_for(lambda: is_left(airflow, "approve", run_id), "the worker to leave", timeout_seconds=120)
    airflow.call("PATCH", asked, {"chosen_options": [choice], "params_input": {}})
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=240)

    assert state == status, airflow.log_tails()
    assert xcom(airflow, path, "ended", "return_value")["status"] == ("Succeeded" if choice == "Approve" else "Failed")


@pytest.mark.parametrize(("choice", "status"), [("Approve", "success"), ("Reject", "failed")])
def test_a_steps_task_asks_a_person_and_answers_its_step(airflow: AirflowCluster, choice: str, status: str) -> None:
    run_id = airflow.trigger("human_step", {"Rmse": 7})
    path = f"/dags/human_step/dagRuns/{run_id}"
    step = "gate.steps.Approve"
    details = airflow.wait_for(partial(hitl_details, airflow, path, step), "the question", timeout_seconds=240)
    assert details["subject"] == "Register the model with an RMSE of 7?"
    airflow.wait_for(lambda: is_left(airflow, step, run_id, times=2), "the worker to leave", timeout_seconds=120)
    answer = {"chosen_options": [choice], "params_input": {"reason": "it is good"}}
    airflow.call("PATCH", f"{path}/taskInstances/{step}/-1/hitlDetails", answer)
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=240)

    assert state == status, airflow.log_tails()
    states = {one["task_id"]: one["state"] for one in airflow.call("GET", f"{path}/taskInstances")["task_instances"]}
    assert states[step] == states["gate.ended"] == status
    if choice == "Approve":
        assert xcom(airflow, path, "tell", "return_value") == "Approved, since it is good"
    else:
        log = airflow.call("GET", f"{path}/taskInstances/{step}/logs/1?full_content=true")
        assert "Rejected in Airflow" in str(log)


def test_callback_steps_and_ended_executions_start_dags_and_no_token_is_shown(airflow: AirflowCluster) -> None:
    aws = {"endpoint_url": airflow.environment["AWS_ENDPOINT_URL"], "region_name": "us-east-1"}
    aws |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    sqs, events, sagemaker = (boto3.client(name, **aws) for name in ("sqs", "events", "sagemaker"))
    callbacks = sqs.create_queue(QueueName="sagemaker-callbacks")["QueueUrl"]
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    events.put_rule(Name="ended", EventPattern=json.dumps({"source": ["aws.sagemaker"], "detail-type": [kind]}))
    for name in ("sagemaker-ended", "airflow-sagemaker-events"):
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_targets(Rule="ended", Targets=[{"Id": name, "Arn": arn}])
    sagemaker.create_pipeline(
        PipelineName="counting",
        RoleArn="arn:aws:iam::123456789012:role/SageMakerExecution",
        PipelineDefinition=counting(callbacks, {"lines": "abc"}),
    )
    good = sagemaker.start_pipeline_execution(PipelineName="counting")["PipelineExecutionArn"]
    waiting = f"/dags/wait_by_events/dagRuns/{airflow.trigger('wait_by_events', {'execution_arn': good})}"
    airflow.wait_for(lambda: said(airflow, "Events of executions come"), "the first event", timeout_seconds=240)
    for dag_id in ("answer_callbacks", "after_pipeline"):
        airflow.wait_for(partial(is_unpaused, airflow, dag_id), f"{dag_id} to be parsed", timeout_seconds=90)

    def steps_of(arn: str) -> list[dict[str, Any]]:
        found = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        return found if found and found[0]["StepStatus"] in ("Succeeded", "Failed") else []

    (step,) = airflow.wait_for(lambda: steps_of(good), "the step to be answered", timeout_seconds=240)
    assert step["Metadata"]["Callback"]["OutputParameters"] == [{"Name": "rows", "Value": "3"}], step
    token = step["Metadata"]["Callback"]["CallbackToken"]

    sagemaker.update_pipeline(PipelineName="counting", PipelineDefinition=counting(callbacks, {}))
    bad = sagemaker.start_pipeline_execution(PipelineName="counting")["PipelineExecutionArn"]
    (step,) = airflow.wait_for(lambda: steps_of(bad), "the other step to be refused", timeout_seconds=240)
    assert (step["StepStatus"], step["FailureReason"]) == ("Failed", "The work failed in Airflow")

    def reported() -> Any:
        runs = airflow.call("GET", "/dags/after_pipeline/dagRuns")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["state"] == "success"]

    runs = airflow.wait_for(reported, "the ended execution to be reported", timeout_seconds=240)
    path = f"/dags/after_pipeline/dagRuns/{quote(runs[0])}"
    assert xcom(airflow, path, "report", "return_value") == [good]

    assert airflow.wait_for(lambda: ended_state(airflow, waiting), "the wait to end", timeout_seconds=60) == "success"

    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def is_empty() -> bool:
        found = sqs.get_queue_attributes(QueueUrl=callbacks, AttributeNames=names)["Attributes"]
        return set(found.values()) == {"0"}

    airflow.wait_for(is_empty, "the messages to be deleted, their events being stored", timeout_seconds=30)
    kept = b"".join(path.read_bytes() for path in airflow.home.glob("airflow.db*"))
    assert b"sealed:" in kept
    assert token.encode() not in kept
    for log in airflow.home.rglob("*.log"):
        assert token not in log.read_text(errors="replace"), log


def test_of_mapped_runs_no_more_than_the_limit_are_under_way_though_they_are_deferred(airflow: AirflowCluster) -> None:
    items = [{"name": f"item-{number}", "values": [number, number + 1]} for number in range(5)]
    run_id = airflow.trigger("parallel_by_mapping", {"items": items})
    path = f"/dags/parallel_by_mapping/dagRuns/{run_id}"
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=400)
    assert state == "success", airflow.log_tails()
    client = connect(airflow)
    listed = client.list_pipeline_executions(PipelineName="parallel-by-mapping")["PipelineExecutionSummaries"]
    spans = []
    for entry in listed:
        found = client.describe_pipeline_execution(PipelineExecutionArn=entry["PipelineExecutionArn"])
        spans.append((found["CreationTime"], found["LastModifiedTime"]))
    assert len(spans) == 5
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= 2


TAKEN = {
    "Dataset": "s3://bucket/" + "x" * (1024 - len("s3://bucket/")),
    "Mode": "full",
    "Score": 1,
    "Threshold": 0.25,
    "MaxDepth": 10,
    "Strict": True,
    "Note": None,
}


def test_the_rest_api_refuses_what_the_pipeline_would_and_names_the_parameter(airflow: AirflowCluster) -> None:
    run_id = airflow.trigger("trigger_form", {**TAKEN, "Unknown": "kept by Airflow, given to no pipeline"})
    runs = "/dags/trigger_form/dagRuns"
    refused: list[tuple[str, Any]] = [
        ("Dataset", "x://bucket"),
        ("Dataset", "s3://" + "x" * 1020),
        ("Dataset", None),
        ("Mode", "medium"),
        ("Score", 1.01),
        ("Threshold", "0.5"),
        ("MaxDepth", 0),
        ("MaxDepth", 2.5),
        ("MaxDepth", "7"),
        ("Strict", "true"),
        ("Note", "x" * 1025),
    ]
    for name, value in refused:
        with pytest.raises(urllib.error.HTTPError) as error:
            airflow.call("POST", runs, {"logical_date": None, "conf": {**TAKEN, name: value}})
        assert error.value.code == 400
        assert f"param {name}:" in json.loads(error.value.read())["detail"], (name, value)
    with pytest.raises(urllib.error.HTTPError) as error:
        airflow.call("POST", runs, {"logical_date": None, "conf": {}})
    assert "param Dataset: No value passed" in json.loads(error.value.read())["detail"]
    assert [run["dag_run_id"] for run in airflow.call("GET", runs)["dag_runs"]] == [run_id]
    assert given_parameters(airflow, run_id) == {
        **{name: str(value) for name, value in TAKEN.items()},
        "Score": "1.0",
        "Note": "",
    }


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome on PATH")
def test_the_trigger_form_in_a_browser_is_the_pipelines_form(airflow: AirflowCluster, tmp_path: Path) -> None:
    airflow.wait_for(partial(is_unpaused, airflow, "trigger_form"), "trigger_form to be parsed", timeout_seconds=120)
    with Browser(tmp_path / "profile") as browser:
        form = TriggerForm(browser, airflow.url, "trigger_form")
        assert [tuple(field.values()) for field in form.fields().values()] == [
            # widget, label, shown, description, section, error; an asterisk marks what must not be empty
            ("text", "Dataset *", "", "String, required.", "Data", "This field is required"),
            ("choice", "Mode *", "Quick, on a sample", "String, default quick.", "Training", None),
            ("number", "Depth of a tree *", "4", "Integer, default 4, 1 to 10.", "Training", None),
            ("number", "Score *", "0.9", "Float, default 0.9, 0 to 1.", "Gate", None),
            ("number", "Threshold *", "0.5", "Below it, the pipeline fails", "Gate", None),
            ("switch", "Strict *", False, "Boolean, default false.", "Run Parameters", None),
            ("text", "Note", "", "String, empty by default.", "Run Parameters", None),
        ]
        assert not form.is_ready()
        form.open_section("Data")
        form.fill("Dataset", "s3://" + "x" * 1100)
        form.wait_for("Dataset", shown="s3://" + "x" * 1019)
        form.fill("Dataset", "bucket/train")
        form.open_section("Training")
        form.choose("Mode", "Full")
        form.fill("MaxDepth", "deep")
        form.wait_for("MaxDepth", error="This field is required")
        assert not form.is_ready()
        form.fill("MaxDepth", "11")
        form.wait_for("MaxDepth", shown="10", error=None)
        form.open_section("Run Parameters")
        form.switch("Strict")
        form.wait_for("Strict", shown=True)
        form.fill("Note", "typed")
        form.fill("Note", "")

        form.submit()
        form.wait_for_text("Invalid input for param Dataset: 'bucket/train' does not match '^s3://'")
        form.open_section("Data")
        form.fill("Dataset", "s3://bucket/from-the-form")
        form.submit()

        def triggered() -> str | None:
            runs = airflow.call("GET", "/dags/trigger_form/dagRuns")["dag_runs"]
            return next((run["dag_run_id"] for run in runs if "from-the-form" in str(run["conf"])), None)

        run_id = airflow.wait_for(triggered, "the form's run", timeout_seconds=60)

    chosen = {"Dataset": "s3://bucket/from-the-form", "Mode": "full", "MaxDepth": 10, "Strict": True}
    conf = airflow.call("GET", f"/dags/trigger_form/dagRuns/{quote(run_id)}")["conf"]
    assert conf == {**chosen, "Score": 0.9, "Threshold": 0.5, "Note": None}
    assert given_parameters(airflow, run_id) == {**{key: str(value) for key, value in conf.items()}, "Note": ""}


def connect(airflow: AirflowCluster) -> Any:
    """A SageMaker client of the endpoint that an Airflow stands beside."""
    return boto3.client(
        "sagemaker",
        endpoint_url=airflow.environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def given_parameters(airflow: AirflowCluster, run_id: str) -> dict[str, str]:
    """What the execution of a run of trigger_form was started with, once that has succeeded."""
    path = f"/dags/trigger_form/dagRuns/{quote(run_id)}"
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=240)
    assert state == "success", airflow.log_tails()
    client = connect(airflow)
    arn = xcom(airflow, path, "run", "pipeline_execution_arn")
    given = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    return {parameter["Name"]: parameter["Value"] for parameter in given}


def is_unpaused(airflow: AirflowCluster, dag_id: str) -> bool:
    """Unpause a DAG, if it is parsed already."""
    try:
        airflow.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False
    return True


def hitl_details(airflow: AirflowCluster, path: str, task_id: str) -> Any:
    """The question of a task; None while there is none."""
    try:
        return airflow.call("GET", f"{path}/taskInstances/{task_id}/-1/hitlDetails")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def is_left(airflow: AirflowCluster, task_id: str, run_id: str, *, times: int = 1) -> bool:
    """Whether the scheduler has noticed, so many times, that a task's worker is done with it."""
    log = (airflow.home / "scheduler.log").read_text(errors="replace")
    marks = ("Received executor event with state", f"task_id='{task_id}'", run_id)
    return sum(all(mark in line for mark in marks) for line in log.splitlines()) >= times


def said(airflow: AirflowCluster, text: str) -> bool:
    """Whether any log of Airflow's holds the text."""
    return any(text in path.read_text(errors="replace") for path in airflow.home.rglob("*.log"))


def counting(queue: str, arguments: dict[str, Any]) -> str:
    """A pipeline with one Callback step."""
    step = {
        "Name": "Count",
        "Type": "Callback",
        "SqsQueueUrl": queue,
        "Arguments": arguments,
        "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}],
    }
    return json.dumps({"Version": "2020-12-01", "Steps": [step]})


def read_page(url: str) -> str:
    """The page that a link leads to."""
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - the local endpoint's console
        return str(response.read().decode())


def ended_state(airflow: AirflowCluster, path: str) -> str | None:
    """The DAG run's state once it has ended."""
    state: str = airflow.call("GET", path)["state"]
    return state if state in ("success", "failed") else None


def xcom(airflow: AirflowCluster, path: str, task_id: str, key: str) -> Any:
    """One XCom as the REST API shows it."""
    try:
        return airflow.call("GET", f"{path}/taskInstances/{task_id}/xcomEntries/{key}")["value"]
    except urllib.error.HTTPError as error:
        log = airflow.call("GET", f"{path}/taskInstances/{task_id}/logs/1?full_content=true")["content"]
        lines = "\n".join(str(line) for line in log)
        raise AssertionError(f"no XCom {key} of {task_id}: {error}\n{lines}\n{airflow.log_tails()}") from error
