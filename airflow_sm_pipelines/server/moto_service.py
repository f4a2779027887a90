"""moto, in this process, as one function from a request to an answer. Its state is not kept here.

It relies on two of moto's names (``DomainDispatcherApplication``, ``create_backend_app``) and on HTTP. For what it does
not have, moto answers HTTP 500 with HTML, which clients repeat; here that becomes a typed error.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID, DEFAULT_REGION
from airflow_sm_pipelines.server.event_targets import let_targets_be_independent
from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.missing_resources import answer_failed_lookup, answer_nothing_found
from airflow_sm_pipelines.server.topic_subscribers import let_topics_call_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

_WITHOUT_POLICIES = frozenset({"events", "logs", "s3", "sagemaker", "sqs", "sts"})
"""Services that never ask for a managed policy. For the others, 1,400 of them are loaded, in a tenth of a second."""

FAILURE_CODE = "LocalEndpointFailure"
"""The error where moto fails at a request. No SDK repeats it, as it repeats a 500."""


class MotoService:
    """Every AWS service that is not the engine's. moto's state belongs to the process, so there is one at a time."""

    def __init__(self) -> None:
        from moto.core import responses
        from moto.core.config import default_user_config
        from moto.core.utils import method_names_from_class
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        dispatcher: Any = DomainDispatcherApplication
        self._application = dispatcher(create_backend_app)
        # moto 5.2 walks its source folder on each request to find a host name's service, which is half of a call.
        self._application.get_backend_for_host = cache(self._application.get_backend_for_host)
        # moto 5.2 inspects all members of the responding class on each request, which is a fifth of a call.
        vars(responses)["method_names_from_class"] = cache(method_names_from_class)
        self._loaded: set[tuple[str, str]] = set()
        self._has_policies = False
        # Left alone, moto loads AWS's managed policies of every partition during the first request of any kind.
        default_user_config["iam"] = {"load_aws_managed_policies": False}
        self.reset()

    def call(self, request: Request) -> Response:
        """The answer to a request.

        :param request: a request to any service.
        """
        started: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started["status"], started["headers"] = int(status.split(" ", 1)[0]), headers

        environ = request.to_environ()
        try:
            application = self._application.get_application(environ)
        except Exception as error:  # noqa: BLE001 - moto raises anything for a service that it does not know
            # Or for one whose own dependencies are not installed.
            return not_implemented(request, f"({type(error).__name__}: {error})")
        if (change := _CHANGES.get(request.service)) is not None:
            change()
        try:
            chunks = application(environ, start_response)
            try:
                body = b"".join(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except NotImplementedError as error:
            return not_implemented(request, str(error))
        except Exception as error:  # noqa: BLE001 - moto may fail in any way; the client gets one typed error
            if (missing := answer_failed_lookup(request, error)) is not None:
                return missing
            operation = request.operation or f"{request.method} {request.path}"
            _log.warning("moto failed at %s:%s with %s: %s", request.service, operation, type(error).__name__, error)
            _log.debug("moto's own traceback", exc_info=True)
            # Not a 500: the same request would fail in the same way, and clients repeat those.
            return error_response(
                request,
                FAILURE_CODE,
                f"{request.service}:{operation} failed inside the local endpoint's emulation of it "
                f"({type(error).__name__}: {error}). Repeating it will not help; check its values, or use AWS.",
            )
        response = Response(started["status"], body, tuple(started["headers"]))
        # Also redirects: werkzeug's, to an address without its double slashes.
        if response.status >= 300 and _is_page(response):
            return not_implemented(request, "")
        return answer_nothing_found(request, response) or response

    def load(self, request: Request) -> None:
        """Make moto load the request's service in its region, as a first request would.

        Call it before `call`, and at no time when moto's random numbers are seeded: what is loaded draws some.

        :param request: a request to any service.
        """
        from moto import backends

        if not self._has_policies and request.service not in _WITHOUT_POLICIES:
            _load_managed_policies()
            self._has_policies = True
        if (request.service, request.region) in self._loaded:
            return
        self._loaded.add((request.service, request.region))
        find: Any = backends.get_backend
        try:
            self._application.get_application(request.to_environ())
            account = find(request.service)[ACCOUNT_ID]
            account["aws" if "aws" in account else request.region or DEFAULT_REGION]
        except (ImportError, LookupError, AttributeError):
            _log.debug("moto has no %s in %s", request.service, request.region)

    def reset(self) -> None:
        """Forget all state of this process."""
        from moto.core.base_backend import BackendDict

        # S3 holds files, and keeps its buckets' owners outside its backends. The other backends are only dropped:
        # moto's own reset would fill each of them anew, and look for Lambda's containers.
        if "moto.s3.models" in sys.modules:
            from moto.s3.models import s3_backends

            for account in s3_backends.values():
                account.reset()
            s3_backends.bucket_accounts.clear()
        used: list[Any] = vars(BackendDict)["_instances"]
        for backends in used:
            backends.clear()
        used.clear()


def _let_queues_be_long() -> None:
    """Keep the cost of receiving a message apart from how many others wait.

    moto 5.2 counts all messages of a queue three times for each message that it gives, to learn how long one is kept.
    """
    from moto.sqs import models

    def is_kept(backend: Any, queue_name: str, message: Any) -> bool:
        kept_seconds = int(backend.get_queue(queue_name).message_retention_period)
        return bool(message.sent_timestamp / 1000 + kept_seconds > vars(models)["unix_time"]())

    backends: Any = models.SQSBackend
    backends.is_message_valid_based_on_retention_period = is_kept


_CHANGES: Mapping[str, Callable[[], None]] = {
    "events": let_targets_be_independent,
    "sns": let_topics_call_functions,
    "sqs": _let_queues_be_long,
}
"""What of moto is changed before a service's requests; to change it again does nothing."""


def _load_managed_policies() -> None:
    """Give the account AWS's managed policies, so that AWSLambdaBasicExecutionRole and its like can be attached."""
    from moto.core.config import default_user_config
    from moto.iam.models import iam_backends

    backend: Any = iam_backends[ACCOUNT_ID]["aws"]
    if backend.aws_managed_policies:
        return  # a checkpoint had them
    default_user_config["iam"] = {"load_aws_managed_policies": True}
    try:
        backend.aws_managed_policies = backend._init_aws_policies()
    finally:
        default_user_config["iam"] = {"load_aws_managed_policies": False}
    backend.managed_policies = {**backend._init_managed_policies(), **backend.managed_policies}


def not_implemented(request: Request, detail: str) -> Response:
    """The error for what the local endpoint does not have.

    :param request: the request.
    :param detail: a sentence more, or nothing.
    """
    name = request.operation or f"{request.method} {request.path}"
    message = f"The local endpoint does not have {request.service}:{name}. It is not emulated; use AWS for it. {detail}"
    return error_response(request, "UnknownOperationException", message.strip())


def _is_page(response: Response) -> bool:
    content_type = {name.lower(): value for name, value in response.headers}.get("content-type", "")
    return "html" in content_type and response.body.lstrip()[:9].lower() == b"<!doctype"
