"""Run a pipeline once per set of parameters, a few at a time, and gather what the runs gave.

Each run is a task and an execution of its own, with its own retries, logs and links.
On a laptop: ``sm-pipelines local exec -- airflow dags test parallel_by_mapping``.
"""

import json

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ITEMS = [
    {"name": "north", "values": [3, 4, 5]},
    {"name": "south", "values": [8, 1, 9]},
    {"name": "west", "values": [6, 6, 7]},
]

with DAG(
    "parallel_by_mapping",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"items": Param(ITEMS, type="array", minItems=1)},
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/parallel_parts/pipeline.py:get_pipeline",
        pipeline_name="parallel-by-mapping",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )

    @task
    def make_parameters(params: dict[str, list]) -> list[dict]:
        """Give the parameters of each run."""
        return [{"Items": json.dumps([item])} for item in params["items"]]

    score = SageMakerRunPipelineOperator.partial(
        task_id="score",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        outputs={"scores": "Steps.Score.ProcessingOutputConfig.Outputs['scores'].S3Output.S3Uri"},
        max_active_tis_per_dagrun=2,  # so many executions at once
        deferrable=True,
    ).expand(parameters=make_parameters())

    @task
    def gather(runs: list[dict]) -> list[dict]:
        """Give the scores of all runs."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        found = []
        for run in runs:
            bucket, prefix = S3Hook.parse_s3_url(run["scores"])
            for key in S3Hook().list_keys(bucket, prefix=f"{prefix}/"):
                found.append(json.loads(S3Hook().read_key(key, bucket)))
        return found

    gather(score.output)
