# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""The parent: a Lambda function starts a child pipeline for each item, as in AWS's guide, and nobody waits here."""

from sagemaker.lambda_helper import Lambda
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.functions import Join
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession


def get_pipeline(
    sagemaker_session: PipelineSession, function_arn: str, child: str, pipeline_name: str = "parallel-children"
) -> Pipeline:
    items = ParameterString("Items")  # a JSON list, or the address of one in S3
    bucket = sagemaker_session.default_bucket()
    start = LambdaStep(
        "StartChildren",
        lambda_func=Lambda(function_arn=function_arn),
        inputs={
            "items": items,
            "child": child,
            "parent": ExecutionVariables.PIPELINE_EXECUTION_ARN,
            "place": Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID]),
        },
        outputs=[
            LambdaOutput("count", LambdaOutputTypeEnum.Integer),
            LambdaOutput("executions", LambdaOutputTypeEnum.String),
        ],
    )
    return Pipeline(name=pipeline_name, parameters=[items], steps=[start], sagemaker_session=sagemaker_session)
