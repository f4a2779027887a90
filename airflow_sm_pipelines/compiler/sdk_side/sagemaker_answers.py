"""Answers what would change something in SageMaker, without sending it: a build only describes.

Belongs here: the answers, and what later calls are told of things that were made so. What starts a job is refused
instead (see `aws_calls`): a script that starts jobs would go on with results that do not exist.
"""

from __future__ import annotations

import datetime
import re
import sys
from typing import Any

_ENDED = ("Succeeded", "Completed", "InService", "Active", "Available", "Created", "Approved", "Ready")
_MADE = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_VERBS = ("Create", "Update", "Delete", "Describe", "Start", "Stop", "Register", "Retry")


class SageMakerAnswers:
    """The SageMaker of one build: what the script asked for, as far as it can see.

    :ivar calls: the operations that were answered instead of sent, with what they were about.
    """

    def __init__(self, *, account: str, partition: str = "aws") -> None:
        self._account = account
        self._partition = partition
        self._made: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.definition_uris: set[str] = set()

    def answer_write(self, client: Any, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Give an answer of the operation's form, and remember what it was to make."""
        name = _name_in(arguments)
        what = f"sagemaker:{operation}{f' {name}' if name else ''}"
        self.calls.append(what)
        print(f"{what} is not sent: a build changes nothing in SageMaker.", file=sys.stderr)
        kind = _kind_of(operation)
        arn = self._arn(client, kind, name or "unnamed")
        known = {**arguments, f"{kind}Arn": arn}
        if location := arguments.get("PipelineDefinitionS3Location"):
            self.definition_uris.add(f"s3://{location['Bucket']}/{location['ObjectKey']}")
        if operation.startswith(("Create", "Start", "Update", "Register")) and name:
            for key in (name, arn):
                self._made[kind, key] = {**self._made.get((kind, key), {}), **known}
        return _fabricate(client.meta.service_model.operation_model(operation).output_shape, known)

    def made(self, kind: str, name: str) -> dict[str, Any]:
        """Give the arguments with which the script was to make something; empty where it was not."""
        return self._made.get((kind, name), {})

    def answer_read(self, client: Any, operation: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Give what a read says of something that the script made so; None where SageMaker has to be asked."""
        name = _name_in(arguments)
        kind = _kind_of(operation)
        if operation == "ListPipelineExecutionSteps" and ("PipelineExecution", name) in self._made:
            return _fabricate(client.meta.service_model.operation_model(operation).output_shape, {})
        if operation == "ListTags":
            name = arguments.get("ResourceArn")
            if not any(key == name for _, key in self._made):
                return None
            return {"Tags": [], "ResponseMetadata": {"HTTPStatusCode": 200}}
        known = self._made.get((kind, name or ""))
        if known is None or not operation.startswith("Describe"):
            return None
        return _fabricate(client.meta.service_model.operation_model(operation).output_shape, known)

    def _arn(self, client: Any, kind: str, name: str) -> str:
        if name.startswith("arn:"):
            return name
        place = f"{client.meta.region_name}:{self._account}"
        if kind == "PipelineExecution":
            return f"arn:{self._partition}:sagemaker:{place}:pipeline/{name.lower()}/execution/notstarted00"
        word = re.sub(r"(?<!^)(?=[A-Z][a-z])", "-", kind).lower()
        return f"arn:{self._partition}:sagemaker:{place}:{word}/{name.lower()}"


def _kind_of(operation: str) -> str:
    for verb in _VERBS:
        if operation.startswith(verb):
            return operation[len(verb) :]
    return operation


def _name_in(arguments: dict[str, Any]) -> str | None:
    """Give the name of what a call is about: the first member that names something."""
    for key, value in arguments.items():
        if (
            isinstance(value, str)
            and key.endswith(("Name", "Arn", "Id"))
            and key not in ("RoleArn", "ClientRequestToken")
        ):
            return value
    return None


def _fabricate(shape: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Give an answer of a shape: what is known, and for the rest what reads as made and ended."""
    answer: dict[str, Any] = {}
    for name, member in (shape.members if shape is not None else {}).items():
        if name in known or (name.endswith("Arn") and isinstance(known.get(name), str)):
            answer[name] = known[name]
        elif member.type_name == "timestamp":
            answer[name] = _MADE
        elif getattr(member, "enum", None) and name.endswith("Status"):
            answer[name] = next((status for status in _ENDED if status in member.enum), member.enum[0])
        elif name in shape.required_members:
            answer[name] = _empty(member)
    for name in ("PipelineExecutionSteps",):
        if shape is not None and name in shape.members:
            answer[name] = []
    answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    return answer


def _empty(member: Any) -> Any:
    if member.type_name == "structure":
        return {}
    return {"list": [], "map": {}, "boolean": False, "integer": 0, "long": 0}.get(member.type_name, "")
