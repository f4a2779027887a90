# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""`pipeline.py` for the SageMaker Python SDK v3, with an MLflow experiment beside SageMaker's."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import MlflowConfig, ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import Pipeline, PipelineExperimentConfig, ProcessingStep

STEPS = Path(__file__).parent / "steps"
SERVER = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/team"


def get_pipeline(
    sagemaker_session: PipelineSession, role: str, region: str, pipeline_name: str = "experiment-per-run-v3"
) -> Pipeline:
    prefix = ParameterString("Prefix", default_value="adhoc")
    server = ParameterString("MlflowServer", default_value=SERVER)
    execution = ExecutionVariables.PIPELINE_EXECUTION_ID
    # Of a parameter, Python has no value here, so an f-string would be wrong: Join is resolved when the pipeline runs.
    place = Join("/", ["s3:/", sagemaker_session.default_bucket(), pipeline_name, prefix, execution, "report"])
    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", region, version="1.2-1"),
        command=["python3"],
        role=role,
        instance_type="ml.m5.large",
        instance_count=1,
        sagemaker_session=sagemaker_session,
    )
    report = ProcessingStep(
        "Report",
        step_args=processor.run(
            code=str(STEPS / "report.py"),
            arguments=[execution, ExecutionVariables.START_DATETIME],
            outputs=[
                ProcessingOutput(
                    output_name="report",
                    s3_output=ProcessingS3Output(
                        s3_uri=place, local_path="/opt/ml/processing/report", s3_upload_mode="EndOfJob"
                    ),
                )
            ],
        ),
    )
    experiment = Join("-", ["diabetes", prefix])
    return Pipeline(
        name=pipeline_name,
        parameters=[prefix, server],
        pipeline_experiment_config=PipelineExperimentConfig(experiment, Join("-", ["run", execution])),
        mlflow_config=MlflowConfig(mlflow_resource_arn=server, mlflow_experiment_name=experiment),
        steps=[report],
        sagemaker_session=sagemaker_session,
    )
