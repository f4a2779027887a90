# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Names that are known at run time only: of the output's place, of the experiment and of the trial."""

from pathlib import Path

from sagemaker.processing import ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.functions import Join
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.pipeline_experiment_config import PipelineExperimentConfig
from sagemaker.workflow.steps import ProcessingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(sagemaker_session: PipelineSession, role: str, pipeline_name: str = "experiment-per-run") -> Pipeline:
    prefix = ParameterString("Prefix", default_value="adhoc")
    execution = ExecutionVariables.PIPELINE_EXECUTION_ID
    # Of a parameter, Python has no value here, so an f-string would be wrong: Join is resolved when the pipeline runs.
    place = Join("/", ["s3:/", sagemaker_session.default_bucket(), pipeline_name, prefix, execution, "report"])
    processor = SKLearnProcessor(
        "1.2-1", role, instance_type="ml.m5.large", instance_count=1, sagemaker_session=sagemaker_session
    )
    report = ProcessingStep(
        "Report",
        step_args=processor.run(
            code=str(STEPS / "report.py"),
            arguments=[execution, ExecutionVariables.START_DATETIME],
            outputs=[
                ProcessingOutput(output_name="report", source="/opt/ml/processing/report", destination=place),
            ],
        ),
    )
    return Pipeline(
        name=pipeline_name,
        parameters=[prefix],
        pipeline_experiment_config=PipelineExperimentConfig(
            Join("-", ["diabetes", prefix]), Join("-", ["run", execution])
        ),
        steps=[report],
        sagemaker_session=sagemaker_session,
    )
