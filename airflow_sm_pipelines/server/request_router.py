"""Decides on each request: whether the endpoint answers it at all, and which service does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.local_endpoint import CONSOLE_PATH
from airflow_sm_pipelines.server.access_keys import CallerRule
from airflow_sm_pipelines.server.console.page_access import PageAccess
from airflow_sm_pipelines.server.event_targets import refuse_schedules, refuse_unserved_targets
from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.http.host_rules import is_allowed_fetch, is_allowed_host, is_allowed_origin
from airflow_sm_pipelines.server.http.messages import Request, Response, make_authorization
from airflow_sm_pipelines.server.iam_roles import IamRoles, simulate_principal_policy
from airflow_sm_pipelines.server.lambda_functions import with_code_inlined
from airflow_sm_pipelines.server.lambda_invocations import is_invocation
from airflow_sm_pipelines.server.missing_names import MissingNames
from airflow_sm_pipelines.server.topic_subscribers import prepare_subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow_sm_pipelines.server.access_keys import AccessKeys

MAX_OBJECT_BYTES = 5 << 30
"""The largest body that S3 takes in one request: S3's own limit."""

MAX_REQUEST_BYTES = 128 << 20
"""The largest body for any other service: above Lambda's 50 MB in base64."""

_FETCH_WORDS = ("site", "mode", "dest")
_OBJECT_HEADERS = (("Content-Security-Policy", "sandbox"), ("X-Content-Type-Options", "nosniff"))


class RequestRouter:
    """Sends each request to its service.

    :param call_moto: answers for every service but SageMaker's pipelines, and for those too until `attach`.
    :param keys: the keys with which requests may be signed.
    :param host_names: names beside the loopback ones that the endpoint answers to.
    """

    def __init__(
        self, call_moto: Callable[[Request], Response], keys: AccessKeys, host_names: Collection[str] = ()
    ) -> None:
        self._call_moto = call_moto
        self._keys = keys
        self.callers = CallerRule(keys)
        self.missing_names = MissingNames()
        self._pages = PageAccess(keys)
        self._host_names = frozenset(host_names)
        self._roles = IamRoles(call_moto)
        self._call_sagemaker = call_moto
        self._call_console = call_moto
        self._call_functions = call_moto

    def attach(
        self,
        *,
        sagemaker: Callable[[Request], Response],
        console: Callable[[Request], Response],
        functions: Callable[[Request], Response],
    ) -> None:
        """Set the services of our own.

        :param sagemaker: answers SageMaker's operations.
        :param console: answers with the console's pages.
        :param functions: answers Lambda's Invoke.
        """
        self._call_functions = functions
        self._call_sagemaker = sagemaker
        self._call_console = console

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request that is refused by its headers alone, or None where it is to be answered.

        :param request: the request, its body not yet read.
        """
        reason = self._find_refusal(request)
        if reason is None and not _is_page(request):
            reason = self.callers.find_early_refusal(request)
        return None if reason is None else error_response(request, "AccessDenied", reason, status=403)

    def _find_refusal(self, request: Request) -> str | None:
        is_page = _is_page(request)
        fetch = {word: str(request.environ.get(f"HTTP_SEC_FETCH_{word.upper()}", "")) for word in _FETCH_WORDS}
        fetch = {word: value for word, value in fetch.items() if value}
        if not is_allowed_host(request.host, self._host_names):
            return (
                f"This endpoint does not answer to the host name '{request.host}'; call it as 127.0.0.1 or localhost."
            )
        if not is_allowed_origin(request.environ.get("HTTP_ORIGIN"), request.host):
            return "This endpoint does not answer to web pages of other sites."
        if not is_allowed_fetch(fetch, opens_page=is_page and request.method == "GET"):
            return "This endpoint does not answer to web pages of other sites; they may only link to its own pages."
        if request.path.startswith("/moto-api"):
            return "moto's own API is closed here: it would lose state."
        if not request.region and not is_page and "_" in request.path.lstrip("/").partition("/")[0]:
            # moto takes such a path, unsigned, for a call to a service.
            return "No bucket's name holds an underscore, and other services are called with signed requests."
        if not request.region and request.method == "GET" and "Action" in request.query:
            return "An API is called with a signed request; this one is an address that anybody could link to."
        return None

    def max_body_bytes(self, request: Request) -> int:
        """How large the body of a request may be.

        :param request: the request, its body not yet read.
        """
        # A caller that is not known yet gets no room for five gigabytes.
        is_large = request.service == "s3" and not self.callers.awaits_body(request)
        return MAX_OBJECT_BYTES if is_large else MAX_REQUEST_BYTES

    def call(self, request: Request) -> Response:
        """The answer to a request that was not refused by its headers.

        :param request: the request.
        """
        response = self._call(request)
        self.missing_names.note(request, response)
        return response

    def _call(self, request: Request) -> Response:
        if _is_page(request):
            return self._pages.find_answer(request) or self._call_console(request)
        reason = self.callers.find_refusal(request)
        if reason is not None:
            return error_response(request, "AccessDenied", reason, status=403)
        if not request.region and request.service != "s3":
            # moto takes an unsigned request for one to S3.
            scope = make_authorization("", request.service)
            request = Request({**request.environ, "HTTP_AUTHORIZATION": scope}, request.body)
        is_runtime = request.service == "sagemaker" and request.path.startswith("/endpoints/")
        if request.target.startswith("SageMaker.") or is_runtime:
            return self._call_sagemaker(request)
        if is_invocation(request):
            return self._call_functions(request)
        refusal = refuse_unserved_targets(request, self._call_moto) or refuse_schedules(request)
        if refusal is not None:
            return refusal
        prepare_subscription(request, self._call_moto)
        self._roles.prepare(request)
        request = with_code_inlined(request)
        if request.service == "iam" and request.operation == "SimulatePrincipalPolicy":
            return simulate_principal_policy(request)
        response = self._keys.with_derived_secrets(request, self._call_moto(request))
        if request.service == "s3":
            # An object may be a page of anybody's, and it comes from the address of the endpoint's own pages.
            response = replace(response, headers=(*response.headers, *_OBJECT_HEADERS))
        return response


def _is_page(request: Request) -> bool:
    return request.path == CONSOLE_PATH or request.path.startswith(f"{CONSOLE_PATH}/")
