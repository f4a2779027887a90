# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""A function step that takes its workspace along, which only the SDK's settings can ask for."""

import os
from pathlib import Path

os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(Path(__file__).with_name("settings.yaml"))

from sagemaker.mlops.workflow.function_step import step
from sagemaker.mlops.workflow.pipeline import Pipeline

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/steps:1"


def greet(name):
    from greeting import WORD

    return f"{WORD} {name}"


def get_pipeline(sagemaker_session, role):
    made = step(greet, name="FunctionWorkspace", role=role, image_uri=IMAGE, instance_type="ml.m5.large")("you")
    return Pipeline("workspace-v3", steps=[made], sagemaker_session=sagemaker_session)
