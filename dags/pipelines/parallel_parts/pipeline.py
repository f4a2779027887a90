# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Score items in one processing job on any number of instances, each of which takes its part."""

from pathlib import Path

from sagemaker.processing import ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.functions import Join
from sagemaker.workflow.parameters import ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(sagemaker_session: PipelineSession, role: str, pipeline_name: str) -> Pipeline:
    items = ParameterString("Items")  # a JSON list; a job's argument has at most 256 characters
    hosts = ParameterInteger("Hosts", default_value=1)
    bucket = sagemaker_session.default_bucket()
    processor = SKLearnProcessor(
        "1.2-1", role, instance_type="ml.m5.large", instance_count=hosts, sagemaker_session=sagemaker_session
    )
    score = ProcessingStep(
        "Score",
        step_args=processor.run(
            code=str(STEPS / "score.py"),
            arguments=[items],
            outputs=[
                ProcessingOutput(
                    output_name="scores",
                    source="/opt/ml/processing/scores",
                    destination=Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID]),
                )
            ],
        ),
    )
    return Pipeline(name=pipeline_name, parameters=[items, hosts], steps=[score], sagemaker_session=sagemaker_session)
