"""Run a pipeline, then only part of it again with another parameter: the rest is taken from the first execution.

On a laptop: ``sm-pipelines local exec -- airflow dags test rerun_from_step``.
"""

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG("rerun_from_step", schedule=None, doc_md=__doc__, tags=["sagemaker"]):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/gate/definition.json",
        pipeline_name="gate-rerun",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    whole = SageMakerRunPipelineOperator(task_id="whole", pipeline_name=deploy.output["pipeline_name"])
    part = SageMakerRunPipelineOperator(
        task_id="part",
        pipeline_name=deploy.output["pipeline_name"],
        from_step="Check",
        source_execution_arn=whole.output["pipeline_execution_arn"],
        parameters={"Score": 0.6},
    )
