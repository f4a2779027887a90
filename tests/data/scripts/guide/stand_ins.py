"""Functions in place of steps of the guide: each answers with what the service's description would hold."""

_VARIABLES = (
    *("MODEL_NAME", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "SAGEMAKER_INFERENCE_OUTPUT"),
    *("SAGEMAKER_INFERENCE_SUPPORTED", "SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY"),
)
"""What the SDK reads of a candidate's container."""


def find_model(step):
    """The best candidate of AutoML: a model in one container."""
    data = step["arguments"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    container = {
        "Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "ModelDataUrl": data,
        "Environment": dict.fromkeys(_VARIABLES, "none"),
    }
    return {"outputs": {"BestCandidate": {"CandidateName": "first", "InferenceContainers": [container]}}}


def run_jar(step):
    """A step of an EMR cluster."""
    return {"metadata": {"EMR": {"ClusterId": step["attributes"].get("ClusterId", ""), "StepId": "s-1"}}}


def run_spark(step):
    """A Processing job on Spark."""
    return {"outputs": {"ProcessingJobStatus": "Completed"}}
