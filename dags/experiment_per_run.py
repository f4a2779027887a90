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
    params={
        "sdk": Param("v2", enum=["v2", "v3"], description="The SageMaker SDK; with v3, an MLflow experiment as well"),
        "Prefix": Param("adhoc", type="string", section="Pipeline", description="In the experiment's name"),
    },
):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/experiment_per_run/pipeline{{ '_v3' if params.sdk == 'v3' else '' }}.py:get_pipeline",
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
    def find_trial(execution_arn: str, ti=None) -> dict:
        """Give the names of the run's experiment and trial, the jobs in the trial, and where the run is shown."""
        from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

        client = SageMakerHook().conn
        execution = client.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
        names = execution["PipelineExperimentConfig"]
        jobs = client.list_trial_components(TrialName=names["TrialName"])["TrialComponentSummaries"]
        return {
            "experiment": names["ExperimentName"],
            "trial": names["TrialName"],
            "jobs": {job["DisplayName"]: job["TrialComponentName"] for job in jobs},
            "mlflow_experiment": execution.get("MLflowConfig", {}).get("MlflowExperimentName"),
            "link": ti.xcom_pull(task_ids="run", key="sagemaker_execution_link"),
        }

    find_trial(run.output["pipeline_execution_arn"])
