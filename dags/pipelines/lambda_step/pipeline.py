# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Measure data, let a Lambda function choose what to try, and try it: values of every kind go from step to step."""

from pathlib import Path

from sagemaker.lambda_helper import Lambda
from sagemaker.processing import ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import ProcessingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(
    sagemaker_session: PipelineSession, role: str, function_arn: str, pipeline_name: str = "lambda-step"
) -> Pipeline:
    candidates = ParameterInteger("Candidates", default_value=3)
    min_rows = ParameterInteger("MinRows", default_value=100)
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])
    processor = SKLearnProcessor(
        "1.2-1", role, instance_type="ml.m5.large", instance_count=1, sagemaker_session=sagemaker_session
    )

    def output(name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name, source=f"/opt/ml/processing/{name}", destination=Join("/", [output_path, name])
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
