# /// script
# requires-python = ">=3.10"
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""Predict the progression of diabetes: preprocess, train, evaluate, and register the model if it is good enough.

Written for the SageMaker Python SDK v2; `pipeline_v3.py` builds the same pipeline with v3.
"""

from pathlib import Path

from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.execution_variables import ExecutionVariables
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import ProcessingStep, TrainingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(
    sagemaker_session: PipelineSession,
    role: str,
    region: str,
    pipeline_name: str = "diabetes-v2",
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

    xgboost_image = image_uris.retrieve("xgboost", region, version="1.7-1")
    bucket = sagemaker_session.default_bucket()
    output_path = Join("/", ["s3:/", bucket, pipeline_name, ExecutionVariables.PIPELINE_EXECUTION_ID])

    # Preprocess
    processor = SKLearnProcessor(
        framework_version="1.2-1",
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
            outputs=[
                ProcessingOutput(
                    output_name=name,
                    source=f"/opt/ml/processing/{name}",
                    destination=Join("/", [output_path, name]),
                )
                for name in ("train", "validation", "test")
            ],
        ),
    )
    data = preprocess.properties.ProcessingOutputConfig.Outputs

    # Train
    estimator = Estimator(
        image_uri=xgboost_image,
        instance_type=instance_type,
        instance_count=1,
        role=role,
        output_path=Join("/", [output_path, "model"]),
        hyperparameters={
            "objective": "reg:squarederror",
            "max_depth": max_depth,
            "eta": eta,
            "num_round": num_round,
            "subsample": 0.8,
            "seed": 7,
        },
        sagemaker_session=sagemaker_session,
    )
    train = TrainingStep(
        "Train",
        step_args=estimator.fit(
            {
                name: TrainingInput(data[name].S3Output.S3Uri, content_type="text/csv")
                for name in ("train", "validation")
            }
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
            inputs=[
                ProcessingInput(source=model_data, destination="/opt/ml/processing/model"),
                ProcessingInput(source=data["test"].S3Output.S3Uri, destination="/opt/ml/processing/test"),
            ],
            outputs=[
                ProcessingOutput(
                    output_name="evaluation",
                    source="/opt/ml/processing/evaluation",
                    destination=Join("/", [output_path, "evaluation"]),
                )
            ],
        ),
        property_files=[metrics],
    )
    rmse = JsonGet(step_name=evaluate.name, property_file=metrics, json_path="regression.rmse.value")

    # Register the model, or fail and say why
    model = Model(image_uri=xgboost_image, model_data=model_data, role=role, sagemaker_session=sagemaker_session)
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
