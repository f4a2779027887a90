"""Let a Lambda function decide within a pipeline, pass values between it and the jobs, and read them as XComs.

On AWS, set the Airflow variables ``sagemaker_role_arn`` and ``lambda_role_name`` (a role that Lambda may assume).
On a laptop: ``sm-pipelines local exec -- airflow dags test lambda_step``.
"""

from pathlib import Path

from airflow.sdk import DAG, Param, task

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

    @task
    def put_function(role_name: str) -> dict[str, str]:
        """Make the function, or update it if its code has changed; give its ARN and what was done."""
        import base64
        import hashlib
        import io
        import zipfile

        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from airflow.providers.amazon.aws.hooks.lambda_function import LambdaHook

        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            # ZipInfo has a fixed date, so unchanged code gives unchanged bytes.
            archive.writestr(zipfile.ZipInfo("handler.py"), (FOLDER / "handler.py").read_bytes())
        code = packed.getvalue()
        client = LambdaHook().conn
        try:
            there = client.get_function(FunctionName="choose-candidates")["Configuration"]
        except client.exceptions.ResourceNotFoundException:
            role = AwsBaseHook(client_type="iam").conn.get_role(RoleName=role_name)["Role"]
            made = client.create_function(
                FunctionName="choose-candidates",
                Runtime="python3.12",
                Handler="handler.choose",
                Role=role["Arn"],
                Code={"ZipFile": code},
                Timeout=60,
            )
            client.get_waiter("function_active_v2").wait(FunctionName="choose-candidates")
            return {"arn": made["FunctionArn"], "action": "created"}
        if there["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode():
            return {"arn": there["FunctionArn"], "action": "unchanged"}
        client.update_function_code(FunctionName="choose-candidates", ZipFile=code)
        client.get_waiter("function_updated_v2").wait(FunctionName="choose-candidates")
        return {"arn": there["FunctionArn"], "action": "updated"}

    function = put_function("{{ var.value.get('lambda_role_name', 'LambdaExecution') }}")
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline="pipelines/lambda_step/pipeline.py:get_pipeline",
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
