"""An HTTP request as text and bytes in the database, and back: what the request journal and the buckets keep."""

from __future__ import annotations

import json
from typing import Any

from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, DEFAULT_REGION

_KEPT = frozenset(
    {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI", "CONTENT_TYPE", "HTTP_HOST"}
)
# The client's credentials and signature say nothing that a replay needs.
_DROPPED = frozenset({"HTTP_X_AMZ_SECURITY_TOKEN", "HTTP_X_AMZ_DATE", "HTTP_AUTHORIZATION"})
_FIXED = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "SCRIPT_NAME": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
}


def authorization(region: str, service: str) -> str:
    """An Authorization header that names a region and a service; its signature is nobody's.

    :param region: the region, or empty for the default one.
    :param service: the service's signing name.
    """
    scope = f"{ACCESS_KEY_ID}/20200101/{region or DEFAULT_REGION}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def record_environ(request: Request) -> str:
    """What of a request's environment a replay needs, as JSON.

    :param request: the request.
    """
    kept = {
        name: value
        for name, value in request.environ.items()
        if isinstance(value, str) and (name in _KEPT or (name.startswith("HTTP_X_AMZ") and name not in _DROPPED))
    }
    return json.dumps({**kept, "HTTP_AUTHORIZATION": authorization(request.region, request.service)})


def restore_request(environ: str, body: bytes) -> Request:
    """The request that was recorded.

    :param environ: what `record_environ` gave.
    :param body: the request's body.
    """
    return Request({**_FIXED, **json.loads(environ)}, body)


def make_request(service: str, region: str, form: dict[str, Any]) -> Request:
    """A request of the query protocol, as a client of this process would send it.

    :param service: the service's signing name, such as ``iam``.
    :param region: the region.
    :param form: the parameters, Action and Version among them.
    """
    from urllib.parse import urlencode

    environ = {
        **_FIXED,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_AUTHORIZATION": authorization(region, service),
    }
    return Request(environ, urlencode(form).encode())


def make_json_request(service: str, region: str, target: str, document: dict[str, Any]) -> Request:
    """A request of the JSON protocol, as a client of this process would send it.

    :param service: the service's signing name, such as ``logs``.
    :param region: the region.
    :param target: the X-Amz-Target, such as ``Logs_20140328.CreateLogGroup``.
    :param document: the request.
    """
    environ = {
        **_FIXED,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/x-amz-json-1.1",
        "HTTP_X_AMZ_TARGET": target,
        "HTTP_AUTHORIZATION": authorization(region, service),
    }
    return Request(environ, json.dumps(document).encode())
