"""moto's Lambda functions: their code, for the engine to run and for the request journal to keep."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.server.http.messages import Request

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.jobs import FunctionSpec


def find_function(name_or_arn: str, region: str) -> FunctionSpec | None:
    """The code and configuration of a function.

    :param name_or_arn: its name, or its ARN with or without a qualifier.
    :param region: the endpoint's region. A function is looked for there too if its ARN names another one: a definition
        that was fetched from an account names that account's region.
    :return: the function, or None where moto has none of that name.
    """
    from airflow_sm_pipelines.engine.jobs import FunctionSpec

    arn = parse_arn(name_or_arn)
    function = _find(name_or_arn, arn.region if arn else region)
    if function is None and arn is not None and arn.region != region:
        function = _find(arn.name.partition(":")[0], region)
    if function is None:
        return None
    return FunctionSpec(
        arn=function.function_arn,
        name=function.function_name,
        runtime=function.run_time or "",
        handler=function.handler or "",
        code_zip=getattr(function, "code_bytes", b""),
        environment=dict(function.environment_vars or {}),
        timeout_seconds=int(function.timeout),
        memory_mb=int(function.memory_size),
        layers=tuple(_read_layer(layer["Arn"]) for layer in function.layers),
    )


def _find(name_or_arn: str, region: str) -> Any:
    """The function as moto has it, or None."""
    from moto.awslambda.exceptions import UnknownFunctionException
    from moto.awslambda.models import lambda_backends
    from moto.core.exceptions import JsonRESTError, ServiceException

    backend = lambda_backends[ACCOUNT_ID]
    try:
        return backend[region].get_function(name_or_arn) if region in backend else None
    except (UnknownFunctionException, JsonRESTError, ServiceException):
        return None


def _read_layer(arn: str) -> bytes:
    from moto.awslambda.models import lambda_backends

    parsed = parse_arn(arn)
    layer: Any = lambda_backends[ACCOUNT_ID][parsed.region if parsed else ""].layers_versions_by_arn(arn)
    return bytes(layer.code_bytes)


def with_code_inlined(request: Request) -> Request:
    """The same request with the function's code in it, where the code is in S3.

    The journal keeps requests. When it replays them, the object that held the code may be gone.

    :param request: any request. One that brings no Lambda code comes back unchanged.
    """
    if request.service != "lambda" or request.method not in {"POST", "PUT"} or b"S3Key" not in request.body:
        return request
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    holder = document.get("Code", document) if isinstance(document, dict) else None
    if not isinstance(holder, dict) or not {"S3Bucket", "S3Key"} <= holder.keys():
        return request
    code = _read_object(str(holder["S3Bucket"]), str(holder["S3Key"]), holder.get("S3ObjectVersion"))
    if code is None:
        # moto's answer says what is missing.
        return request
    for name in ("S3Bucket", "S3Key", "S3ObjectVersion"):
        holder.pop(name, None)
    holder["ZipFile"] = base64.b64encode(code).decode("ascii")
    return Request(request.environ, json.dumps(document).encode())


def _read_object(bucket_name: str, key_name: str, version: str | None) -> bytes | None:
    from moto.s3.models import s3_backends

    bucket: Any = s3_backends[ACCOUNT_ID]["aws"].buckets.get(bucket_name)
    versions = bucket.keys.getlist(key_name, []) if bucket is not None else []
    for key in reversed(versions):
        if version is None or key.version_id == version:
            return bytes(key.value) if hasattr(key, "value") else None
    return None
