"""Questions to AWS whose answers a build depends on, in a form that can be asked again.

Both sides use this module: the build while it runs, and the compiler before it takes a kept build.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import TYPE_CHECKING, Any

from .definition_texts import iter_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READS = (
    "Get",
    "List",
    "Describe",
    "Head",
    "Search",
    "Query",
    "Scan",
    "BatchGet",
    "Lookup",
    "Select",
    "Filter",
    "Simulate",
)
_NOT_ANSWERS = frozenset({"ResponseMetadata"})
_OF_A_FUNCTION = frozenset(
    {"FunctionName", "CodeSha256", "Handler", "Runtime", "Role", "Timeout", "MemorySize", "Environment", "Layers"}
    | {"FunctionArn", "PackageType", "Architectures", "VpcConfig", "Configuration", "Functions"}
)
_SIGNING_KEY = "REMOTE_FUNCTION_SECRET_KEY"


def is_read(operation: str) -> bool:
    """Say whether an operation changes nothing."""
    return operation.startswith(_READS)


def ask(question: Mapping[str, Any], call: Callable[[str, dict[str, Any]], Any]) -> tuple[Any, str]:
    """Ask once; give the part of the answer that counts, and its digest.

    :param call: asks AWS: operation and arguments.
    """
    operation, arguments = question["operation"], decode(question["arguments"])
    if question["service"] == "s3" and operation == "GetObject":
        operation = "HeadObject"  # the object's ETag says as much as its bytes
    try:
        answer = call(operation, arguments)
    except Exception as error:
        code = error_code(error)
        if code is None:
            raise
        return None, f"error {code}"
    counted = part_of(question, answer)
    return counted, digest_of(counted)


def part_of(question: Mapping[str, Any], answer: Mapping[str, Any]) -> Any:
    """Give what counts of an answer."""
    if question.get("part") == "signing_keys":
        return signing_keys(json.loads(answer["PipelineDefinition"]))
    if question.get("part") == "bucket":
        return [bucket for bucket in answer.get("Buckets", ()) if bucket["Name"] == question["bucket"]]
    if question["service"] == "s3" and question["operation"] in ("GetObject", "HeadObject"):
        return {name: answer.get(name) for name in ("ETag", "ContentLength", "VersionId")}
    if question["service"] == "sts" and question["operation"] == "GetCallerIdentity":
        # The last part of a role's ARN names the session, which is another one each time.
        arn = str(answer["Arn"])
        return [answer["Account"], arn.rpartition("/")[0] if ":assumed-role/" in arn else arn]
    if question["service"] == "lambda":  # a function that was made a moment ago is pending first
        return {name: value for name, value in answer.items() if name in _OF_A_FUNCTION}
    return {name: value for name, value in answer.items() if name not in _NOT_ANSWERS}


def error_code(error: BaseException) -> str | None:
    """Give the code of an error that AWS answered with; None for any other."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code is not None else None


def digest_of(value: Any) -> str:
    """Give the digest of an answer, or a part of one."""
    return hashlib.sha256(json.dumps(encode(value), sort_keys=True).encode()).hexdigest()


def encode(value: Any) -> Any:
    """Give a value of botocore as JSON.

    :raises TypeError: it holds something that is read once, such as a stream.
    """
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, datetime.datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be asked again")


def decode(value: Any) -> Any:
    """Undo `encode`."""
    if isinstance(value, dict):
        if set(value) == {"$time"}:
            return datetime.datetime.fromisoformat(value["$time"])
        if set(value) == {"$bytes"}:
            return bytes.fromhex(value["$bytes"])
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def signing_keys(definition: Any) -> dict[str, dict[str, Any]]:
    """Give, by step, the key that verifies a `@step`'s payload, and the folder that the payload is in."""
    found = {}
    for step in iter_steps(definition):
        arguments = step["Arguments"] if isinstance(step["Arguments"], dict) else {}
        environment = arguments.get("Environment")
        if isinstance(environment, dict) and _SIGNING_KEY in environment:
            found[step["Name"]] = {"key": environment[_SIGNING_KEY], "directory": function_directory(step)}
    return found


def function_directory(step: Mapping[str, Any]) -> str | None:
    """Give the folder's name that a `@step`'s job is told to load its function from."""
    given = step["Arguments"].get("AlgorithmSpecification", {}).get("ContainerArguments", [])
    for name, value in zip(given, given[1:]):  # noqa: B905, RUF007 - neighbours; Python 3.9 has no pairwise
        if name == "--func_step_s3_dir" and isinstance(value, str):
            return value
    return None
