"""Names and ARNs, made as SageMaker makes them. Random parts are arguments.

Formats from recorded answers: an execution id has 12 ``[a-z0-9]``; a job is ``pipelines-<execution>-<step[:20]>-<10>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.arns import Arn
from airflow_sm_pipelines.definition.partitions import find_partition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonValue

EXECUTION_ID_LENGTH = 12
EXECUTION_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
JOB_SUFFIX_LENGTH = 10
JOB_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class ArnFactory:
    """Makes ARNs of one account and region."""

    region: str
    account_id: str

    @property
    def partition(self) -> str:
        """The AWS partition of the region."""
        return find_partition(self.region)

    def make(self, resource: str, name: str) -> str:
        """``arn:aws:sagemaker:<region>:<account>:<resource>/<name>``."""
        return str(Arn(self.partition, "sagemaker", self.region, self.account_id, f"{resource}/{name}"))

    def pipeline(self, name: str) -> str:
        """The ARN of a pipeline."""
        return self.make("pipeline", name)

    def execution(self, pipeline_name: str, execution_id: str) -> str:
        """The ARN of an execution."""
        return f"{self.pipeline(pipeline_name)}/execution/{execution_id}"


def trial_names(experiment: Mapping[str, JsonValue], *, pipeline: str, execution_id: str) -> tuple[str, str]:
    """The names of the experiment and the trial of an execution.

    :param experiment: its resolved PipelineExperimentConfig. By default the pipeline and the execution give the names.
    """
    return str(experiment.get("ExperimentName") or pipeline), str(experiment.get("TrialName") or execution_id)


def step_resource_name(step_type: str, execution_id: str, step_name: str, suffix: str, *, given: object = None) -> str:
    """The name of the job or model that a step makes, with characters that job names allow.

    The name of a tuning or AutoML job has at most 32 characters: ``<execution>-<step[:7]>-<10>``.

    :param given: the name in the step's arguments. A text is what the job's name begins with (``tests/integ`` of
        aws/sagemaker-python-sdk, test_notebook_job_step); how it goes on is chosen.
    """
    if isinstance(given, str) and given and step_type in ("Processing", "Training", "Transform"):
        prefix = re.sub(r"[^A-Za-z0-9-]", "-", given)[:39].strip("-")
        return f"{prefix}-{execution_id}-{suffix}"
    text = re.sub(r"[^A-Za-z0-9-]", "-", step_name)
    if step_type in ("Tuning", "AutoML"):
        return f"{execution_id}-{text[:7].rstrip('-')}-{suffix}"
    return f"pipelines-{execution_id}-{text[:20]}-{suffix}"
