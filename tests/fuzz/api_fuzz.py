"""One round of the fuzz of the API: a request to an operation of the engine, and the judgement of its answer."""

from __future__ import annotations

import contextlib
import json
import random
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import botocore.session

from airflow_sm_pipelines.engine import Engine
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec
from airflow_sm_pipelines.server.sagemaker_service import SageMakerService
from tests.engine.fake_world import (
    ROLE,
    World,
    condition,
    definition_text,
    fail,
    fail_step,
    for_each,
    processing,
    wait_until,
)
from tests.fuzz.shape_values import RequestMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Errors that every operation may give, whether or not the model lists them.
COMMON_ERRORS = frozenset({"ValidationException", "SerializationException"})
#: An answer that takes longer would be a client's time-out sooner or later.
MAX_SECONDS = 10.0
DEFINITIONS = [
    definition_text([processing("A")]),
    definition_text(
        [
            condition(
                "If", [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], then=[], otherwise=[fail_step("No", "x")]
            )
        ],
        parameters=[{"Name": "P", "Type": "String", "DefaultValue": "a"}],
    ),
    definition_text([for_each("Each", ["a", "b"], [processing("Turn")])]),
    definition_text([processing("Bad"), processing("B", depends_on=["Bad"])]),
    definition_text(
        [
            {
                "Name": "Ask",
                "Type": "Callback",
                "SqsQueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/q",
                "Arguments": {},
                "OutputParameters": [],
            }
        ]
    ),
    "{}",
    "not json",
]


class UnfitAnswerError(AssertionError):
    """An answer that no client should get."""


@dataclass
class ApiFuzz:
    """An engine that was sent random requests, and goes on.

    :ivar counts: how often which operation ended how.
    """

    directory: Path
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    known: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.codec = SageMakerCodec()
        self.world = World(self.directory)
        services = replace(self.world.services(), validate_request=self.codec.find_violations)
        self.engine = Engine(self.directory / "state", services, max_workers=4)
        self.world.engine = self.engine
        self.world.behaviours["Bad"] = fail
        self.engine.start()
        self.world.objects["s3://bucket/key"] = DEFINITIONS[0].encode()
        self.service = SageMakerService(self.engine, self.codec, refusals=ServiceError, fallback=self._moto)
        names = ["one", "two", "three", "x" * 63]
        self.known.update(
            PipelineName=list(names),
            PipelineDefinition=list(DEFINITIONS),
            ClientRequestToken=[str(number) * 32 for number in range(8)],
            RoleArn=[ROLE],
            S3Uri=["s3://bucket/key"],
            NextToken=["", "x", "e30=", "bm9uZQ==", "W10="],
            Tags=[[{"Key": "k", "Value": "v"}], []],
        )

    @cached_property
    def operations(self) -> list[str]:
        """What the engine serves, in a fixed order."""
        return sorted(self.engine.operations)

    @cached_property
    def _model(self) -> Any:
        return botocore.session.Session().get_service_model("sagemaker")

    def shoot(self, seed: int) -> str:
        """Send one request.

        :return: the operation and how it ended.
        :raises UnfitAnswerError: for an answer that is not typed, not in the model, or too late.
        """
        chance = random.Random(seed)
        operation = chance.choice(self.operations)
        shape = self._model.operation_model(operation).input_shape
        tokens = [message["token"] for _, message in self.world.messages[-8:]]
        maker = RequestMaker(chance, {**self.known, "CallbackToken": tokens})
        request = maker.make(shape)
        if operation in ("CreatePipeline", "UpdatePipeline") and chance.random() < 0.8:
            request.pop("PipelineDefinitionS3Location", None)
            request["PipelineDefinition"] = chance.choice(DEFINITIONS)
        if chance.random() < 0.35:
            request = maker.break_somewhere(request)
        outcome, document = self.send(operation, request, f"seed {seed}", body=maker.body(request))
        if outcome == "200":
            self._learn(request, document)
        return f"{operation} {outcome}"

    def send(
        self, operation: str, request: Any, story: str, *, body: bytes | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Send a request and judge its answer.

        :param story: for the report of a failure.
        :param body: its body, where that is not the request as JSON.
        :return: ``200`` or the error's code, and the answer.
        :raises UnfitAnswerError: for an answer that is not typed, not in the model, or too late.
        """
        body = json.dumps(request).encode() if body is None else body
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "HTTP_X_AMZ_TARGET": f"SageMaker.{operation}"}
        started = time.monotonic()
        answer = self.service.call(Request(environ, body))
        taken = time.monotonic() - started
        story = f"{story}: {operation} {body[:600]!r} gave {answer.status} {answer.body[:600]!r}"
        document = self._judge(operation, answer, story)
        if taken > MAX_SECONDS:
            raise UnfitAnswerError(f"after {taken:.1f} s, {story}")
        outcome = "200" if answer.status == 200 else str(document["__type"])
        self.counts[operation, outcome] = self.counts.get((operation, outcome), 0) + 1
        return outcome, document

    def _judge(self, operation: str, answer: Response, story: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(answer.body)
        if answer.status == 200:
            return document
        listed = self._model.operation_model(operation).error_shapes
        # For some operations the model lists none at all.
        allowed = {shape.name for shape in listed or self._model.error_shapes} | COMMON_ERRORS
        if answer.status != 400 or document["__type"] not in allowed:
            raise UnfitAnswerError(f"{story}; allowed are {sorted(allowed)}")
        if not document["message"] or "Traceback" in document["message"]:
            raise UnfitAnswerError(f"{story}: no message for people")
        return document

    def _learn(self, request: Any, answer: dict[str, Any]) -> None:
        """Remember names, ARNs and tokens for later requests."""
        for name, value in [*_texts(request), *_texts(answer)]:
            if name.endswith(("Name", "Arn", "Token", "Uri")) and value:
                values = self.known.setdefault(name, [])
                if value not in values:
                    values.append(value)
                    del values[8 : max(8, len(values) - 24)]
                if name.endswith("Arn"):
                    self.known.setdefault("ResourceArn", []).append(value)
                    del self.known["ResourceArn"][:-24]

    def check_it_goes_on(self) -> None:
        """The engine still does its work: every execution ends, and a new one succeeds."""
        self.world.create([processing("A")], name="goes-on")
        if self.world.finish(self.world.start("goes-on")) != "Succeeded":
            raise UnfitAnswerError("after the fuzz an ordinary pipeline does not succeed")
        token: dict[str, Any] = {}
        while True:
            answer = self.engine.call("ListPipelines", token)
            for summary in answer["PipelineSummaries"]:
                self._check_executions(summary["PipelineName"])
            if "NextToken" not in answer:
                break
            token = {"NextToken": answer["NextToken"]}
        self.engine.call("DeletePipeline", {"PipelineName": "goes-on", "ClientRequestToken": "x" * 32})

    def _check_executions(self, pipeline: str) -> None:
        found = self.engine.call("ListPipelineExecutions", {"PipelineName": pipeline, "MaxResults": 100})
        for execution in found["PipelineExecutionSummaries"]:
            arn = execution["PipelineExecutionArn"]
            self.end_callbacks_while_running(arn)
            if self.world.finish(arn) == "Failed":
                reason = self.world.describe(arn).get("FailureReason", "")
                if "InternalServerError" in reason:
                    raise UnfitAnswerError(f"the engine could not drive {arn}: {reason}")

    def end_callbacks_while_running(self, arn: str) -> None:
        """Answer the execution's callbacks until it has ended."""

        def has_ended() -> bool:
            self._end_callback(arn)
            return self.world.describe(arn)["PipelineExecutionStatus"] not in ("Executing", "Stopping")

        wait_until(has_ended)

    def _end_callback(self, arn: str) -> None:
        for _, message in self.world.messages:
            if message["pipelineExecutionArn"] == arn:
                with contextlib.suppress(ServiceError):
                    self.engine.call(
                        "SendPipelineExecutionStepFailure", {"CallbackToken": message["token"], "FailureReason": "over"}
                    )

    @staticmethod
    def _moto(request: Request) -> Response:
        # Tags of resources that are not the engine's.
        return Response(400, b'{"__type": "ResourceNotFound", "message": "moto\'s"}')


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                yield str(key), item
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
