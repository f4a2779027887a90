"""Exactly one execution, whatever dies: a whole Airflow, workers killed with SIGKILL, real clears and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_fakes import SUCCEEDED_STEPS, aws_environment
from tests.system.cluster import AirflowCluster
from tests.system.databases import find_postgres

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_fakes import FakeSageMaker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_postgres() is not None, reason="the sample of faults on PostgreSQL does the same and more"),
]

DAG_FILE = '''
import os
import signal
from datetime import timedelta

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerRunPipelineOperator


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class MortalOperator(SageMakerRunPipelineOperator):
    """Its first attempt is killed at one point."""

    def __init__(self, *, dies, **kwargs):
        super().__init__(**kwargs)
        self.dies = dies
        self.attempt = 0

    def execute(self, context):
        self.attempt = context["ti"].try_number
        return super().execute(context)

    def execute_complete(self, context, event=None, **kwargs):
        if self.dies == "on return" and context["ti"].try_number == 1:
            die()
        return super().execute_complete(context, event, **kwargs)

    def make_hook(self):
        hook = super().make_hook()
        if self.attempt != 1:
            return hook
        start, report = hook.start_execution, hook.describe_report

        def start_execution(request, *, token):
            if self.dies == "before the call":
                die()
            arn = start(request, token=token)
            if self.dies == "after the call":
                die()
            return arn

        def describe_report(arn):
            found = report(arn)
            if self.dies == "while waiting":
                die()
            return found

        hook.start_execution, hook.describe_report = start_execution, describe_report
        return hook


with DAG("mortal", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}):
    for point in ("before the call", "after the call", "while waiting", "on return"):
        for deferrable in (False, True):
            name = point.replace(" ", "-") + ("-deferred" if deferrable else "-sync")
            MortalOperator(task_id=name, pipeline_name=name, dies=point, deferrable=deferrable, waiter_delay=1)
    for name in ("marked", "cleared"):
        SageMakerRunPipelineOperator(task_id=name, pipeline_name=name, deferrable=True, waiter_delay=1, retries=0)
    for name in ("marked-sync", "cleared-sync", "timed-out"):
        SageMakerRunPipelineOperator(
            task_id=name,
            pipeline_name=name,
            deferrable=False,
            waiter_delay=1,
            retries=0,
            execution_timeout=timedelta(seconds=40) if name == "timed-out" else None,
        )
    SageMakerRunPipelineOperator.partial(task_id="mapped", pipeline_name="mapped", waiter_delay=1).expand(
        parameters=[{"MaxDepth": depth} for depth in (1, 2, 3)]
    )
'''
POINTS = ("before-the-call", "after-the-call", "while-waiting", "on-return")
BY_HAND = ("marked", "cleared", "marked-sync", "cleared-sync", "timed-out")
MORTAL = [f"{point}-{mode}" for point in POINTS for mode in ("sync", "deferred")]


def test_one_intention_starts_one_execution(endpoint: tuple[FakeSageMaker, str], tmp_path: Path) -> None:
    fake, url = endpoint
    for name in (*MORTAL, *BY_HAND, "mapped"):
        fake.add_pipeline(name)
    fake.statuses = ["Executing", "Executing", "Succeeded"]
    for name in BY_HAND:
        fake.by_pipeline[name] = (["Executing"], SUCCEEDED_STEPS, None)
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "mortal.py").write_text(DAG_FILE)

    with AirflowCluster(tmp_path / "home", dags=dags, environment=aws_environment(url)) as cluster:
        run_id = cluster.trigger("mortal", {})
        path = f"/dags/mortal/dagRuns/{run_id}/taskInstances"

        def states() -> dict[str, str]:
            instances = cluster.call("GET", f"{path}?limit=100")["task_instances"]
            return {f"{one['task_id']}{max(one['map_index'], -1)}": one["state"] for one in instances}

        def state_of(task_id: str) -> Any:
            return states().get(f"{task_id}-1")

        cluster.wait_for(
            lambda: state_of("marked") == state_of("cleared") == "deferred", "both to defer", timeout_seconds=240
        )
        links = cluster.call("GET", f"{path}/marked/links")["extra_links"]
        assert set(links.values()) == {None}, "no link may lead nowhere"

        cluster.wait_for(
            lambda: (
                state_of("marked-sync") == state_of("cleared-sync") == "running"
                and all(fake.executions_of(name) for name in ("marked-sync", "cleared-sync"))
            ),
            "every execution to start",
            timeout_seconds=240,
        )

        # Marked failed by hand: the trigger, or the worker, stops the execution.
        (marked,) = fake.executions_of("marked")
        cluster.wait_for(lambda: marked.arn in str(fake.calls), "the trigger to look", timeout_seconds=60)
        for name in ("marked", "marked-sync"):
            cluster.call("PATCH", f"{path}/{name}", {"new_state": "failed"})
            (execution,) = fake.executions_of(name)
            cluster.wait_for(lambda one=execution: one.stops, f"the execution of {name} to stop", timeout_seconds=90)

        # Cleared by hand: the old execution is stopped, and the next attempt starts another.
        for name in ("cleared", "cleared-sync"):
            fake.by_pipeline[name] = (["Executing", "Succeeded"], SUCCEEDED_STEPS, None)
        cluster.call(
            "POST",
            "/dags/mortal/clearTaskInstances",
            {
                "dry_run": False,
                "dag_run_id": run_id,
                "task_ids": ["cleared", "cleared-sync"],
                "only_failed": False,
                "only_running": False,
            },
        )

        def is_over() -> bool:
            now = states()
            return all(state in ("success", "failed") for state in now.values()) and len(now) == len(MORTAL) + 8

        cluster.wait_for(is_over, "the run to end", timeout_seconds=300)
        final = states()
        tries = {
            one["task_id"]: one["try_number"] for one in cluster.call("GET", f"{path}?limit=100")["task_instances"]
        }

    assert {name: final[f"{name}-1"] for name in MORTAL} == dict.fromkeys(MORTAL, "success")
    started = {name: len(fake.executions_of(name)) for name in MORTAL}
    assert started == dict.fromkeys(MORTAL, 1)
    killed = [name for name in MORTAL if tries[name] == 2]
    # A synchronous task never returns from a deferral, and a deferred one waits in the triggerer.
    assert set(MORTAL) - set(killed) == {"on-return-sync", "while-waiting-deferred"}
    for name in ("cleared", "cleared-sync"):
        first, second = fake.executions_of(name)
        assert (len(first.stops), len(second.stops)) == (1, 0), name
        assert final[f"{name}-1"] == "success"
    for name in ("marked", "marked-sync", "timed-out"):
        (execution,) = fake.executions_of(name)
        assert len(execution.stops) == 1, name
        assert final[f"{name}-1"] == "failed"
    assert len(fake.executions_of("mapped")) == 3
    assert [final[f"mapped{index}"] for index in range(3)] == ["success"] * 3
