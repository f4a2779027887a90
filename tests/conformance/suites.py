"""Which of other projects' tests run, in which environment, and where they are had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Suite:
    """Tests of a project that pytest runs.

    :param option: of the command; names the project's checkout.
    :param folder: in the checkout, where pytest is run.
    :param paths: what it runs, from there.
    :param requirements: of the environment.
    :param python: of the environment. The SDK has images for ``@step`` functions for 3.10 only. Where this machine
        has no such Python, ours.
    """

    option: str
    title: str
    folder: str
    paths: tuple[str, ...]
    requirements: tuple[str, ...]
    region: str
    python: str = "3.10"
    variables: Mapping[str, str] = field(default_factory=dict)


_PYTEST = ("pytest>=8,<9", "pytest-timeout", "mock", "docker", "pandas", "scikit-learn")

SUITES = (
    Suite(
        "sdk-v2",
        "SDK v2, `tests/integ/sagemaker/workflow`",
        ".",
        ("tests/integ/sagemaker/workflow",),
        # stopit needs pkg_resources.
        (
            *("sagemaker>=2.257,<3", *_PYTEST, "stopit", "setuptools<81"),
            *("awslogs", "xgboost", "nbformat", "six", "fabric", "requests"),
        ),
        "us-west-2",
    ),
    Suite(
        "sdk-v3",
        "SDK v3, `sagemaker-mlops/tests/integ`: workflow, processing, transform, tuning, registry",
        "sagemaker-mlops",
        (
            "tests/integ/workflow",
            "tests/integ/test_hyperparameter_tuning.py",
            "tests/integ/test_model_registry.py",
            "tests/integ/test_processing_job_sklearn.py",
            "tests/integ/test_pytorch_processing.py",
            "tests/integ/test_transform_job.py",
        ),
        ("sagemaker>=3", "sagemaker-mlops>=1.27", *_PYTEST, "filelock"),
        "us-east-1",
        python=">=3.10,<3.13",
    ),
    Suite(
        "moto",
        "moto, `test_sagemaker_pipeline.py`",
        ".",
        ("tests/test_sagemaker/test_sagemaker_pipeline.py",),
        ("moto[s3]>=5.2", *_PYTEST),
        "us-west-1",
        variables={
            "TEST_SERVER_MODE": "true",
            "MOTO_CALL_RESET_API": "false",
            "CONFORMANCE_EMPTY_PIPELINES": "1",
        },
    ),
)

PROVIDER = "the amazon provider's system tests"
EXAMPLES = (
    "example_sagemaker_pipeline",
    "example_sagemaker_condition",
    "example_sagemaker_endpoint",
    "example_sagemaker",
)
"""DAGs that run as they are, but for `REPLACED`."""
REPLACED = (
    "the built-in k-NN's image, by a program of ours, and the regular expression of its metric",
    "building an image with Docker, by a row of the table of images with the same script",
    "`auto_ML`, `await_auto_ML` and `stop_automl_job`, which do nothing, and the experiment that AutoML makes",
)
"""What of these DAGs is replaced, in ``foreign/conformance_replacements.py``."""
