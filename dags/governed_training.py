"""Deploy under a team's policy with its defaults filled in, tag every job for the bill, and report what the run cost.

On a laptop: ``sm-pipelines local exec -- airflow dags test governed_training``.
"""

from airflow.sdk import DAG, chain

from airflow_sm_pipelines import (
    COST_PARAMETERS,
    SageMakerDeployPipelineOperator,
    SageMakerPipelineCostOperator,
    SageMakerRunPipelineOperator,
)

with DAG("governed_training", schedule=None, doc_md=__doc__, tags=["sagemaker"]):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/diabetes/pipeline_v2.py:get_pipeline",
        pipeline_name="diabetes-governed",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        policy_file="policies/team.toml",
        policy="apply",  # "enforce" would refuse: the script has no network, no keys, no tags
        cost_tags={"project": "diabetes"},
    )
    train = SageMakerRunPipelineOperator(
        task_id="train",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={**COST_PARAMETERS, "NumRound": 20},
        policy_file="policies/team.toml",  # holds this start's parameters to it as well
        deferrable=True,
    )
    cost = SageMakerPipelineCostOperator(
        task_id="cost",
        execution_arn=train.output["pipeline_execution_arn"],
        prices="policies/prices.toml",  # without it, AWS's public price list is asked
    )
    chain(deploy, train, cost)
