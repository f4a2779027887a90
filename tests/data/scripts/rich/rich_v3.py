# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""What makes SDK v3 name things by the clock: source folders, drivers, framework processors, @step functions."""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.processing import FrameworkProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.mlops.workflow import ModelStep, Pipeline, ProcessingStep, TrainingStep
from sagemaker.mlops.workflow.function_step import step
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer

CODE = Path(__file__).parent / "code"


STEPS_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/steps:1"


def double(value):
    return 2 * value


def get_pipeline(sagemaker_session, role, region):
    image = image_uris.retrieve("sklearn", region, version="1.2-1")
    processor = FrameworkProcessor(
        image_uri=image,
        role=role,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=sagemaker_session,
    )
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code="train.py",
            source_dir=str(CODE),
            outputs=[
                ProcessingOutput(
                    output_name="data",
                    s3_output=ProcessingS3Output(
                        s3_uri="/opt/ml/processing/data",
                        local_path="/opt/ml/processing/data",
                        s3_upload_mode="EndOfJob",
                    ),
                )
            ],
        ),
    )
    data = prepare.properties.ProcessingOutputConfig.Outputs["data"].S3Output.S3Uri
    trainer = ModelTrainer(
        training_image=image,
        source_code=SourceCode(source_dir=str(CODE), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        role=role,
        sagemaker_session=sagemaker_session,
    )
    train = TrainingStep(
        "Train", step_args=trainer.train(input_data_config=[InputData(channel_name="train", data_source=data)])
    )
    model = ModelBuilder(
        image_uri=image,
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        role_arn=role,
        sagemaker_session=sagemaker_session,
    )
    create = ModelStep("Create", step_args=model.build())
    doubled = step(double, role=role, image_uri=STEPS_IMAGE, instance_type="ml.m5.large")(21)
    return Pipeline("rich-v3", steps=[prepare, train, create, doubled], sagemaker_session=sagemaker_session)
