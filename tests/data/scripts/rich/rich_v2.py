# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""What makes SDK v2 name things by the clock: source folders, framework processors, models, @step functions."""

from pathlib import Path

from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.model import SKLearnModel
from sagemaker.transformer import Transformer
from sagemaker.workflow.function_step import step
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.steps import ProcessingStep, TrainingStep, TransformStep

CODE = Path(__file__).parent / "code"


STEPS_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/steps:1"


def double(value):
    return 2 * value


def get_pipeline(sagemaker_session, role):
    shared = {"role": role, "instance_count": 1, "instance_type": "ml.m5.large", "sagemaker_session": sagemaker_session}
    processor = FrameworkProcessor(estimator_cls=SKLearn, framework_version="1.2-1", **shared)
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code="train.py",
            source_dir=str(CODE),
            inputs=[ProcessingInput(source=str(CODE / "helper.py"), destination="/opt/ml/processing/input/extra")],
            outputs=[ProcessingOutput(output_name="data", source="/opt/ml/processing/data")],
        ),
    )
    estimator = SKLearn(entry_point="train.py", source_dir=str(CODE), framework_version="1.2-1", **shared)
    data = prepare.properties.ProcessingOutputConfig.Outputs["data"].S3Output.S3Uri
    train = TrainingStep("Train", step_args=estimator.fit({"train": data}))
    model = SKLearnModel(
        model_data=train.properties.ModelArtifacts.S3ModelArtifacts,
        entry_point="train.py",
        source_dir=str(CODE),
        framework_version="1.2-1",
        role=role,
        sagemaker_session=sagemaker_session,
    )
    create = ModelStep("Create", step_args=model.create(instance_type="ml.m5.large"))
    transformer = Transformer(
        model_name=create.properties.ModelName,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=sagemaker_session,
    )
    score = TransformStep("Score", step_args=transformer.transform(data=data))
    doubled = step(double, role=role, image_uri=STEPS_IMAGE, instance_type="ml.m5.large")(21)
    return Pipeline("rich-v2", steps=[prepare, train, create, score, doubled], sagemaker_session=sagemaker_session)
