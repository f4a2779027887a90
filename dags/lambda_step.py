"""Let a Lambda function decide within a pipeline, pass values between it and the jobs, and read them as XComs.

On AWS, set the Airflow variables ``sagemaker_role_arn`` and ``lambda_role_name`` (a role that Lambda may assume).
On a laptop: ``sm-pipelines local exec -- airflow dags test lambda_step``.
"""

from pathlib import Path

from airflow.sdk import DAG, Param
from lambda_functions import put_function

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

FOLDER = Path(__file__).parent / "pipelines" / "lambda_step"

with DAG(
    "lambda_step",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={
        "Candidates": Param(3, type="integer", minimum=1, section="Pipeline", description="Models to compare"),
        "MinRows": Param(100, type="integer", section="Pipeline", description="With fewer, the pipeline fails"),
    },
):
    function = put_function(
        "choose-candidates",
        files={"handler.py": str(FOLDER / "handler.py")},
        handler="handler.choose",
        role_name="{{ var.value.get('lambda_role_name', 'LambdaExecution') }}",
    )
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/lambda_step/pipeline.py:get_pipeline",  # or pipeline_v3.py
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
        config={"function_arn": function["arn"]},
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        version=deploy.output["pipeline_version_id"],
        parameters={"Candidates": "{{ params.Candidates }}", "MinRows": "{{ params.MinRows }}"},
        outputs={
            "folds": "Steps.Choose.OutputParameters['folds']",  # an int
            "test_share": "Steps.Choose.OutputParameters['test_share']",  # a float
            "shuffle": "Steps.Choose.OutputParameters['shuffle']",  # a bool
            "candidates": "Steps.Choose.OutputParameters['candidates']",  # JSON text
            "best": {"property_file": "Steps.Compare.PropertyFiles.Result", "path": "best.alpha"},
            "result": {"property_file": "Steps.Compare.PropertyFiles.Result", "path": "given"},
        },
    )
