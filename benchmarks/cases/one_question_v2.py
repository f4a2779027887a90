# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""A pipeline for SDK v2 that asks AWS one question: which model package is the newest."""

from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.pipeline import Pipeline


def get_pipeline(sagemaker_session):
    client = sagemaker_session.sagemaker_client
    found = client.list_model_packages(SortBy="CreationTime", SortOrder="Descending")["ModelPackageSummaryList"]
    steps = [FailStep("Newest", error_message=str(found[:1]))]
    return Pipeline("one-question", steps=steps, sagemaker_session=sagemaker_session)
