"""The example DAG, its file unchanged, under a real api-server, scheduler, dag-processor and triggerer."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server import child_environment
from tests.system.cluster import AirflowCluster
from tests.system.endpoint import served_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def airflow(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    """Airflow with the example DAGs, beside `sm-pipelines local serve`."""
    folder = tmp_path_factory.mktemp("airflow")
    with served_endpoint(folder / "sagemaker") as url:
        environment = child_environment({}, url, "us-east-1")
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

    def shown() -> Any:
        try:
            return airflow.call("GET", asked)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    details = airflow.wait_for(shown, "the question to be asked", timeout_seconds=240)
    assert details["subject"] == "Register the model with an RMSE of 52.5?"
    # Airflow 3.3.2 fails a task that is answered before the scheduler has noticed that its worker is done with it.
    noticed = time.monotonic() + 6
    airflow.wait_for(lambda: time.monotonic() > noticed, "a person's time", timeout_seconds=30)
    airflow.call("PATCH", asked, {"chosen_options": [choice], "params_input": {}})
    state = airflow.wait_for(lambda: ended_state(airflow, path), "the run to end", timeout_seconds=240)

    assert state == status, airflow.log_tails()
    assert xcom(airflow, path, "ended", "return_value")["status"] == ("Succeeded" if choice == "Approve" else "Failed")


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
