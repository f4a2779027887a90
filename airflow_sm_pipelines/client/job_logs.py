"""Where a step's job writes its logs in CloudWatch, and the last lines of them.

Source of the group names: the developer guide, "Log groups and streams that Amazon SageMaker AI sends to CloudWatch
Logs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.answers import ask
from airflow_sm_pipelines.definition.arns import execution_id_of, parse_arn
from airflow_sm_pipelines.exceptions import PipelineApiError
from airflow_sm_pipelines.local_endpoint import DIFFERENCES_STREAM, EXECUTION_LOG_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import StepReport

_GROUPS = {
    "processing-job": "/aws/sagemaker/ProcessingJobs",
    "training-job": "/aws/sagemaker/TrainingJobs",
    "transform-job": "/aws/sagemaker/TransformJobs",
}

_MAX_DIFFERENCES = 100


def resolve_log_location(job_arn: str | None) -> tuple[str, str] | None:
    """The log group of a job and the prefix of its log streams; None for anything without logs of its own.

    :param job_arn: ``arn:…:training-job/<name>``, or a Lambda function's ARN.
    """
    arn = parse_arn(job_arn or "")
    if arn is None:
        return None
    if arn.kind in _GROUPS and arn.name:
        return _GROUPS[arn.kind], arn.name
    if arn.kind == "function":
        return f"/aws/lambda/{arn.name.partition(':')[0]}", ""
    return None


def read_stream_tail(logs: Any, group: str, stream_prefix: str, *, max_lines: int) -> list[str]:
    """The last lines of the newest CloudWatch log stream with this prefix; empty when there is none.

    :param logs: a boto3 client of CloudWatch Logs.
    :raises PipelineApiError: if there is no such group, or it may not be read.
    """
    streams = ask(
        logs,
        "describe_log_streams",
        f"{group}/{stream_prefix}",
        required=("logStreams",),
        entries={"logStreams": ("logStreamName",)},
        logGroupName=group,
        logStreamNamePrefix=stream_prefix,
    )["logStreams"]
    if not streams:
        return []
    newest = max(streams, key=lambda stream: stream.get("lastEventTimestamp") or stream.get("creationTime") or 0)
    answer = ask(
        logs,
        "get_log_events",
        f"{group}/{newest['logStreamName']}",
        required=("events",),
        logGroupName=group,
        logStreamName=newest["logStreamName"],
        startFromHead=False,
        limit=max_lines,
    )
    return [str(event.get("message") or "").rstrip() for event in answer["events"]][-max_lines:]


def read_differences(calls: SageMakerCalls, execution_arn: str) -> list[str]:
    """What an ended execution of a local endpoint relied on that may differ on AWS, a line each.

    The endpoint writes it down, so it is told to whoever runs against it. On AWS there is no such stream.
    """
    prefix = f"{execution_id_of(execution_arn)}/{DIFFERENCES_STREAM}/"
    try:
        return calls.read_log_tail(EXECUTION_LOG_GROUP, prefix, max_lines=_MAX_DIFFERENCES)
    except PipelineApiError:
        return []


def read_log_tails(
    calls: SageMakerCalls, steps: Iterable[StepReport], *, max_lines: int, warn: Callable[[str], None]
) -> dict[str, tuple[str, list[str]]]:
    """The log group and the last log lines of each step's job, by step name.

    Jobs without readable logs are left out. So are Lambda functions, since all invocations share their log streams.

    :param warn: told which logs could not be read, and why. A missing log never hides the step's own reason.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for step in steps:
        location = resolve_log_location(step.job_arn)
        if location is None or not location[1] or max_lines <= 0:
            continue
        try:
            tail = calls.read_log_tail(*location, max_lines=max_lines)
        except PipelineApiError as error:
            warn(f"The log of step '{step.name}' could not be read: {error}")
            continue
        if tail:
            found[step.name] = (f"{location[0]}/{location[1]}", tail)
    return found
