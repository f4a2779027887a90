# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""`pipeline.py` for the SageMaker Python SDK v3."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import ConditionStep, FailStep, LambdaOutput, LambdaStep, Pipeline, ProcessingStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutputTypeEnum

STEPS = Path(__file__).parent / "steps"


def get_pipeline(
    sagemaker_session: PipelineSession,
    role: str,
    region: str,
    function_arn: str,
    pipeline_name: str = "lambda-step-v3",
) -> Pipeline:
    candidates = ParameterInteger("Candidates", default_value=3)
    min_rows = ParameterInteger("MinRows", default_value=100)
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])
    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", region, version="1.2-1"),
        command=["python3"],
        role=role,
        instance_type="ml.m5.large",
        instance_count=1,
        sagemaker_session=sagemaker_session,
    )

    def output(name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=Join("/", [output_path, name]),
                local_path=f"/opt/ml/processing/{name}",
                s3_upload_mode="EndOfJob",
            ),
        )

    profile = PropertyFile(name="Profile", output_name="profile", path="profile.json")
    measure = ProcessingStep(
        "Measure",
        step_args=processor.run(code=str(STEPS / "measure.py"), outputs=[output("profile")]),
        property_files=[profile],
    )
    # A value of a property file: in a condition, and as an input of a step.
    rows = JsonGet(step_name="Measure", property_file=profile, json_path="target.rows")
    mean = JsonGet(step_name="Measure", property_file=profile, json_path="target.mean")

    choose = LambdaStep(
        "Choose",
        lambda_func=Lambda(function_arn=function_arn),
        inputs={"rows": rows, "mean": mean, "candidates": candidates},
        outputs=[
            LambdaOutput("folds", LambdaOutputTypeEnum.Integer),
            LambdaOutput("test_share", LambdaOutputTypeEnum.Float),
            LambdaOutput("shuffle", LambdaOutputTypeEnum.Boolean),
            LambdaOutput("candidates", LambdaOutputTypeEnum.String),  # a list, as JSON text
        ],
    )
    chosen = choose.properties.Outputs

    result = PropertyFile(name="Result", output_name="result", path="result.json")
    compare = ProcessingStep(
        "Compare",
        step_args=processor.run(
            code=str(STEPS / "compare.py"),
            # A job's arguments are texts: Join makes one of any value.
            arguments=[
                "--rows",
                Join("", [rows]),
                "--folds",
                chosen["folds"].to_string(),
                "--test-share",
                chosen["test_share"].to_string(),
                "--shuffle",
                chosen["shuffle"].to_string(),
                "--candidates",
                chosen["candidates"],
            ],
            outputs=[output("result")],
        ),
        property_files=[result],
    )
    check = ConditionStep(
        "IsEnough",
        conditions=[ConditionGreaterThanOrEqualTo(left=rows, right=min_rows)],
        if_steps=[choose, compare],
        else_steps=[FailStep("TooFew", error_message=Join(" ", ["Too few rows:", rows]))],
    )
    return Pipeline(
        name=pipeline_name,
        parameters=[candidates, min_rows],
        steps=[measure, check],
        sagemaker_session=sagemaker_session,
    )
