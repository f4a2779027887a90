"""Deploy and run a script that is written for the SDK's local mode: a `LocalPipelineSession`, and no word of Airflow.

For a laptop only, since a pipeline that says ``local`` is refused where AWS is meant:
``sm-pipelines local exec -- airflow dags test local_mode``.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG(
    "local_mode",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={
        "sdk": Param("v2", enum=["v2", "v3"], description="The SageMaker SDK that the pipeline is written in"),
        "Rows": Param(40, type="integer", minimum=10, section="Pipeline", description="How much of the data to take"),
    },
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/local_mode/pipeline_{{ params.sdk }}.py:get_pipeline",
        role_arn="arn:aws:iam::123456789012:role/SageMakerExecution",
    )
    SageMakerRunPipelineOperator(
        task_id="train",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"Rows": "{{ params.Rows }}"},
        outputs={
            "data": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri",
            "model": "Steps.Train.ModelArtifacts.S3ModelArtifacts",
        },
    )
