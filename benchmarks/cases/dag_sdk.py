"""What a DAG file that builds its pipeline with the SageMaker SDK imports before it can begin."""

from sagemaker.processing import ScriptProcessor  # noqa: F401
from sagemaker.workflow.pipeline import Pipeline  # noqa: F401
from sagemaker.workflow.pipeline_context import PipelineSession  # noqa: F401
from sagemaker.workflow.steps import ProcessingStep, TrainingStep  # noqa: F401
