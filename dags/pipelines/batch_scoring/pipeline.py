# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Train a model, and score a test set with it in a batch transform that keeps each patient's true value."""

from pathlib import Path

from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.processing import ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.transformer import Transformer
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.functions import Join
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep, TrainingStep, TransformStep

STEPS = Path(__file__).parent / "steps"
INSTANCE = {"instance_type": "ml.m5.large", "instance_count": 1}


def get_pipeline(
    sagemaker_session: PipelineSession, role: str, region: str, pipeline_name: str = "batch-scoring"
) -> Pipeline:
    num_round = ParameterInteger("NumRound", default_value=60)
    xgboost_image = image_uris.retrieve("xgboost", region, version="1.7-1")
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])

    processor = SKLearnProcessor("1.2-1", role, sagemaker_session=sagemaker_session, **INSTANCE)
    split = ProcessingStep(
        "Split",
        step_args=processor.run(
            code=str(STEPS / "split.py"),
            outputs=[
                ProcessingOutput(
                    output_name=name,
                    source=f"/opt/ml/processing/{name}",
                    destination=Join("/", [output_path, name]),
                )
                for name in ("train", "test")
            ],
        ),
    )
    data = split.properties.ProcessingOutputConfig.Outputs

    estimator = Estimator(
        image_uri=xgboost_image,
        role=role,
        output_path=Join("/", [output_path, "model"]),
        hyperparameters={"objective": "reg:squarederror", "max_depth": 2, "eta": 0.1, "num_round": num_round},
        sagemaker_session=sagemaker_session,
        **INSTANCE,
    )
    train = TrainingStep(
        "Train",
        step_args=estimator.fit({"train": TrainingInput(data["train"].S3Output.S3Uri, content_type="text/csv")}),
    )

    model = Model(
        image_uri=xgboost_image,
        model_data=train.properties.ModelArtifacts.S3ModelArtifacts,
        role=role,
        sagemaker_session=sagemaker_session,
    )
    create_model = ModelStep("Model", step_args=model.create(instance_type="ml.m5.large"))

    transformer = Transformer(
        model_name=create_model.properties.ModelName,
        output_path=Join("/", [output_path, "scores"]),
        accept="text/csv",
        assemble_with="Line",
        strategy="MultiRecord",
        sagemaker_session=sagemaker_session,
        **INSTANCE,
    )
    score = TransformStep(
        "Score",
        step_args=transformer.transform(
            data["test"].S3Output.S3Uri,
            content_type="text/csv",
            split_type="Line",
            input_filter="$[1:]",  # the model sees no label
            join_source="Input",
            output_filter="$[0,-1]",  # the label and the score
        ),
    )
    return Pipeline(
        name=pipeline_name,
        parameters=[num_round],
        steps=[split, train, create_model, score],
        sagemaker_session=sagemaker_session,
    )
