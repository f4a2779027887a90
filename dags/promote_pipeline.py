"""Deploy a new version under ``staging``, run it, and give it the alias ``prod`` if it succeeded.

Other DAGs start ``version="prod"`` and need no change. ``sm-pipelines rollback gate-release prod`` takes it back.
On a laptop: ``sm-pipelines local exec -- airflow dags test promote_pipeline``.
"""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_sm_pipelines import (
    SageMakerDeployPipelineOperator,
    SageMakerPromotePipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRunPipelineOperator,
    pipeline_params,
)

with DAG(
    "promote_pipeline",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params=pipeline_params("pipelines/gate/definition.json", section="Pipeline"),
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/gate/definition.json",
        pipeline_name="gate-release",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        aliases=["staging"],
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        version="staging",
        parameters={"Score": "{{ params.Score }}", "Threshold": "{{ params.Threshold }}"},
        on_retry="fail",
    )
    promote = SageMakerPromotePipelineOperator(
        task_id="promote",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        alias="prod",
    )
    prune = SageMakerPrunePipelinesOperator(
        task_id="prune", prefix="gate-release", keep=5, older_than=timedelta(days=30)
    )
    run >> promote >> prune
