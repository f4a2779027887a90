# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""A pipeline in the SDK's local mode, as AWS's guide writes it: a `LocalPipelineSession`, and data on this machine.

Unchanged, it runs with ``sm-pipelines local run pipeline_v3.py`` on our engine, with ``--docker`` added in Docker as
the SDK does it, and from the DAG `local_mode`.
"""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.core.workflow.pipeline_context import LocalPipelineSession
from sagemaker.mlops.workflow import Pipeline, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer

FOLDER = Path(__file__).parent.absolute()
ROLE = "arn:aws:iam::111111111111:role/service-role/AmazonSageMaker-ExecutionRole"  # local mode asks for one


def get_pipeline(model_folder: str = "model", pipeline_name: str = "local-mode-v3") -> Pipeline:
    session = LocalPipelineSession()
    rows = ParameterInteger("Rows", default_value=40)  # a small part of the data, to try things out

    processor = ScriptProcessor(
        image_uri=image_uris.retrieve("sklearn", session.boto_region_name, version="1.2-1"),
        command=["python3"],
        role=ROLE,
        instance_type="local",
        instance_count=1,
        sagemaker_session=session,
    )
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code=str(FOLDER / "steps" / "prepare.py"),
            arguments=["--rows", rows.to_string()],
            inputs=[
                ProcessingInput(
                    input_name="patients",
                    s3_input=ProcessingS3Input(
                        s3_uri=str(FOLDER / "data"),
                        local_path="/opt/ml/processing/patients",
                        s3_data_type="S3Prefix",
                        s3_input_mode="File",
                    ),
                )
            ],
            outputs=[
                ProcessingOutput(
                    output_name="train",
                    s3_output=ProcessingS3Output(
                        s3_uri=f"s3://{session.default_bucket()}/{pipeline_name}/train",
                        local_path="/opt/ml/processing/train",
                        s3_upload_mode="EndOfJob",
                    ),
                )
            ],
        ),
    )
    trainer = ModelTrainer(
        training_image=image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
        hyperparameters={"objective": "reg:squarederror", "num_round": 5},
        compute=Compute(instance_type="local", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"file://{Path(model_folder).absolute()}"),
        role=ROLE,
        sagemaker_session=session,
    )
    prepared = prepare.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri
    train = TrainingStep(
        "Train",
        step_args=trainer.train(
            input_data_config=[InputData(channel_name="train", data_source=prepared, content_type="text/csv")]
        ),
    )
    return Pipeline(name=pipeline_name, parameters=[rows], steps=[prepare, train], sagemaker_session=session)


if __name__ == "__main__":
    pipeline = get_pipeline()
    pipeline.create(role_arn=ROLE, description="local pipeline example")
    execution = pipeline.start(parameters={"Rows": 25})
    for step in execution.list_steps()["PipelineExecutionSteps"]:
        print(step["StepName"], step["StepStatus"])
