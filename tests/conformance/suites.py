"""The projects whose tests judge the local endpoint: what of a checkout is run, and with which packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one project.

    :param name: the command's option that gives its checkout, without the dashes.
    :param folder: where in the checkout its tests are run from.
    :param tests: what pytest is given, relative to the folder.
    :param packages: what their interpreter needs.
    :param region: the region that the tests take for granted.
    :param python: the Python they are run on.
    :param plugins: modules of this folder that pytest loads with them.
    """

    name: str
    title: str
    folder: str
    tests: tuple[str, ...]
    packages: tuple[str, ...]
    region: str = "us-west-2"
    python: str = "3.11"
    plugins: tuple[str, ...] = ("waiting_times",)


SUITES = (
    Suite(
        "sdk-v2",
        "SageMaker Python SDK v2",
        ".",
        ("tests/integ/sagemaker/workflow",),
        (
            "sagemaker==2.257.7",
            "cloudpickle==2.2.1",
            "pandas<3",
            "scikit-learn",
            "awslogs",
            "nbformat",
            "docker",
            "mock",
            "pytest",
            "pytest-timeout",
            "pytest-rerunfailures",
            "pytest-xdist",
        ),
    ),
    Suite(
        "sdk-v3",
        "SageMaker Python SDK v3",
        "sagemaker-mlops",
        (
            "tests/integ/workflow",
            "tests/integ/test_hyperparameter_tuning.py",
            "tests/integ/test_model_registry.py",
            "tests/integ/test_processing_job_sklearn.py",
            "tests/integ/test_pytorch_processing.py",
            "tests/integ/test_transform_job.py",
        ),
        ("sagemaker==3.27.0", "mock", "pytest", "pytest-timeout", "pytest-rerunfailures"),
    ),
    Suite(
        "moto",
        "moto",
        ".",
        ("tests/test_sagemaker/test_sagemaker_pipeline.py",),
        ("moto[s3]==5.2.5", "requests", "pytest", "pytest-timeout"),
        "us-west-1",
        plugins=("waiting_times", "moto_connection"),
    ),
    Suite(
        "provider",
        "amazon provider's system tests",
        ".",
        (
            "tests/system/amazon/aws/example_sagemaker_pipeline.py",
            "tests/system/amazon/aws/example_sagemaker_condition.py",
        ),
        (),
        "us-east-1",
    ),
)
