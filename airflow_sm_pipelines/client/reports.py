"""What an execution and its steps look like at one moment: plain data, read from API answers, safe as JSON.

Pure: no call is made here. The trigger's event, the XComs and the error messages are all made of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# Keys of PipelineExecutionStepMetadata whose name is not the step's type in the definition.
_TYPES = {
    "TrainingJob": "Training",
    "ProcessingJob": "Processing",
    "TransformJob": "Transform",
    "TuningJob": "Tuning",
    "AutoMLJob": "AutoML",
}


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of an execution, as ``ListPipelineExecutionSteps`` last told it.

    :param name: the step's name in the definition.
    :param type: the step's type in the definition's words, or None while the service has not said.
    :param status: one of :class:`StepStatus`, or a word AWS has added since.
    :param failure_reason: the service's reason; None unless the step failed.
    :param start_time: ISO 8601 with offset.
    :param end_time: ISO 8601 with offset; None while the step runs.
    :param seconds: from start to end; None while the step runs.
    :param job_arn: the job, model, package or function the step made or called.
    :param attempts: how often it was tried.
    :param cached_from: the execution whose result was reused; None unless the cache was hit.
    :param iteration: the index in a ForEach step; None outside one.
    :param metadata: the step's metadata as the service gave it: ``{"Condition": {"Outcome": "True"}}``.
    """

    name: str
    type: str | None
    status: str
    failure_reason: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    seconds: float | None = None
    job_arn: str | None = None
    attempts: int | None = None
    cached_from: str | None = None
    iteration: int | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def is_failed(self) -> bool:
        """Whether the step itself failed; a step that was stopped did not."""
        return self.status == StepStatus.FAILED

    @property
    def is_terminal(self) -> bool:
        """Whether the step has ended; a status not known here counts as running."""
        return self.status in (StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.STOPPED)

    def to_json(self) -> dict[str, Any]:
        """The step as JSON, for events."""
        return {name: getattr(self, name) for name in self.__slots__}

    def summary(self) -> dict[str, Any]:
        """The step as a short JSON object, for XCom: name, type, status, seconds, job ARN and reason."""
        found: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "status": str(self.status),
            "seconds": self.seconds,
            "job_arn": self.job_arn,
        }
        if self.failure_reason:
            found["failure_reason"] = self.failure_reason
        if self.cached_from:
            found["cached_from"] = self.cached_from
        if self.iteration is not None:
            found["iteration"] = self.iteration
        return found


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """An execution as ``DescribePipelineExecution`` last told it, with its steps.

    :param arn: the execution's ARN.
    :param status: one of :class:`ExecutionStatus`, or a word AWS has added since.
    :param failure_reason: the service's reason; None unless it failed.
    :param pipeline_version_id: the version it runs; None where the service did not say.
    :param steps: the steps that were scheduled, in the order they started.
    """

    arn: str
    status: str
    failure_reason: str | None = None
    pipeline_version_id: int | None = None
    steps: tuple[StepReport, ...] = ()

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended; a status not known here counts as running."""
        return self.is_known and ExecutionStatus(self.status).is_terminal

    @property
    def is_known(self) -> bool:
        """Whether the status is one of the six this release knows."""
        return self.status in {status.value for status in ExecutionStatus}

    @property
    def pipeline_name(self) -> str:
        """The pipeline's name, as the execution's ARN carries it."""
        return parse_execution_arn(self.arn)[0]

    @property
    def failed_steps(self) -> tuple[StepReport, ...]:
        """The steps that failed."""
        return tuple(step for step in self.steps if step.is_failed)

    def latest_step(self, name: str) -> StepReport | None:
        """The step of that name, the last to start if there are several; None if it has not started."""
        return next((step for step in reversed(self.steps) if step.name == name), None)

    def with_steps(self, steps: tuple[StepReport, ...]) -> ExecutionReport:
        """The same execution with other steps."""
        return replace(self, steps=steps)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON, for events."""
        return {
            "execution_arn": self.arn,
            "status": str(self.status),
            "failure_reason": self.failure_reason,
            "pipeline_version_id": self.pipeline_version_id,
            "steps": [step.to_json() for step in self.steps],
        }


def parse_report(value: Mapping[str, Any]) -> ExecutionReport:
    """The report that :meth:`ExecutionReport.to_json` wrote."""
    return ExecutionReport(
        arn=value["execution_arn"],
        status=value["status"],
        failure_reason=value.get("failure_reason"),
        pipeline_version_id=value.get("pipeline_version_id"),
        steps=tuple(StepReport(**step) for step in value.get("steps", ())),
    )


def parse_execution(answer: Mapping[str, Any]) -> ExecutionReport:
    """The execution in an answer of ``DescribePipelineExecution``, without its steps."""
    return ExecutionReport(
        arn=answer["PipelineExecutionArn"],
        status=str(answer["PipelineExecutionStatus"]),
        failure_reason=answer.get("FailureReason"),
        pipeline_version_id=answer.get("PipelineVersionId"),
    )


def parse_execution_summary(item: Mapping[str, Any]) -> ExecutionReport:
    """One element of ``PipelineExecutionSummaries`` in an answer of ``ListPipelineExecutions``."""
    return ExecutionReport(
        arn=item["PipelineExecutionArn"],
        status=str(item.get("PipelineExecutionStatus", "Unknown")),
        failure_reason=item.get("PipelineExecutionFailureReason"),
    )


def parse_step(item: Mapping[str, Any]) -> StepReport:
    """One element of ``PipelineExecutionSteps`` in an answer of ``ListPipelineExecutionSteps``."""
    metadata: Mapping[str, Any] = item.get("Metadata") or {}
    key = next(iter(metadata), None)
    details = metadata[key] if key is not None else {}
    start, end = item.get("StartTime"), item.get("EndTime")
    iteration = item.get("IterationContext") or {}
    return StepReport(
        name=item["StepName"],
        type=None if key is None else _TYPES.get(key, key),
        status=str(item.get("StepStatus", "Unknown")),
        failure_reason=item.get("FailureReason"),
        start_time=_isoformat(start),
        end_time=_isoformat(end),
        seconds=round((end - start).total_seconds(), 3) if start is not None and end is not None else None,
        job_arn=details.get("Arn") or details.get("CheckJobArn"),
        attempts=item.get("AttemptCount"),
        cached_from=(item.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn"),
        iteration=iteration.get("Index"),
        metadata={key: dict(details)} if key is not None else None,
    )


def parse_execution_arn(arn: str) -> tuple[str, str]:
    """The pipeline's name and the execution's id in ``arn:…:pipeline/<name>/execution/<id>``."""
    parts = arn.split(":", 5)[-1].split("/")
    return (parts[1] if len(parts) > 1 else "", parts[3] if len(parts) > 3 else "")


def _isoformat(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
