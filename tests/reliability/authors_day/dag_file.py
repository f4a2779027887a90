"""The DAG file of an author's day (``authors_day``): a DAG for each row. Copied into the DAGs folder, never imported.

The operators are the package's own, unchanged. A pipeline is called as its DAG, with dashes.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, get_current_context, task, task_group

from airflow_sm_pipelines import SageMakerPipelineExecutionSensor, SageMakerRunPipelineOperator

FLAGS = Path("FLAGS")
NOW = pendulum.parse("NOW")
TASK = "{{ dag.dag_id | replace('_', '-') }}"


def train(task_id="train", **arguments):
    """The task that most rows are about: it waits in the triggerer, unless told otherwise."""
    return SageMakerRunPipelineOperator(
        **{
            "task_id": task_id,
            "pipeline_name": TASK,
            "deferrable": True,
            "waiter_delay": 1,
            "retries": 2,
            # A killed worker is some seconds in leaving; see dag_file.py.
            "retry_delay": timedelta(seconds=12),
            **arguments,
        }
    )


def dag(dag_id, **arguments):
    """A DAG that runs when it is told to, unless it is given a schedule."""
    return DAG(dag_id, **{"schedule": None, "max_active_tasks": 64, "catchup": False, **arguments})


for dag_id in ("other_cleared", "retry_and_clear", "repeated", "cleaned", "cleaned_values", "mark_run"):
    with dag(dag_id, max_active_runs=8):
        EmptyOperator(task_id="other")
        train()

with dag("downstream_cleared"):
    train() >> EmptyOperator(task_id="after")

days = {"schedule": "@daily", "start_date": NOW.start_of("day").subtract(days=3)}
year = {"start_date": pendulum.datetime(2024, 1, 1, tz="UTC"), "end_date": pendulum.datetime(2024, 3, 1, tz="UTC")}
with dag("backfilled", schedule="@daily", **year):
    train(parameters={"Day": "{{ ds }}"})
with dag("catching_up", **days, catchup=True):
    train(parameters={"Day": "{{ ds }}"})
with dag("on_the_past", **days, catchup=True):
    train(parameters={"Day": "{{ ds }}"}, depends_on_past=True, retries=0)

with dag("pool_full"):
    train(pool="narrow")
with dag("pool_blocker"):
    BashOperator(task_id="block", pool="narrow", bash_command=f"while [ ! -e {FLAGS / 'unblock'} ]; do sleep 1; done")
with dag("pool_counted"):
    for name in ("a", "b"):
        train(name, pool="counted", parameters={"Day": name})

with dag("long_upstream"):
    slow = BashOperator(task_id="slow", bash_command=f"[ ! -e {FLAGS / 'slow'} ] || sleep 45")
    slow >> train()

with dag("mapped_group"):

    @task_group
    def one(name):
        """Run a pipeline for one name, then tell its execution."""

        @task
        def tell():
            ti = get_current_context()["ti"]
            return ti.xcom_pull(task_ids="one.train", key="pipeline_execution_arn", map_indexes=ti.map_index)

        train(parameters={"Day": name}) >> tell()

    one.expand(name=["a", "b", "c"])

with dag("two_triggerers"):
    for number in range(6):
        train(f"train_{number}", parameters={"Day": str(number)})

with dag("links_and_values"):
    for name, is_deferred in (("sync", False), ("deferred", True)):
        train(
            name,
            deferrable=is_deferred,
            parameters={"Day": name},
            outputs={"rows": "Steps.Work.OutputParameters['rows']"},
        )

with dag("tasks_test"):
    train("sync", deferrable=False)
    train("deferred")

with dag(
    "marked", max_active_runs=4, params={"mark": Param("success", type="string"), "watched": Param("", type="string")}
):
    names = {"pipeline_name": "marked-{{ ti.task_id }}-{{ params.mark }}"}
    train("scheduled", pool="closed", **names)
    train("running", deferrable=False, **names)
    train("deferred", **names)
    train("retrying", retry_delay=timedelta(minutes=10), **names)
    train("succeeded", **names)
    train("failed", retries=0, **names)
    SageMakerPipelineExecutionSensor(
        task_id="sensor", execution_arn="{{ params.watched }}", mode="reschedule", poke_interval=600
    )
