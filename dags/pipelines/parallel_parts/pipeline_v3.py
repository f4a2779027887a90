# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""`pipeline.py` for the SageMaker Python SDK v3."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import Pipeline, ProcessingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(sagemaker_session: PipelineSession, role: str, region: str, pipeline_name: str) -> Pipeline:
    items = ParameterString("Items")  # a JSON list; a job's argument has at most 256 characters
    hosts = ParameterInteger("Hosts", default_value=1)
    bucket = sagemaker_session.default_bucket()
    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", region, version="1.2-1"),
        command=["python3"],
        role=role,
        instance_type="ml.m5.large",
        instance_count=hosts,
        sagemaker_session=sagemaker_session,
    )
    score = ProcessingStep(
        "Score",
        step_args=processor.run(
            code=str(STEPS / "score.py"),
            arguments=[items],
            outputs=[
                ProcessingOutput(
                    output_name="scores",
                    s3_output=ProcessingS3Output(
                        s3_uri=Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID]),
                        local_path="/opt/ml/processing/scores",
                        s3_upload_mode="EndOfJob",
                    ),
                )
            ],
        ),
    )
    return Pipeline(name=pipeline_name, parameters=[items, hosts], steps=[score], sagemaker_session=sagemaker_session)
