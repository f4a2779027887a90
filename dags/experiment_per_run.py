"""Give every run a trial of an experiment, and a place for its output, by names that are made when it runs.

On a laptop: ``sm-pipelines local exec -- airflow dags test experiment_per_run``.
"""

from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

with DAG(
    "experiment_per_run",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={"Prefix": Param("adhoc", type="string", section="Pipeline", description="In the experiment's name")},
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/experiment_per_run/pipeline.py:get_pipeline",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"Prefix": "{{ params.Prefix }}"},
        outputs={"report_uri": "Steps.Report.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri"},
    )

    @task
    def find_trial(execution_arn: str) -> dict[str, str]:
        """Give the names of the run's experiment and trial."""
        from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

        client = SageMakerHook().conn
        names = client.describe_pipeline_execution(PipelineExecutionArn=execution_arn)["PipelineExperimentConfig"]
        return {"experiment": names["ExperimentName"], "trial": names["TrialName"]}

    find_trial(run.output["pipeline_execution_arn"])
