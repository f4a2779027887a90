"""The workshop's DAG file: a DAG for each row, by ``plan.json`` beside it. Copied, never imported.

The task group is the package's own, unchanged.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context, task_group

from airflow_sm_pipelines import SageMakerPipelineTaskGroup

PLAN = json.loads(Path(__file__).with_name("plan.json").read_text())


def make_group(plan):
    """The group of one row."""
    return SageMakerPipelineTaskGroup(
        "group",
        pipeline_name=plan["key"],
        shape=str(Path(__file__).with_name(f"{plan['key']}.shape.json")),
        outputs=plan["outputs"],
        step_args={"waiter_delay": 4},
        run_args={"waiter_delay": 4, "deferrable": True},
        **plan["arguments"],
    )


def build(plan):
    """The DAG of one row. Its tasks would be retried, if the group let them."""
    seconds = plan["run_seconds"]
    timeout = None if seconds is None else timedelta(seconds=seconds)
    retries = {"retries": 2, "retry_delay": timedelta(seconds=5)}
    with DAG(plan["key"], schedule=None, dagrun_timeout=timeout, default_args=retries, max_active_tasks=64):
        if not plan["is_mapped"]:
            make_group(plan)
            return

        @task_group
        def each(number):
            make_group(plan)

        each.expand(number=[1, 2])


wanted = get_parsing_context().dag_id
for one in PLAN:
    if wanted in (None, one["key"]):
        build(one)
