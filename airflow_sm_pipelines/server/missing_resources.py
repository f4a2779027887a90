"""What another service answers about a resource that is not there, where moto fails instead or answers with nothing.

The code of the error is the one that the service's API model has for it. The words are ours, in the services' manner.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from airflow_sm_pipelines.server.http.aws_errors import json_error

if TYPE_CHECKING:
    from airflow_sm_pipelines.server.http.messages import Request, Response

_ASKS = re.compile("Describe|Get|Stop|Delete|Update")
_SHORT_BYTES = 200
"""No answer that says nothing is longer."""
_CODES = (
    re.compile("NotFound|NoSuch|DoesNotExist|Nonexistent"),
    # Athena, for one, has no other error for it.
    re.compile("InvalidRequest|InvalidParameter|Validation|BadRequest|InvalidInput"),
)


def answer_failed_lookup(request: Request, error: Exception) -> Response | None:
    """The service's error where moto failed since it did not find what the request names; None for any other failure.

    :param error: what moto raised.
    """
    names = read_names(request)
    is_key = isinstance(error, KeyError) and bool(error.args) and str(error.args[0]) in names
    is_none = isinstance(error, AttributeError) and str(error).startswith("'NoneType' object has no attribute")
    return _answer(request, names) if is_key or is_none else None


def answer_nothing_found(request: Request, response: Response) -> Response | None:
    """The service's error where moto answered a question with null only, such as ``{"WorkGroup": null}``.

    :param response: moto's answer.
    """
    asks = response.is_success and re.match("Describe|Get", request.operation)
    if not asks or len(response.body) > _SHORT_BYTES or b"null" not in response.body:
        return None
    try:
        found = dict(json.loads(response.body))
    except (ValueError, TypeError):
        return None
    # An empty list is an answer: a log group may have no streams.
    is_nothing = bool(found) and all(value is None for value in found.values())
    return _answer(request, read_names(request)) if is_nothing else None


def _answer(request: Request, names: list[str]) -> Response | None:
    if not names or not _ASKS.match(request.operation):
        return None
    errors = load_errors(request.service, request.operation)
    code = next((error for pattern in _CODES for error in errors if pattern.search(error)), None)
    if code is None:
        return None
    return json_error(code, f"{request.operation}: '{'/'.join(names)}' was not found.")


def read_names(request: Request) -> list[str]:
    """The texts of a JSON request; of other requests, which name things in their address, none."""
    try:
        return [value for value in json.loads(request.body).values() if isinstance(value, str)]
    except (ValueError, AttributeError):
        return []


@cache
def load_errors(service: str, operation: str) -> tuple[str, ...]:
    """The errors that the API model has for an operation; none for a service that has no model of that name.

    :param service: such as ``sagemaker``.
    :param operation: such as ``DescribeModel``.
    """
    from botocore.exceptions import DataNotFoundError
    from botocore.loaders import Loader

    try:
        model = Loader().load_service_model(service, "service-2")
    except DataNotFoundError:
        return ()
    return tuple(error["shape"] for error in model["operations"].get(operation, {}).get("errors", ()))
