"""Send numbers, lists and long lists from a Lambda function to jobs, conditions and XComs.

On AWS, set the Airflow variables ``sagemaker_role_arn`` and ``lambda_role_name``; both need the pipeline's bucket.
On a laptop: ``sm-pipelines local exec -- airflow dags test data_between_steps``.
"""

from pathlib import Path

from airflow.sdk import DAG, Param, task
from lambda_functions import put_function

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator, step_values

FOLDER = Path(__file__).parent / "pipelines" / "data_between_steps"

with DAG(
    "data_between_steps",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={
        "Count": Param(40, type="integer", minimum=1, section="Pipeline", description="Items of the long list"),
        "Limit": Param(100, type="integer", section="Pipeline", description="With more, the pipeline fails"),
    },
):
    function = put_function(
        "give-values",
        files={"handler.py": str(FOLDER / "handler.py"), "step_values.py": step_values.__file__},
        handler="handler.give",
        role_name="{{ var.value.get('lambda_role_name', 'LambdaExecution') }}",
    )
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/data_between_steps/pipeline.py:get_pipeline",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        config={"function_arn": function["arn"]},
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"Count": "{{ params.Count }}", "Limit": "{{ params.Limit }}"},
        outputs={
            "count": "Steps.Give.OutputParameters['count']",
            "long": "Steps.Give.OutputParameters['long']",  # JSON, or an address in S3
            "taken": {"property_file": "Steps.Take.PropertyFiles.Taken", "path": "long.size"},
        },
    )

    @task
    def read_values(long: str) -> list[str]:
        """Give the labels in the long list, wherever it is."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return [item["label"] for item in step_values.load_value(long, s3_client=S3Hook().conn)]

    read_values(run.output["long"])
