"""Names that Airflow keeps in its database, or that DAG files of users hold.

A deferred task, an asset watcher and a serialized DAG refer to our classes by their paths; XComs and task states are
found again by their keys. After an upgrade of this package, rows of the version before are still there. So a name in
this list must not change: a trigger whose path has changed fails every task that waits for it, and a link or a log
cursor whose key has changed is lost. To rename one, keep the old name working and say so in the CHANGELOG.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines import airflow_task, triggers
from airflow_sm_pipelines.airflow_task import (
    ended_task_listener,
    group_record,
    lineage,
    run_progress,
    task_state_store,
)
from airflow_sm_pipelines.links import buttons
from airflow_sm_pipelines.provider_info import get_provider_info
from airflow_sm_pipelines.triggers import live_progress

CONNECTION = {"aws_conn_id", "region_name", "verify", "botocore_config"}

TRIGGERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "airflow_sm_pipelines.triggers.asset_events.SageMakerPipelineCallbackEventTrigger": (
        {"queue": "q"},
        {"queue"},
    ),
    "airflow_sm_pipelines.triggers.asset_events.SageMakerPipelineExecutionEventTrigger": (
        {"queue": "q"},
        {"queue", "pipelines", "statuses"},
    ),
    "airflow_sm_pipelines.triggers.callback.SageMakerPipelineCallbackTrigger": (
        {"queue_url": "https://q"},
        {"queue_url", "execution_arn", "waiter_delay", "deadline", "deferred_at", "max_refused_seconds"},
    ),
    "airflow_sm_pipelines.triggers.execution.SageMakerPipelineExecutionTrigger": (
        {"execution_arn": "arn"},
        {
            *("execution_arn", "waiter_delay", "progress_delay", "deadline", "deferred_at", "stop_on_clear"),
            *("stop_on_kill", "publish_steps", "stream_logs", "log_cursor", "max_refused_seconds"),
        },
    ),
    "airflow_sm_pipelines.triggers.mirrored_step.SageMakerMirroredStepTrigger": (
        {"step_name": "Train", "run_task_id": "g.run", "ended_task_id": "g.ended", "step_prefix": "g.steps."},
        {
            *("execution_arn", "waiter_delay", "progress_delay", "deadline", "deferred_at", "stop_on_clear"),
            *("stop_on_kill", "publish_steps", "stream_logs", "log_cursor", "max_refused_seconds", "step_name"),
            *("run_task_id", "ended_task_id", "step_prefix", "branches", "max_wait_seconds", "mirrored"),
            "until_asked",
        },
    ),
    "airflow_sm_pipelines.triggers.asked_step.SageMakerAskedStepTrigger": (
        {
            "step_name": "Approve",
            "run_task_id": "g.run",
            "ended_task_id": "g.ended",
            "step_prefix": "g.steps.",
            "ti_id": "0",
        },
        {
            *("execution_arn", "waiter_delay", "progress_delay", "deadline", "deferred_at", "stop_on_clear"),
            *("stop_on_kill", "publish_steps", "stream_logs", "log_cursor", "max_refused_seconds", "step_name"),
            *("run_task_id", "ended_task_id", "step_prefix", "branches", "max_wait_seconds", "mirrored"),
            *("until_asked", "ti_id"),
        },
    ),
    "airflow_sm_pipelines.triggers.step.SageMakerPipelineStepTrigger": (
        {"execution_arn": "arn", "step_name": "Train"},
        {
            *("execution_arn", "waiter_delay", "progress_delay", "deadline", "deferred_at", "stop_on_clear"),
            *("stop_on_kill", "publish_steps", "stream_logs", "log_cursor", "max_refused_seconds", "step_name"),
        },
    ),
}
"""Each trigger's path in the table ``trigger``, arguments to make one, and the names of its stored arguments."""

OPERATORS = {
    "airflow_sm_pipelines.decorators.sagemaker_pipeline.SageMakerPipelineFunctionOperator",
    "airflow_sm_pipelines.operators.answer_callback.SageMakerAnswerCallbackOperator",
    "airflow_sm_pipelines.operators.ask_step.SageMakerAskStepOperator",
    "airflow_sm_pipelines.operators.cost.SageMakerPipelineCostOperator",
    "airflow_sm_pipelines.operators.deploy.SageMakerDeployPipelineOperator",
    "airflow_sm_pipelines.operators.group_run.SageMakerJudgeGroupOperator",
    "airflow_sm_pipelines.operators.group_run.SageMakerListStepsOperator",
    "airflow_sm_pipelines.operators.group_run.SageMakerStartGroupOperator",
    "airflow_sm_pipelines.operators.mirror_step.SageMakerMirrorStepOperator",
    "airflow_sm_pipelines.operators.run.SageMakerRunPipelineOperator",
    "airflow_sm_pipelines.operators.stop.SageMakerStopExecutionOperator",
    "airflow_sm_pipelines.operators.versions.SageMakerDeletePipelineOperator",
    "airflow_sm_pipelines.operators.versions.SageMakerPromotePipelineOperator",
    "airflow_sm_pipelines.operators.versions.SageMakerPrunePipelinesOperator",
    "airflow_sm_pipelines.operators.versions.SageMakerRollBackPipelineOperator",
    "airflow_sm_pipelines.sensors.callback.SageMakerPipelineCallbackSensor",
    "airflow_sm_pipelines.sensors.execution.SageMakerPipelineExecutionSensor",
    "airflow_sm_pipelines.sensors.step.SageMakerPipelineStepSensor",
}
"""The module and the class of a task, as a serialized DAG has them."""


def load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", TRIGGERS)
def test_a_trigger_keeps_its_path_and_its_arguments(path: str) -> None:
    arguments, names = TRIGGERS[path]
    stored_path, stored = load(path)(**arguments).serialize()
    assert stored_path == path
    assert set(stored) == names | CONNECTION


def test_these_are_all_triggers() -> None:
    folder = Path(triggers.__path__[0])
    found = {
        f"{module.__name__}.{name}"
        for module in (import_module(f"{triggers.__name__}.{path.stem}") for path in folder.glob("[a-z]*.py"))
        for name, value in vars(module).items()
        if name.endswith("Trigger") and getattr(value, "__module__", None) == module.__name__
    }
    bases = {"SageMakerPipelinesTrigger", "SageMakerDeferredTrigger", "SageMakerQueueEventTrigger"}
    assert {path for path in found if path.rpartition(".")[2] not in bases} == set(TRIGGERS)
    listed = {name for entry in get_provider_info()["triggers"] for name in entry["python-modules"]}
    assert listed == {path.rpartition(".")[0] for path in TRIGGERS}


@pytest.mark.parametrize("path", sorted(OPERATORS))
def test_an_operator_keeps_its_module(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert (load(path).__module__, load(path).__qualname__) == (module, name)


def test_these_are_all_operators() -> None:
    public = [getattr(airflow_sm_pipelines, name) for name in airflow_sm_pipelines.__all__]
    tasks = {
        f"{value.__module__}.{value.__name__}"
        for value in public
        if isinstance(value, type) and value.__name__.endswith(("Operator", "Sensor"))
    }
    rooms = (".decorators.", ".group_run.", ".mirror_step.", ".ask_step.")
    made = {path for path in OPERATORS if any(part in path for part in rooms)}
    assert tasks | made == OPERATORS


def test_links_keep_their_names_and_their_xcoms() -> None:
    links = [
        buttons.SageMakerPipelineExecutionLink(),
        buttons.SageMakerPipelineLink(),
        buttons.SageMakerJobLogsLink(),
        buttons.SageMakerCallbackQueueLink(),
    ]
    assert {link.name: link.xcom_key for link in links} == {
        "SageMaker execution": "sagemaker_execution_link",
        "SageMaker pipeline": "sagemaker_pipeline_link",
        "Step logs": "sagemaker_logs_link",
        "Callback queue": "sagemaker_queue_link",
    }


def test_xcoms_and_task_states_keep_their_keys() -> None:
    assert run_progress.STEPS_KEY == "steps"
    assert live_progress.LOG_CURSOR_XCOM == "sagemaker_log_cursor"
    assert task_state_store.SUBMISSION_KEY == "sagemaker_pipeline_submission"
    assert task_state_store.LOG_CURSOR_KEY == "sagemaker_log_cursor"
    assert task_state_store.STOP_KEY == "sagemaker_pipeline_stop"
    assert task_state_store.STOP_ON_CLEAR == "stop_on_clear"
    assert task_state_store.STOPPED_BY == "stopped_by"
    assert group_record.GROUP_KEY == "sagemaker_group"
    assert group_record.REPAIRS_KEY == "sagemaker_repairs"
    assert group_record.STEP_KEY == "sagemaker_step_"
    assert task_state_store.CLEARED_KEY == "sagemaker_pipeline_cleared"
    assert task_state_store.ROLL_BACK_KEY == "sagemaker_pipeline_roll_back"
    assert task_state_store.CALLBACK_KEY == "sagemaker_callback_message"
    assert task_state_store.REFUSED_KEY == "sagemaker_refused_looks"


def test_a_stored_submission_keeps_its_fields() -> None:
    from airflow_sm_pipelines.runs.submission import Submission

    stored = {
        "number": 1,
        "token": "t" * 32,
        "request": {"PipelineName": "p"},
        "execution_arn": None,
        "resumes": 0,
        "max_tries": 0,
        "clear_number": 0,
        "is_refused": False,
        "failed_try": 0,
    }
    assert Submission(**stored).to_json() == stored


def test_an_ordered_stop_keeps_its_path() -> None:
    assert ended_task_listener.CALLBACK == (
        "airflow_sm_pipelines.airflow_task.stop_on_kill.stop_execution_of_ended_task"
    )


def test_openlineage_facets_keep_their_names() -> None:
    assert (lineage.RUN_FACET, lineage.DEPLOY_FACET) == ("sageMakerPipelineExecution", "sageMakerPipelineDeployment")


def test_sealed_tokens_keep_their_prefix() -> None:
    text = Path(airflow_task.__path__[0], "token_sealing.py").read_text(encoding="utf-8")
    assert '_PREFIX = "sealed:"' in text


def test_entry_points_and_the_decorator_keep_their_names() -> None:
    (decorator,) = get_provider_info()["task-decorators"]
    assert decorator == {
        "name": "sagemaker_pipeline",
        "class-name": "airflow_sm_pipelines.decorators.sagemaker_pipeline.sagemaker_pipeline_task",
    }


def test_no_stored_path_has_a_private_part() -> None:
    for path in (*TRIGGERS, *OPERATORS):
        assert not any(part.startswith("_") for part in path.split("."))
