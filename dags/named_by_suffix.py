"""Deploy each run's pipeline under a name of its own, ``<team>-gate-<timestamp>``, and delete all but the newest.

For teams that version by name, as AWS's guide does; ``promote_pipeline`` does it with versions and aliases instead.
On a laptop: ``sm-pipelines local exec -- airflow dags test named_by_suffix``.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import (
    SageMakerDeployPipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRunPipelineOperator,
)

with DAG(
    "named_by_suffix",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"team": Param("forecasting", type="string", pattern="^[a-z0-9-]+$", description="Begins the name")},
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/gate/definition.json",
        pipeline_name="{{ params.team }}-gate-{{ dag_run.run_after | ts_nodash }}",  # the same for every try of a run
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        parameters={"Score": 0.9},
    )
    prune = SageMakerPrunePipelinesOperator(task_id="prune", prefix="{{ params.team }}-gate", keep=3)
    run >> prune
