"""The truth table of waiting, in a real Airflow: every status, each policy, synchronous and deferred."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

CASES = [
    # statuses, policy arguments, expected state of the task
    ("succeeded", ["Executing", "Succeeded"], {}, "success"),
    ("failed", ["Executing", "Failed"], {}, "failed"),
    ("failed-lenient", ["Failed"], {"on_stopped": "succeed", "on_completed_with_failures": "succeed"}, "failed"),
    ("stopped", ["Stopping", "Stopped"], {}, "failed"),
    ("stopped-ok", ["Stopping", "Stopped"], {"on_stopped": "succeed"}, "success"),
    ("stopped-skip", ["Stopping", "Stopped"], {"on_stopped": "skip"}, "skipped"),
    ("partial", ["Executing", "CompletedWithFailures"], {}, "failed"),
    ("partial-ok", ["CompletedWithFailures"], {"on_completed_with_failures": "succeed"}, "success"),
    ("partial-skip", ["CompletedWithFailures"], {"on_completed_with_failures": "skip"}, "skipped"),
    ("unknown-word", ["Hibernating", "Succeeded"], {}, "success"),
]

DAG_FILE = """
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerRunPipelineOperator

CASES = {cases!r}

with DAG("truth", schedule=None):
    for name, policy in CASES:
        for deferrable in (False, True):
            SageMakerRunPipelineOperator(
                task_id=f"{{name}}-{{'deferred' if deferrable else 'sync'}}",
                pipeline_name=name,
                deferrable=deferrable,
                outputs={{"rmse": {{"property_file": "Steps.Evaluate.PropertyFiles.Metrics", "path": "rmse"}}}},
                **policy,
            )
"""


def test_every_status_means_what_the_author_chose_both_ways(fake: FakeSageMaker, dag_runner: DagRunner) -> None:
    fake.objects["bucket/out/evaluation.json"] = b'{"rmse": 4.5}'
    fake.log_lines = ["line one", "Traceback: no such column"]
    for name, statuses, _, _ in CASES:
        steps = FAILED_STEPS if statuses[-1] in ("Failed", "CompletedWithFailures") else SUCCEEDED_STEPS
        fake.add_pipeline(name)
        fake.by_pipeline[name] = (statuses, steps, "Step failure: One or multiple steps failed")
    dag_runner.write("truth.py", DAG_FILE.format(cases=[(name, policy) for name, _, policy, _ in CASES]))

    result = dag_runner.test("truth")

    expected = {f"{name}-{mode}": state for (name, _, _, state), mode in product(CASES, ("sync", "deferred"))}
    assert result.states == expected, result.output[-5000:]
    for name, statuses, _, state in CASES:
        (sync, deferred) = (result.xcoms.get((f"{name}-{mode}", "status")) for mode in ("sync", "deferred"))
        assert sync == deferred == statuses[-1]
        assert len(fake.executions_of(name)) == 2
        if state == "success":
            value = result.xcom(f"{name}-deferred")
            assert value["rmse"] == result.xcom(f"{name}-deferred", "rmse") == 4.5
            assert value["pipeline_execution_arn"] in [one.arn for one in fake.executions_of(name)]
            assert [step["name"] for step in value["steps"]] == ["Train", "Evaluate"]
    assert "Step 'Evaluate' (Processing) Failed after 3.0 s: AlgorithmError: exit code 3" in result.output
    assert "Traceback: no such column" in result.output
    assert "does not know the execution status 'Hibernating'" in result.output
