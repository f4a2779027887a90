"""What of other projects' tests is known not to pass, and why. A test may fail in the words given here only."""

from __future__ import annotations

from tests.conformance.results import Expectation, Verdict

_REFUSED, _UNDECIDED, _THEIRS = Verdict.REFUSED, Verdict.UNDECIDED, Verdict.THEIRS
_NO_DOCKER = r"CalledProcessError: Command 'python -m build|docker\.errors"
_DOCKER = "it builds an image with Docker"
_LARGE = "its data is not in every copy of the repository: files of 4 MiB and more"

EXPECTATIONS = (
    Expectation(
        *("moto", "*::test_describe_pipeline_definition_for_execution", _THEIRS),
        *("'some-pipeline-definition'", "its definition is no JSON, which SageMaker refuses"),
    ),
    Expectation(
        *("moto", "*::test_list_pipelines_next_token", _THEIRS),
        *("Invalid pagination token", "it makes up a token, and a token comes from an answer"),
    ),
    Expectation(
        *("moto", "*::test_list_pipelines_pipeline_name_prefix", _THEIRS),
        *("assert 0 == 3", "it looks for a prefix in the middle of names"),
    ),
    Expectation(
        "sdk-v2", "test_automl_steps::*", _REFUSED, "has no local meaning", "nothing here searches for models (AutoML)"
    ),
    Expectation("sdk-v2", "*", _UNDECIDED, _NO_DOCKER, _DOCKER),
    Expectation("sdk-v3", "*", _UNDECIDED, _NO_DOCKER, _DOCKER),
    Expectation(
        *("sdk-v3", "test_step_decorator::test_compile_pipeline_with_function_steps", _UNDECIDED),
        *("Default image is supported only for Python", "the SDK has no default image for the Python that it ran on"),
    ),
    Expectation("sdk-v2", "*", _UNDECIDED, r"FileNotFoundError: .*pytorch_mnist/training", _LARGE),
    Expectation(
        "sdk-v2",
        "test_triggers::*",
        _REFUSED,
        "starts nothing by the clock",
        "EventBridge Scheduler starts nothing here",
    ),
    Expectation(
        "sdk-v2", "test_model_steps::*", _REFUSED, "is a record only", "nothing here serves TensorFlow's image"
    ),
    Expectation(
        *("sdk-v2", "test_processing_steps::test_two_processing_job_depends_on", _REFUSED),
        *("sagemaker-spark-processing", "no environment stands in for Spark's image"),
    ),
    Expectation(
        *("sdk-v2", "test_workflow::test_one_step_ingestion_pipeline", _REFUSED),
        *("FeatureStoreOutput does not work locally", "no feature store is here"),
    ),
    Expectation(
        *("sdk-v2", "test_workflow_with_clarify::*", _REFUSED),
        *("linear-learner", "of the built-in algorithms only XGBoost is here"),
    ),
    Expectation(
        *("sdk-v2", "test_zimmer_lineage_step::*", _THEIRS),
        *(
            r"LineageStep.__init__\(\) got an unexpected keyword argument 'arguments'",
            "it was written for another release of the SDK",
        ),
    ),
    Expectation("sdk-v3", "test_hyperparameter_tuning::*", _UNDECIDED, r"datasets[./]mnist|MNIST", _LARGE),
    Expectation(
        *("sdk-v3", "test_pytorch_processing::*", _UNDECIDED),
        *("huggingface.co.* is not reached", "its script fetches a model from Hugging Face"),
    ),
)
