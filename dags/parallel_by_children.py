"""Start a child pipeline per item from a Lambda function, as AWS's guide does; then wait for all, and gather.

The parent ends when the children are started. Here Airflow waits for each, so that a child that fails is seen.
On AWS, the function's role needs ``sagemaker:StartPipelineExecution`` and the pipeline's bucket.
On a laptop: ``sm-pipelines local exec -- airflow dags test parallel_by_children``.
"""

import json
from pathlib import Path

from airflow.sdk import DAG, Param, task
from lambda_functions import put_function

from airflow_sm_pipelines import (
    SageMakerDeployPipelineOperator,
    SageMakerPipelineExecutionSensor,
    SageMakerRunPipelineOperator,
    step_values,
)

FOLDER = Path(__file__).parent / "pipelines" / "parallel_children"
ROLE = "{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}"
ITEMS = [
    {"name": "north", "values": [3, 4, 5]},
    {"name": "south", "values": [8, 1, 9]},
    {"name": "west", "values": [6, 6, 7]},
]

with DAG(
    "parallel_by_children",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"items": Param(ITEMS, type="array", minItems=1)},
):
    child = SageMakerDeployPipelineOperator(
        task_id="deploy_child",
        pipeline="pipelines/parallel_parts/pipeline.py:get_pipeline",
        pipeline_name="parallel-child",
        role_arn=ROLE,
    )
    function = put_function(
        "start-children",
        files={"handler.py": str(FOLDER / "handler.py"), "step_values.py": step_values.__file__},
        handler="handler.start_children",
        role_name="{{ var.value.get('lambda_role_name', 'LambdaExecution') }}",
    )
    parent = SageMakerDeployPipelineOperator(
        task_id="deploy_parent",
        pipeline="pipelines/parallel_children/pipeline.py:get_pipeline",
        role_arn=ROLE,
        config={"function_arn": function["arn"], "child": child.output["pipeline_name"]},
    )
    start = SageMakerRunPipelineOperator(
        task_id="start",
        pipeline_name=parent.output["pipeline_name"],
        version=parent.output["pipeline_version_id"],
        parameters={"Items": "{{ params['items'] | tojson }}"},
        outputs={"executions": "Steps.StartChildren.OutputParameters['executions']"},
    )

    @task
    def read_executions(executions: str) -> list[str]:
        """Give the children's ARNs, which may be too long for an output and lie in S3."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return step_values.load_value(executions, s3_client=S3Hook().conn)

    children = SageMakerPipelineExecutionSensor.partial(
        task_id="child", deferrable=True, poke_interval=5, timeout=3600
    ).expand(execution_arn=read_executions(start.output["executions"]))

    @task
    def gather(ended: list[dict]) -> list[dict]:
        """Give the scores of all children."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook
        from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

        client, found = SageMakerHook().conn, []
        for child in ended:
            arn = child["pipeline_execution_arn"]
            steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)
            name = steps["PipelineExecutionSteps"][0]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
            job = client.describe_processing_job(ProcessingJobName=name)
            bucket, prefix = S3Hook.parse_s3_url(job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"])
            for key in S3Hook().list_keys(bucket, prefix=f"{prefix}/"):
                found.append(
                    {**json.loads(S3Hook().read_key(key, bucket)), "execution": child["pipeline_execution_arn"]}
                )
        return found

    gather(children.output)
