"""Score a test set with batch transform, and read the scores where the transform step says they are.

On a laptop: ``sm-pipelines local exec -- airflow dags test batch_scoring``.
"""

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG(
    "batch_scoring",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"NumRound": Param(60, type="integer", minimum=1, section="Pipeline")},
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/batch_scoring/pipeline.py:get_pipeline",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    score = SageMakerRunPipelineOperator(
        task_id="score",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"NumRound": "{{ params.NumRound }}"},
        outputs={
            "model": "Steps.Model-CreateModel.ModelName",
            "scores": "Steps.Score.TransformOutput.S3OutputPath",
        },
        deferrable=True,
    )

    @task
    def measure(scores: str) -> float:
        """Give the mean absolute error of the scores: each line is the true value and the score."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        bucket, _, prefix = scores.removeprefix("s3://").partition("/")
        text = S3Hook().read_key(f"{prefix}/test.csv.out", bucket)
        errors = [abs(float(true) - float(score)) for true, score in (line.split(",") for line in text.splitlines())]
        print(f"{len(errors)} patients, mean absolute error {sum(errors) / len(errors):.1f}")
        return sum(errors) / len(errors)

    measure(score.output["scores"])
