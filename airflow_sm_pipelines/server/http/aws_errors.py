"""Errors in the formats of AWS's protocols, so that every client raises them as typed exceptions."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from airflow_sm_pipelines.server.http.messages import Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON_TYPE = "application/x-amz-json-1.1"


def json_response(status: int, document: str, *, error_code: str | None = None) -> Response:
    """An answer in the JSON 1.1 protocol.

    :param status: the HTTP status.
    :param document: the body.
    :param error_code: the error's code, where the answer is an error.
    """
    headers = [("Content-Type", _JSON_TYPE), ("x-amzn-RequestId", str(uuid.uuid4()))]
    if error_code:
        headers.append(("x-amzn-errortype", error_code))
    return Response(status, document.encode("utf-8"), tuple(headers))


def json_error(
    code: str, message: str, *, status: int = 400, members: Mapping[str, str | int] | None = None
) -> Response:
    """An error in the JSON 1.1 protocol.

    :param code: the error's code, such as ``ResourceNotFound``.
    :param message: the text for people.
    :param status: the HTTP status; AWS uses 400 for a client's fault and 500 for its own.
    :param members: further ones of the error's shape.
    """
    # The service sends one spelling of "message" or the other, by the class of the error, and clients read either.
    document = {"__type": code, "message": message, "Message": message, **(members or {})}
    return json_response(status, json.dumps(document), error_code=code)


def error_response(request: Request, code: str, message: str, *, status: int = 400) -> Response:
    """An error in the protocol of the request: S3's XML, query, or JSON, which REST services read too.

    :param request: the request that failed.
    :param code: the error's code.
    :param message: the text for people.
    :param status: the HTTP status.
    """
    # The body of a refused request may not have been read.
    is_query = request.content_type.startswith("application/x-www-form-urlencoded") or "Action" in request.query
    if request.service != "s3" and not is_query:
        return json_error(code, message, status=status)
    request_id = str(uuid.uuid4())
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if not is_query:
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    else:
        kind = "Sender" if status < 500 else "Receiver"
        error = f"<Error><Type>{kind}</Type>{error}</Error>"
        text = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
    headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    return Response(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), headers)
