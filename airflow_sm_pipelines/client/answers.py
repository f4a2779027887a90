"""Makes a call and reads its answer: the one way in which this package asks AWS for something.

A status of 200 is no success by itself. A proxy answers with its log-in page, a broken connection leaves half of a
JSON text, and botocore takes both for an empty answer. So each answer is held against the service's own model, and the
caller names the members that it cannot do without.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.old_clients import require_known
from airflow_sm_pipelines.exceptions import PipelineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UNREADABLE_ANSWER = "UnreadableAnswer"
"""The code of the error for an answer that is not the service's."""

ANSWER_PAUSES = (0.5, 1.5)
"""Seconds to wait before an unreadable answer is asked for again, once for each entry."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": datetime,
    "list": list,
    "map": dict,
    "structure": dict,
}


class _UnreadableAnswerError(Exception):
    """What is wrong with an answer."""


def ask(
    client: Any,
    operation: str,
    target: str,
    *,
    required: Sequence[str] = (),
    entries: Mapping[str, Sequence[str]] | None = None,
    pauses: Sequence[float] = (),
    **request: Any,
) -> dict[str, Any]:
    """Make one call, and give its answer once all of it can be trusted.

    :param client: a boto3 client.
    :param operation: its method, such as ``describe_pipeline``.
    :param target: what is asked about, for messages.
    :param required: the members without which the answer is none. Those called ``…Arn`` must hold an ARN.
    :param entries: for each member that is a list, the members that each of its entries must have.
    :param pauses: seconds to wait before an unreadable answer is asked for again, once for each entry. Give none for a
        call that must not be repeated.
    :param request: the call's arguments.
    :raises PipelineApiError: one of its subclasses; ``PipelineUnavailableError`` with the code
        :data:`UNREADABLE_ANSWER` for an answer that does not come from the service, ``OldClientError`` for a call that
        the installed boto3 does not know.
    """
    name = require_known(client, operation, request)
    client.meta.events.register_last("after-call.*", _check_body, unique_id="sm-pipelines-answer")
    for pause in (*pauses, None):
        try:
            with mapped_errors(name, target):
                answer = _call(client, operation, request)
                _check_members(client, name, answer, required, entries or {})
            return answer
        except _UnreadableAnswerError as error:
            if pause is None:
                text = f"{name} on '{target}' was answered by something that is not the service: {error}"
                raise PipelineUnavailableError(text, code=UNREADABLE_ANSWER) from error
            time.sleep(pause)
    raise AssertionError("unreachable")


def ask_pages(
    client: Any,
    operation: str,
    target: str,
    *,
    member: str,
    each: Sequence[str] = (),
    token_name: str = "NextToken",  # noqa: S107 (the name of a member)
    **request: Any,
) -> Iterator[Any]:
    """The entries of a list call. Pages are read as they are needed, and each must have the list.

    :param member: the list in the answer.
    :param each: the members that each entry must have.
    :param token_name: the member with the token of the next page.
    :param request: the other arguments of :func:`ask`.
    """
    seen: set[str] = set()
    while True:
        answer = ask(client, operation, target, required=(member,), entries={member: each}, **request)
        yield from answer[member]
        token = answer.get(token_name)
        if not token:
            return
        if token in seen:
            name = client.meta.method_to_api_mapping[operation]
            text = f"{name} on '{target}' was answered by something that is not the service: its pages go in a circle."
            raise PipelineUnavailableError(text, code=UNREADABLE_ANSWER)
        seen.add(token)
        request[token_name] = token


def _call(client: Any, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as botocore reads it; botocore dies of members that have the wrong type."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        answer: dict[str, Any] = getattr(client, operation)(**request)
    except (BotoCoreError, ClientError):
        raise
    except (ResponseParserError, TypeError, AttributeError, ValueError, KeyError, RuntimeError) as error:
        raise _UnreadableAnswerError(f"{type(error).__name__}: {error}") from error
    return answer


def _check_body(http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
    """Refuse the body of a successful answer that is no JSON object.

    Botocore calls it after each call. It takes a text that is no JSON for an empty answer.
    """
    if http_response.status_code >= 300 or not _is_json_protocol(model):
        return
    body = http_response.content or b""
    if not body and (model.output_shape is None or not model.output_shape.members):
        return
    try:
        value = json.loads(body)
    except ValueError as error:
        raise _UnreadableAnswerError(f"its {len(body)} bytes are no JSON") from error
    if not isinstance(value, dict):
        raise _UnreadableAnswerError("its JSON is no object")
    for member, shape in ({} if model.output_shape is None else model.output_shape.members).items():
        if shape.type_name == "list" and not isinstance(value.get(member), (list, type(None))):
            # Botocore would take a text for the list of its characters.
            raise _UnreadableAnswerError(f"{member} is no list")


def _is_json_protocol(model: Any) -> bool:
    protocol = getattr(model.service_model, "resolved_protocol", None) or model.service_model.metadata.get("protocol")
    return str(protocol) == "json"


def _check_members(
    client: Any, name: str, answer: Any, required: Sequence[str], entries: Mapping[str, Sequence[str]]
) -> None:
    shape = client.meta.service_model.operation_model(name).output_shape
    if not isinstance(answer, dict):
        raise _UnreadableAnswerError("it is empty")
    wrong = find_wrong_type(shape, answer, "") if shape is not None else None
    if wrong is not None:
        raise _UnreadableAnswerError(wrong)
    for member in required:
        value = answer.get(member)
        if value is None or value == "":
            raise _UnreadableAnswerError(f"it has no {member}")
        if member.endswith("Arn") and not value.startswith("arn:"):
            raise _UnreadableAnswerError(f"{member} is {value!r}, which is no ARN")
    for member, each in entries.items():
        for number, item in enumerate(answer.get(member) or ()):
            missing = next((one for one in each if item.get(one) in (None, "")), None)
            if missing is not None:
                raise _UnreadableAnswerError(f"{member}[{number}] has no {missing}")


def find_wrong_type(shape: Any, value: Any, path: str) -> str | None:
    """The first place where a value has another type than the service's model says; None if there is none.

    It asks for types only, of any service, with the shapes that the client has loaded anyway. ``service_model`` judges
    SageMaker's values whole; a test holds both to the same verdict on types.
    """
    kind = _TYPES.get(shape.type_name)
    if kind is None or getattr(shape, "is_document_type", False):
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return f"{path or 'the answer'} is {value!r:.80}, where a {shape.type_name} was expected"
    content: Any = value
    parts: list[tuple[Any, Any, str]] = []
    if shape.type_name == "structure":
        for key, item in content.items():
            if key in shape.members and item is not None:
                parts.append((shape.members[key], item, f"{path}.{key}" if path else key))
    elif shape.type_name == "list":
        parts = [(shape.member, item, f"{path}[{number}]") for number, item in enumerate(content)]
    elif shape.type_name == "map":
        parts = [(shape.value, item, f"{path}[{key!r}]") for key, item in content.items()]
    found = (find_wrong_type(*part) for part in parts)
    return next((one for one in found if one is not None), None)
