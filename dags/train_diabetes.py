"""Train a model of diabetes progression with SageMaker Pipelines, and decide on its error.

On AWS, set the Airflow variable ``sagemaker_role_arn``. On a laptop nothing changes:
``sm-pipelines local exec -- airflow dags test train_diabetes``.
"""

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG(
    "train_diabetes",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={
        "sdk": Param("v2", enum=["v2", "v3"], description="The SageMaker SDK that the pipeline is written in"),
        "MaxDepth": Param(2, type="integer", minimum=1, maximum=10, section="Pipeline"),
        "NumRound": Param(60, type="integer", minimum=1, section="Pipeline"),
        "RmseThreshold": Param(70, type="number", section="Pipeline", description="Above it, no model is registered"),
    },
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/diabetes/pipeline_{{ params.sdk }}.py:get_pipeline",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        aliases=["staging"],
    )
    train = SageMakerRunPipelineOperator(
        task_id="train",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={name: f"{{{{ params.{name} }}}}" for name in ("MaxDepth", "NumRound", "RmseThreshold")},
        outputs={
            "model": "Steps.Train.ModelArtifacts.S3ModelArtifacts",
            # SDK v2 adds to the step's name what the step does.
            "model_package": "Steps.Register{{ '-RegisterModel' if params.sdk == 'v2' else '' }}.ModelPackageArn",
            "rmse": {"property_file": "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"},
        },
        deferrable=True,
        progress_delay=10,  # steps in the log and in the XCom `steps` while it is deferred
        stream_logs=True,  # the jobs' own lines in the task's log
    )

    @task
    def decide(rmse: float, model_package: str, params: dict[str, float]) -> str:
        """Approve a model that is well under the threshold; leave the others to a person."""
        decision = "approve" if rmse <= 0.95 * params["RmseThreshold"] else "ask a person"
        print(f"RMSE {rmse:.2f}, at most {params['RmseThreshold']}: {decision} ({model_package})")
        return decision

    decide(train.output["rmse"], train.output["model_package"])
