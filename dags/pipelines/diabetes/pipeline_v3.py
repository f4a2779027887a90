# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""Predict the progression of diabetes: preprocess, train, evaluate, and register the model if it is good enough.

Written for the SageMaker Python SDK v3; `pipeline_v2.py` builds the same pipeline with v2.
"""

from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig
from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow import (
    ConditionStep,
    FailStep,
    ModelStep,
    Pipeline,
    ProcessingStep,
    TrainingStep,
)
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer

STEPS = Path(__file__).parent / "steps"


def get_pipeline(
    sagemaker_session: PipelineSession,
    role: str,
    region: str,
    pipeline_name: str = "diabetes-v3",
) -> Pipeline:
    # What a run may change.
    instance_type = ParameterString("InstanceType", default_value="ml.m5.large")
    max_depth = ParameterInteger("MaxDepth", default_value=2)
    eta = ParameterFloat("Eta", default_value=0.1)
    num_round = ParameterInteger("NumRound", default_value=60)
    rmse_threshold = ParameterFloat("RmseThreshold", default_value=70.0)
    model_package_group = ParameterString("ModelPackageGroup", default_value="diabetes")
    approval_status = ParameterString(
        "ApprovalStatus",
        default_value="PendingManualApproval",
        enum_values=["PendingManualApproval", "Approved"],
    )

    sklearn_image = image_uris.retrieve("sklearn", region, version="1.2-1")
    xgboost_image = image_uris.retrieve("xgboost", region, version="1.7-1")
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])

    def output(name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=Join("/", [output_path, name]),
                local_path=f"/opt/ml/processing/{name}",
                s3_upload_mode="EndOfJob",
            ),
        )

    def input_(name: str, s3_uri: object) -> ProcessingInput:
        return ProcessingInput(
            input_name=name,
            s3_input=ProcessingS3Input(
                s3_uri=s3_uri,
                local_path=f"/opt/ml/processing/{name}",
                s3_data_type="S3Prefix",
                s3_input_mode="File",
            ),
        )

    # Preprocess
    processor = ScriptProcessor(
        image_uri=sklearn_image,
        command=["python3"],
        instance_type=instance_type,
        instance_count=1,
        role=role,
        sagemaker_session=sagemaker_session,
    )
    preprocess = ProcessingStep(
        "Preprocess",
        step_args=processor.run(
            code=str(STEPS / "preprocess.py"),
            arguments=["--seed", "7"],
            outputs=[output("train"), output("validation"), output("test")],
        ),
    )
    data = preprocess.properties.ProcessingOutputConfig.Outputs

    # Train
    trainer = ModelTrainer(
        training_image=xgboost_image,
        hyperparameters={
            "objective": "reg:squarederror",
            "max_depth": max_depth.to_string(),
            "eta": eta.to_string(),
            "num_round": num_round.to_string(),
            "subsample": 0.8,
            "seed": 7,
        },
        compute=Compute(instance_type=instance_type, instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=Join("/", [output_path, "model"])),
        role=role,
        sagemaker_session=sagemaker_session,
    )
    train = TrainingStep(
        "Train",
        step_args=trainer.train(
            input_data_config=[
                InputData(channel_name=name, data_source=data[name].S3Output.S3Uri, content_type="text/csv")
                for name in ("train", "validation")
            ]
        ),
    )
    model_data = train.properties.ModelArtifacts.S3ModelArtifacts

    # Evaluate
    evaluator = ScriptProcessor(
        image_uri=xgboost_image,
        command=["python3"],
        instance_type=instance_type,
        instance_count=1,
        role=role,
        sagemaker_session=sagemaker_session,
    )
    metrics = PropertyFile(name="Metrics", output_name="evaluation", path="evaluation.json")
    evaluate = ProcessingStep(
        "Evaluate",
        step_args=evaluator.run(
            code=str(STEPS / "evaluate.py"),
            inputs=[input_("model", model_data), input_("test", data["test"].S3Output.S3Uri)],
            outputs=[output("evaluation")],
        ),
        property_files=[metrics],
    )
    rmse = JsonGet(step_name=evaluate.name, property_file=metrics, json_path="regression.rmse.value")

    # Register the model, or fail and say why
    model = ModelBuilder(
        image_uri=xgboost_image,
        s3_model_data_url=model_data,
        role_arn=role,
        sagemaker_session=sagemaker_session,
    )
    register = ModelStep(
        "Register",
        step_args=model.register(
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.large"],
            model_package_group_name=model_package_group,
            approval_status=approval_status,
            model_metrics=ModelMetrics(
                model_statistics=MetricsSource(
                    s3_uri=Join("/", [output_path, "evaluation", "evaluation.json"]),
                    content_type="application/json",
                )
            ),
        ),
    )
    too_high = FailStep(
        "RmseTooHigh",
        error_message=Join(" ", ["The model's RMSE is", rmse, "and may be at most", rmse_threshold]),
    )
    check = ConditionStep(
        "CheckRmse",
        conditions=[ConditionLessThanOrEqualTo(left=rmse, right=rmse_threshold)],
        if_steps=[register],
        else_steps=[too_high],
    )

    return Pipeline(
        name=pipeline_name,
        parameters=[
            instance_type,
            max_depth,
            eta,
            num_round,
            rmse_threshold,
            model_package_group,
            approval_status,
        ],
        steps=[preprocess, train, evaluate, check],
        sagemaker_session=sagemaker_session,
    )
