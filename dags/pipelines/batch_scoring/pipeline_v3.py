# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""`pipeline.py` for the SageMaker Python SDK v3."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import ModelStep, Pipeline, ProcessingStep, TrainingStep
from sagemaker.mlops.workflow.steps import TransformStep
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer

STEPS = Path(__file__).parent / "steps"
INSTANCE = {"instance_type": "ml.m5.large", "instance_count": 1}


def get_pipeline(
    sagemaker_session: PipelineSession, role: str, region: str, pipeline_name: str = "batch-scoring-v3"
) -> Pipeline:
    num_round = ParameterInteger("NumRound", default_value=60)
    xgboost_image = image_uris.retrieve("xgboost", region, version="1.7-1")
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])

    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", region, version="1.2-1"),
        command=["python3"],
        role=role,
        sagemaker_session=sagemaker_session,
        **INSTANCE,
    )
    split = ProcessingStep(
        "Split",
        step_args=processor.run(
            code=str(STEPS / "split.py"),
            outputs=[
                ProcessingOutput(
                    output_name=name,
                    s3_output=ProcessingS3Output(
                        s3_uri=Join("/", [output_path, name]),
                        local_path=f"/opt/ml/processing/{name}",
                        s3_upload_mode="EndOfJob",
                    ),
                )
                for name in ("train", "test")
            ],
        ),
    )
    data = split.properties.ProcessingOutputConfig.Outputs

    trainer = ModelTrainer(
        training_image=xgboost_image,
        hyperparameters={
            "objective": "reg:squarederror",
            "max_depth": 2,
            "eta": 0.1,
            "num_round": num_round.to_string(),
        },
        compute=Compute(**INSTANCE),
        output_data_config=OutputDataConfig(s3_output_path=Join("/", [output_path, "model"])),
        role=role,
        sagemaker_session=sagemaker_session,
    )
    train = TrainingStep(
        "Train",
        step_args=trainer.train(
            input_data_config=[
                InputData(channel_name="train", data_source=data["train"].S3Output.S3Uri, content_type="text/csv")
            ]
        ),
    )

    model = ModelBuilder(
        image_uri=xgboost_image,
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=role,
        sagemaker_session=sagemaker_session,
    )
    create_model = ModelStep("Model", step_args=model.build())

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
