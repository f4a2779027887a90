"""Run a pipeline with a task for each of its steps: depend on one, read its values, and repair the run by clearing it.

On a laptop: ``sm-pipelines local exec -- airflow dags test steps_as_tasks``. Repairs need a running Airflow.
"""

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerPipelineTaskGroup

with DAG(
    "steps_as_tasks",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"Score": Param(0.9, type="number", description="Below 0.5, the pipeline's Fail step ends the execution")},
):
    gate = SageMakerPipelineTaskGroup(
        "gate",
        pipeline="pipelines/gate/definition.json",
        pipeline_name="gate-by-steps",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        shape="pipelines/gate/shape.json",  # written by `sm-pipelines shape`
        parameters={"Score": "{{ params.Score }}"},
        outputs={"passed": "Steps.Check.Outcome"},
    )

    @task
    def tell(outcome: str) -> str:
        """Say how a step has ended; this does not wait for the rest of the execution."""
        return f"The check is {outcome}"

    @task
    def report(passed: str) -> str:
        """Say what came of the whole run."""
        return f"Passed: {passed}"

    tell(gate.steps["Check"].output["outcome"])
    report(gate.output["passed"])
