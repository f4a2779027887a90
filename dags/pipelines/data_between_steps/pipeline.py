# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Send values from step to step: numbers, lists, a list that is too long for its way, and values of a property file."""

from pathlib import Path

from sagemaker.lambda_helper import Lambda
from sagemaker.processing import FrameworkProcessor, ProcessingOutput
from sagemaker.sklearn import SKLearn
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import ProcessingStep

STEPS = str(Path(__file__).parent / "steps")  # holds step_values.py, a copy of airflow_sm_pipelines/step_values.py


def get_pipeline(
    sagemaker_session: PipelineSession, role: str, function_arn: str, pipeline_name: str = "data-between-steps"
) -> Pipeline:
    count = ParameterInteger("Count", default_value=40)
    limit = ParameterInteger("Limit", default_value=100)
    bucket = sagemaker_session.default_bucket()
    place = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])
    processor = FrameworkProcessor(
        SKLearn, "1.2-1", role, 1, "ml.m5.large", command=["python3"], sagemaker_session=sagemaker_session
    )

    def output(name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name, source=f"/opt/ml/processing/{name}", destination=Join("/", [place, name])
        )

    give = LambdaStep(
        "Give",
        lambda_func=Lambda(function_arn=function_arn),
        inputs={"count": count, "place": place},
        outputs=[
            LambdaOutput("count", LambdaOutputTypeEnum.Integer),
            LambdaOutput("short", LambdaOutputTypeEnum.String),
            LambdaOutput("long", LambdaOutputTypeEnum.String),
            LambdaOutput("python", LambdaOutputTypeEnum.String),
        ],
    )
    given = give.properties.Outputs
    taken = PropertyFile(name="Taken", output_name="taken", path="taken.json")
    take = ProcessingStep(
        "Take",
        step_args=processor.run(
            code="take.py",
            source_dir=STEPS,
            arguments=[given["count"].to_string(), given["short"], given["long"], given["python"]],
            outputs=[output("taken")],
        ),
        property_files=[taken],
    )
    size = JsonGet(step_name="Take", property_file=taken, json_path="long.size")
    note = ProcessingStep(
        "Note",
        step_args=processor.run(
            code="note.py",
            source_dir=STEPS,
            # Of a property file, a number becomes a text by Join.
            arguments=["--size", Join("", [size])],
            outputs=[output("note")],
        ),
    )
    check = ConditionStep(
        "IsShortEnough",
        conditions=[ConditionLessThanOrEqualTo(left=size, right=limit)],
        if_steps=[note],
        else_steps=[FailStep("TooLong", error_message=Join(" ", ["The list has", size, "items"]))],
    )
    return Pipeline(
        name=pipeline_name, parameters=[count, limit], steps=[give, take, check], sagemaker_session=sagemaker_session
    )
