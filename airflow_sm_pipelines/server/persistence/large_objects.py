"""GetObject of large objects: moto judges the request and gives the headers, the body goes from its file to the client.

moto reads a whole object into memory, twice, for each range a client asks for; clients read large objects in ranges.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.http.messages import FilePart, Request, Response
from airflow_sm_pipelines.server.persistence.object_bodies import BlobFile

if TYPE_CHECKING:
    from collections.abc import Callable

#: Smaller bodies pass through moto as they are.
LARGE_BYTES = 4 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/\d+")
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


def read_large_object(request: Request, bucket: Any, apply: Callable[[Request], Response]) -> Response | None:
    """The answer to a GET of a large stored object.

    :param request: a GET request in path style.
    :param bucket: moto's bucket, or None.
    :param apply: carries a request out.
    :return: the answer; None for what is small, or no plain GetObject, or is not answered with a body.
    """
    name = request.path.lstrip("/").partition("/")[2]
    options = {word for word in request.query if not word.startswith("X-Amz")}
    if bucket is None or not name or bucket.policy or options - {"versionId"}:
        return None
    key = _find_key(bucket, name, request.query.get("versionId"))
    blob = getattr(key, "_value_buffer", None)
    if key is None or key.contentsize < LARGE_BYTES or not isinstance(blob, BlobFile) or key.storage_class in _ARCHIVED:
        return None
    answer = apply(Request({**request.environ, "REQUEST_METHOD": "HEAD"}, b""))
    headers = {header.lower(): value for header, value in answer.headers}
    # Another one may have been written meanwhile: the body must be the one that the headers tell of.
    if headers.get("etag") != key.etag:
        return None
    if answer.status == 206 and (found := _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))):
        first, last = int(found.group(1)), int(found.group(2))
    elif answer.status == 200:
        first, last = 0, key.contentsize - 1
    else:
        return None
    # For HEAD, moto leaves out of a composite checksum how many parts it is of: better none than a wrong one.
    dropped = ("content-length", "x-amz-checksum-")
    kept = tuple((header, value) for header, value in answer.headers if not header.lower().startswith(dropped))
    return replace(answer, body=b"", headers=kept, file=FilePart(blob.path, first, last - first + 1))


def _find_key(bucket: Any, name: str, version: str | None) -> Any:
    versions = bucket.keys.getlist(name, [])
    if version is None:
        return versions[-1] if versions else None
    return next((key for key in versions if key.version_id == version), None)
