# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""A pipeline in the SDK's local mode, as AWS's guide writes it: a `LocalPipelineSession`, and data on this machine.

Unchanged, it runs with ``sm-pipelines local run pipeline_v2.py`` on our engine, with ``--docker`` added in Docker as
the SDK does it, and from the DAG `local_mode`.
"""

from pathlib import Path

from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import LocalPipelineSession
from sagemaker.workflow.steps import ProcessingStep, TrainingStep

FOLDER = Path(__file__).parent.absolute()
ROLE = "arn:aws:iam::111111111111:role/service-role/AmazonSageMaker-ExecutionRole"  # local mode asks for one


def get_pipeline(model_folder: str = "model", pipeline_name: str = "local-mode-v2") -> Pipeline:
    session = LocalPipelineSession()
    session.config = {"local": {"local_code": True}}
    rows = ParameterInteger("Rows", default_value=40)  # a small part of the data, to try things out

    processor = SKLearnProcessor("1.2-1", ROLE, instance_type="local", instance_count=1, sagemaker_session=session)
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code=str(FOLDER / "steps" / "prepare.py"),
            arguments=["--rows", rows.to_string()],
            inputs=[ProcessingInput(source=str(FOLDER / "data"), destination="/opt/ml/processing/patients")],
            outputs=[ProcessingOutput(output_name="train", source="/opt/ml/processing/train")],
        ),
    )
    estimator = Estimator(
        image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
        ROLE,
        instance_type="local",
        instance_count=1,
        output_path=f"file://{Path(model_folder).absolute()}",
        hyperparameters={"objective": "reg:squarederror", "num_round": 5},
        sagemaker_session=session,
    )
    prepared = prepare.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri
    train = TrainingStep("Train", step_args=estimator.fit({"train": TrainingInput(prepared, content_type="text/csv")}))
    return Pipeline(pipeline_name, parameters=[rows], steps=[prepare, train], sagemaker_session=session)


if __name__ == "__main__":
    pipeline = get_pipeline()
    pipeline.create(role_arn=ROLE, description="local pipeline example")
    execution = pipeline.start(parameters={"Rows": 25})
    for step in execution.list_steps()["PipelineExecutionSteps"]:
        print(step["StepName"], step["StepStatus"])
