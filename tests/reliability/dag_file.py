"""The laboratory's DAG file: a DAG for each fault and mode, by ``plan.json`` beside it. Copied, never imported.

The operators are the package's own, unchanged.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, get_parsing_context

from airflow_sm_pipelines import SageMakerRunPipelineOperator

PLAN = json.loads(Path(__file__).with_name("plan.json").read_text())

# The proxy learns from the User-Agent which process makes a call.
os.environ["AWS_SDK_UA_APP_ID"] = f"task-{os.getpid()}-{os.getppid()}"


def build(plan):
    """The DAG of one fault in one mode: a task for each subject, or one mapped task."""
    arguments = dict(plan["arguments"])
    seconds = arguments.pop("execution_timeout_seconds", None)
    if seconds is not None and not plan["deferrable"]:
        arguments["execution_timeout"] = timedelta(seconds=seconds)
    elif seconds is not None:
        arguments["max_wait_seconds"] = seconds
    arguments |= {
        "deferrable": plan["deferrable"],
        "botocore_config": plan["botocore_config"],
        "outputs": {"rows": "Steps.Work.OutputParameters['rows']"} if plan["has_outputs"] else None,
        "retries": plan["retries"],
        # A killed worker is some seconds in leaving. If the next attempt runs by then, Airflow 3.3.2 takes the end of
        # the first for the end of the second, and fails that.
        "retry_delay": timedelta(seconds=12),
        "waiter_delay": 1,
    }
    run_seconds = arguments.pop("dagrun_timeout_seconds", None)
    timeout = None if run_seconds is None else timedelta(seconds=run_seconds)
    with DAG(plan["dag_id"], schedule=None, max_active_tasks=64, dagrun_timeout=timeout):
        EmptyOperator(task_id="other")
        if plan["is_mapped"]:
            SageMakerRunPipelineOperator.partial(task_id="subject", parameters={"Number": 1}, **arguments).expand(
                pipeline_name=plan["pipelines"]
            )
            return
        for number, pipeline in enumerate(plan["pipelines"]):
            SageMakerRunPipelineOperator(
                task_id=f"subject_{number}", pipeline_name=pipeline, parameters={"Number": number}, **arguments
            )


wanted = get_parsing_context().dag_id
for one in PLAN:
    if wanted in (None, one["dag_id"]):
        build(one)
