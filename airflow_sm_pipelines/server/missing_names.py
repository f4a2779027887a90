"""Remembers what clients asked an endpoint for and did not find, so that ``local exec`` can say how to make it."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server.http.messages import Request, Response

_MOST_NAMES = 20
_NOT_FOUND = 404
_FUNCTION = re.compile(r"/20\d\d-\d\d-\d\d/functions/([^/]+)(/|\Z)")
_PIPELINE_OPERATIONS = frozenset(
    {
        "SageMaker.DescribePipeline",
        "SageMaker.ListPipelineExecutions",
        "SageMaker.ListPipelineVersions",
        "SageMaker.StartPipelineExecution",
        "SageMaker.UpdatePipeline",
        "SageMaker.UpdatePipelineVersion",
    }
)
_GROUP_OPERATIONS = frozenset(
    {"SageMaker.CreateModelPackage", "SageMaker.DescribeModelPackageGroup", "SageMaker.ListModelPackages"}
)


class MissingNames:
    """The first names that were not found, each once, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], None] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Pairs of a kind and a name; an object's name is its URI.

        The kinds are ``pipeline``, ``bucket``, ``object``, ``function`` and ``model group``.
        """
        with self._lock:
            return iter(list(self._names))

    def note(self, request: Request, response: Response) -> None:
        """Remember what a request asked for, if its answer says that there is none."""
        if response.is_success:
            return
        found = _find_name(request, response)
        if found is not None:
            with self._lock:
                if found[0] == "bucket":
                    # Many clients ask for an object before they write it: what is missing is the bucket alone.
                    self._names.pop(("object", f"s3:/{request.path}"), None)
                if len(self._names) < _MOST_NAMES:
                    self._names[found] = None


def _find_name(request: Request, response: Response) -> tuple[str, str] | None:
    if request.target in _PIPELINE_OPERATIONS:
        name = _find_name_of("pipeline", request, "PipelineName", "PipelineArn")
        return None if name is None or b'"ResourceNotFound"' not in response.body else ("pipeline", name)
    if request.target in _GROUP_OPERATIONS:
        name = _find_name_of("model-package-group", request, "ModelPackageGroupName")
        return None if name is None or b"does not exist" not in response.body else ("model group", name)
    if response.status != _NOT_FOUND:
        return None
    if request.service == "lambda":
        match = _FUNCTION.match(request.path)
        return None if match is None else ("function", unquote(match[1]).rpartition(":function:")[2].partition(":")[0])
    bucket, _, key = request.path.lstrip("/").partition("/")
    if request.service != "s3" or not bucket:
        return None
    if request.method in {"GET", "HEAD"}:
        return ("object", f"s3://{bucket}/{key}") if key else ("bucket", bucket)
    return ("bucket", bucket) if b"NoSuchBucket" in response.body else None


def _find_name_of(resource: str, request: Request, *members: str) -> str | None:
    """A resource that a request names in one of these members, by its name or its ARN."""
    try:
        document = json.loads(request.body)
    except ValueError:
        return None
    named = [document.get(one) for one in members] if isinstance(document, dict) else []
    return next((one.rpartition(f":{resource}/")[2] for one in named if isinstance(one, str) and one), None)
