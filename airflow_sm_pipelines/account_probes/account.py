"""An account, real or local, on which probes run: what they make there, and how it is removed again.

Everything has a name that begins with the run's, and its tag. So a run that was killed can be cleaned up by its name.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.definition import JsonObject, JsonValue

TAG = "sm-pipelines:conformance"
"""The tag of everything that a run makes; its value is the run."""

_PREFIX = "smconf-"
_OPEN = ("Executing", "Stopping")


class ProbeTimeoutError(SageMakerPipelinesError):
    """An execution of a probe that did not end in time."""


def make_run_id() -> str:
    """A new name for a run: ``smconf-1a2b3c4d``."""
    return _PREFIX + secrets.token_hex(4)


class Account:
    """One side of the comparison.

    :param calls: the connection.
    :param run_id: the name of the run.
    :param role_arn: the role of the pipelines.
    :param poll_seconds: between two looks at an execution.
    :param timeout_seconds: for an execution.
    :ivar sagemaker: a boto3 client of SageMaker.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        run_id: str,
        *,
        role_arn: str,
        poll_seconds: float = 5.0,
        timeout_seconds: float = 1800.0,
    ) -> None:
        self.sagemaker = calls.client_of("sagemaker")
        self.role_arn = role_arn
        self._sqs = calls.client_of("sqs")
        self.run_id = run_id
        self._poll_seconds = poll_seconds
        self._timeout_seconds = timeout_seconds
        self._queue: str | None = None

    @property
    def tags(self) -> list[dict[str, str]]:
        """The tags of what is made."""
        return [{"Key": TAG, "Value": self.run_id}]

    @property
    def queue_url(self) -> str:
        """The queue of Callback steps; made when it is first asked for."""
        if self._queue is None:
            made = self._sqs.create_queue(QueueName=f"{self.run_id}-queue", tags={TAG: self.run_id})
            self._queue = str(made["QueueUrl"])
        return self._queue

    def name(self, probe: str) -> str:
        """The name of a probe's pipeline."""
        return f"{self.run_id}-{probe}"

    def create(self, probe: str, steps: Sequence[JsonObject], **members: JsonValue) -> str:
        """Create a pipeline.

        :return: ``accepted``, or the error's code.
        """
        definition = {"Version": "2020-12-01", "Steps": list(steps), **members}
        return code_of(
            lambda: self.sagemaker.create_pipeline(
                PipelineName=self.name(probe),
                PipelineDefinition=json.dumps(definition),
                RoleArn=self.role_arn,
                ClientRequestToken=secrets.token_hex(20),
                Tags=self.tags,
            )
        )

    def start(self, probe: str, **request: Any) -> str:
        """Start an execution of a pipeline that was created; its ARN."""
        request = {"ClientRequestToken": secrets.token_hex(20), **request}
        started = self.sagemaker.start_pipeline_execution(PipelineName=self.name(probe), **request)
        return str(started["PipelineExecutionArn"])

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps of an execution by name."""
        pages = self.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
        return {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}

    def status(self, arn: str) -> str:
        """The status of an execution."""
        return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def finish(self, arn: str) -> JsonObject:
        """Wait for an execution's end.

        :return: its status, and of each step the status and, of a Condition, the outcome.
        """
        self.wait(lambda: self.status(arn) not in _OPEN)
        steps: JsonObject = {}
        for name, step in sorted(self.steps(arn).items()):
            outcome = ((step.get("Metadata") or {}).get("Condition") or {}).get("Outcome")
            steps[name] = f"{step['StepStatus']} {outcome}" if outcome else str(step["StepStatus"])
        return {"status": self.status(arn), "steps": steps}

    def run(self, probe: str, steps: Sequence[JsonObject], **members: JsonValue) -> JsonObject:
        """Create a pipeline, run it to its end, and tell how it went; or the code of what refused it."""
        refused = self.create(probe, steps, **members)
        return {"created": refused} if refused != "accepted" else self.finish(self.start(probe))

    def token(self, arn: str, step: str) -> str:
        """The token of a Callback step, once it waits."""

        def find() -> str:
            found = self.steps(arn).get(step, {})
            return str(((found.get("Metadata") or {}).get("Callback") or {}).get("CallbackToken") or "")

        self.wait(lambda: bool(find()))
        return find()

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait for something.

        :raises ProbeTimeoutError: it has not come in time.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise ProbeTimeoutError(f"It did not end within {self._timeout_seconds:.0f} s.")
            time.sleep(self._poll_seconds)

    def clean_up(self) -> list[str]:
        """Remove everything that the run has made; what is left is named, with the reason."""
        left: list[str] = []
        for name in self._pipelines():
            try:
                self._stop(name)
                self.sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken=secrets.token_hex(20))
            except (ClientError, ProbeTimeoutError) as error:
                left.append(f"pipeline {name}: {error}")
        for url in self._sqs.list_queues(QueueNamePrefix=self.run_id).get("QueueUrls", []):
            try:
                self._sqs.delete_queue(QueueUrl=url)
            except ClientError as error:
                left.append(f"queue {url}: {error}")
        return left

    def _pipelines(self) -> list[str]:
        pages = self.sagemaker.get_paginator("list_pipelines").paginate(PipelineNamePrefix=self.run_id)
        return [one["PipelineName"] for page in pages for one in page["PipelineSummaries"]]

    def _stop(self, name: str) -> None:
        for arn in self._open_executions(name):
            with suppress(ClientError):
                self.sagemaker.stop_pipeline_execution(
                    PipelineExecutionArn=arn, ClientRequestToken=secrets.token_hex(20)
                )
            self.wait(lambda arn=arn: self._has_ended(arn))  # type: ignore[misc]

    def _has_ended(self, arn: str) -> bool:
        """Whether an execution that is being stopped has ended; its Callback steps are answered."""
        if self.status(arn) not in _OPEN:
            return True
        for step in self.steps(arn).values():
            callback = (step.get("Metadata") or {}).get("Callback")
            if callback and step["StepStatus"] in ("Executing", "Stopping"):
                with suppress(ClientError):
                    self.sagemaker.send_pipeline_execution_step_failure(CallbackToken=callback["CallbackToken"])
        return False

    def _open_executions(self, name: str) -> Iterator[str]:
        pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=name)
        for page in pages:
            for one in page["PipelineExecutionSummaries"]:
                if one["PipelineExecutionStatus"] in _OPEN:
                    yield one["PipelineExecutionArn"]


def code_of(call: Callable[[], Mapping[str, Any]]) -> str:
    """``accepted``, or the code of the error that a call gets."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "accepted"
