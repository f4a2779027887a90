"""Names and ARNs: made as SageMaker makes them, and parsed. Random parts are arguments.

Formats from recorded answers: an execution id has 12 ``[a-z0-9]``; a job is ``pipelines-<execution>-<step[:20]>-<10>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonValue

EXECUTION_ID_LENGTH = 12
EXECUTION_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
JOB_SUFFIX_LENGTH = 10
JOB_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_EXECUTION_ARN = re.compile(r"arn:[\w-]+:sagemaker:[^:]+:\d{12}:pipeline/(?P<pipeline>[^/]+)/execution/(?P<id>[^/]+)")
_PIPELINE_ARN = re.compile(r"arn:[\w-]+:sagemaker:[^:]+:\d{12}:pipeline/(?P<pipeline>[^/]+)")


@dataclass(frozen=True, slots=True)
class ArnFactory:
    """Makes ARNs of one account and region."""

    region: str
    account_id: str

    @property
    def partition(self) -> str:
        """The AWS partition of the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def make(self, resource: str, name: str) -> str:
        """``arn:aws:sagemaker:<region>:<account>:<resource>/<name>``."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account_id}:{resource}/{name}"

    def pipeline(self, name: str) -> str:
        """The ARN of a pipeline."""
        return self.make("pipeline", name)

    def execution(self, pipeline_name: str, execution_id: str) -> str:
        """The ARN of an execution."""
        return f"{self.pipeline(pipeline_name)}/execution/{execution_id}"


def pipeline_name_of(name_or_arn: str) -> str:
    """The name of a pipeline, from its name or ARN."""
    match = _PIPELINE_ARN.fullmatch(name_or_arn)
    return match["pipeline"] if match else name_or_arn


def execution_id_of(arn: str) -> str:
    """The id of an execution, from its ARN; a text that is no such ARN is given back."""
    match = _EXECUTION_ARN.fullmatch(arn)
    return match["id"] if match else arn


def pipeline_arn_of(execution_arn: str) -> str:
    """The ARN of the pipeline of an execution."""
    return execution_arn.partition("/execution/")[0]


def is_arn(name_or_arn: str) -> bool:
    """Whether a text that is a name or an ARN is an ARN."""
    return name_or_arn.startswith("arn:")


def resource_name_of(name_or_arn: str, resource: str) -> str:
    """The name of a resource of this kind (``model``, ``model-package-group``), from its name or ARN."""
    head, separator, tail = name_or_arn.partition(f":{resource}/")
    return tail if separator and is_arn(head) else name_or_arn


def trial_names(experiment: Mapping[str, JsonValue], *, pipeline: str, execution_id: str) -> tuple[str, str]:
    """The names of the experiment and the trial of an execution.

    :param experiment: its resolved PipelineExperimentConfig. By default the pipeline and the execution give the names.
    """
    return str(experiment.get("ExperimentName") or pipeline), str(experiment.get("TrialName") or execution_id)


def step_resource_name(step_type: str, execution_id: str, step_name: str, suffix: str) -> str:
    """The name of the job or model that a step makes, with characters that job names allow.

    The name of a tuning or AutoML job has at most 32 characters: ``<execution>-<step[:7]>-<10>``.
    """
    text = re.sub(r"[^A-Za-z0-9-]", "-", step_name)
    if step_type in ("Tuning", "AutoML"):
        return f"{execution_id}-{text[:7].rstrip('-')}-{suffix}"
    return f"pipelines-{execution_id}-{text[:20]}-{suffix}"
