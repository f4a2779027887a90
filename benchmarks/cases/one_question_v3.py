# /// script
# dependencies = ["sagemaker-mlops>=1.27,<2"]
# ///
"""A pipeline for SDK v3 that asks AWS one question: which model package is the newest."""

from sagemaker.mlops.workflow import FailStep, Pipeline


def get_pipeline(sagemaker_session):
    client = sagemaker_session.sagemaker_client
    found = client.list_model_packages(SortBy="CreationTime", SortOrder="Descending")["ModelPackageSummaryList"]
    steps = [FailStep("Newest", error_message=str(found[:1]))]
    return Pipeline("one-question", steps=steps, sagemaker_session=sagemaker_session)
