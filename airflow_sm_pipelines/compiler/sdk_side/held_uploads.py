"""Keeps what the build writes to S3 on this machine until the pipeline is made, and answers for S3 meanwhile.

Belongs here: the S3 calls that write an object, and those that read one which is held. The names under which the
objects leave, and whether they have to, are decided in `finishing`.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WRITTEN = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


@dataclass
class HeldUpload:
    """An object that the build has put into S3 as far as it knows.

    :param arguments: of PutObject, without bucket, key and body.
    :param is_made_here: whether the build made the bytes itself; else they are a file's of the user.
    :param is_key_chosen: whether the user's own code chose the key; else the SDK did.
    :param client: the client that the build used.
    """

    bucket: str
    key: str
    path: Path
    arguments: dict[str, Any]
    is_made_here: bool
    is_key_chosen: bool
    client: Any
    order: int = 0

    @property
    def body(self) -> bytes:
        """The object's bytes."""
        return self.path.read_bytes()


@dataclass
class _Multipart:
    arguments: dict[str, Any]
    parts: dict[int, bytes] = field(default_factory=dict)


class HeldUploads:
    """The objects of one build.

    :param folder: where their bytes are kept.
    :param is_key_chosen: says of the call that runs whether the user's own code named the key.
    """

    def __init__(self, folder: Path, *, started: float, is_key_chosen: Callable[[], bool]) -> None:
        self._folder = folder
        self._started = started
        self._is_key_chosen = is_key_chosen
        self._objects: dict[tuple[str, str], HeldUpload] = {}
        self._multiparts: dict[str, _Multipart] = {}
        self._lock = threading.Lock()
        self._count = 0

    def __iter__(self) -> Iterator[HeldUpload]:
        return iter(sorted(self._objects.values(), key=lambda upload: (upload.bucket, upload.key)))

    def drop(self, uri: str) -> None:
        """Forget an object that is not needed after all."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self._objects.pop((bucket, key), None)

    def answer(self, client: Any, operation: str, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:
        """Give the answer to an S3 call, or None where S3 has to be asked itself.

        :param call: asks S3: client, operation and arguments.
        """
        method = getattr(self, f"_{operation}", None)
        return None if method is None else method(client, arguments, call)

    def _keep(self, client: Any, arguments: dict[str, Any], body: bytes, *, is_made_here: bool) -> str:
        with self._lock:  # a script may upload in threads
            self._count += 1
            order = self._count
        path = self._folder / f"{order}"
        path.write_bytes(body)
        place = (arguments["Bucket"], arguments["Key"])
        left_out = ("Bucket", "Key", "Body", "UploadId", "MultipartUpload", "ContentMD5", "CopySource")
        rest = {name: value for name, value in arguments.items() if name not in left_out}
        rest = {name: value for name, value in rest.items() if not name.startswith("Checksum")}
        self._objects[place] = HeldUpload(*place, path, rest, is_made_here, self._is_key_chosen(), client, order=order)
        return _etag(body)

    def _PutObject(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        given = arguments.get("Body", b"")
        is_made_here = self._is_made_here(given)
        body = _read(given)
        return _answer(ETag=self._keep(client, arguments, body, is_made_here=is_made_here))

    def _CopyObject(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        body = self._read_source(client, arguments, call)
        etag = self._keep(client, arguments, body, is_made_here=False)
        return _answer(CopyObjectResult={"ETag": etag, "LastModified": _WRITTEN})

    def _CreateMultipartUpload(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        upload = f"held-{len(self._multiparts)}"
        self._multiparts[upload] = _Multipart(dict(arguments))
        return _answer(Bucket=arguments["Bucket"], Key=arguments["Key"], UploadId=upload)

    def _UploadPart(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        body = _read(arguments.get("Body", b""))
        self._multiparts[arguments["UploadId"]].parts[arguments["PartNumber"]] = body
        return _answer(ETag=_etag(body))

    def _UploadPartCopy(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        body = self._read_source(client, arguments, call)
        self._multiparts[arguments["UploadId"]].parts[arguments["PartNumber"]] = body
        return _answer(CopyPartResult={"ETag": _etag(body), "LastModified": _WRITTEN})

    def _CompleteMultipartUpload(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        upload = self._multiparts.pop(arguments["UploadId"])
        body = b"".join(upload.parts[number] for number in sorted(upload.parts))
        etag = self._keep(client, upload.arguments, body, is_made_here=False)
        return _answer(Bucket=arguments["Bucket"], Key=arguments["Key"], ETag=etag)

    def _AbortMultipartUpload(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        self._multiparts.pop(arguments["UploadId"], None)
        return _answer()

    def _HeadObject(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        held = self._objects.get((arguments["Bucket"], arguments["Key"]))
        return None if held is None else self._describe(held, held.body)

    def _GetObject(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        held = self._objects.get((arguments["Bucket"], arguments["Key"]))
        if held is None:
            return None
        from botocore.response import StreamingBody

        body = _in_range(held.body, arguments.get("Range"))
        return {**self._describe(held, body), "Body": StreamingBody(io.BytesIO(body), len(body))}

    def _DeleteObject(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        held = self._objects.pop((arguments["Bucket"], arguments["Key"]), None)
        return None if held is None else _answer()

    def _ListObjectsV2(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> Any:  # noqa: N802
        prefix = arguments.get("Prefix", "")
        mine = [held for held in self if held.bucket == arguments["Bucket"] and held.key.startswith(prefix)]
        if not mine or arguments.get("Delimiter"):
            return None
        answer = call(client, "ListObjectsV2", arguments)
        found = {entry["Key"]: entry for entry in answer.get("Contents", ())}
        for held in mine:
            body = held.body
            found[held.key] = {"Key": held.key, "Size": len(body), "ETag": _etag(body), "LastModified": _WRITTEN}
        answer["Contents"] = [found[key] for key in sorted(found)]
        answer["KeyCount"] = len(found)
        return answer

    def _describe(self, held: HeldUpload, body: bytes) -> dict[str, Any]:
        kept = ("ContentType", "Metadata", "ContentEncoding")
        rest = {name: held.arguments[name] for name in kept if name in held.arguments}
        return _answer(ETag=_etag(held.body), ContentLength=len(body), LastModified=_WRITTEN, Metadata={}) | rest

    def _read_source(self, client: Any, arguments: dict[str, Any], call: Callable[..., Any]) -> bytes:
        source = arguments["CopySource"]
        if isinstance(source, str):
            bucket, _, key = source.lstrip("/").partition("/")
            source = {"Bucket": bucket, "Key": key}
        asked = dict(source)
        if "CopySourceRange" in arguments:
            asked["Range"] = arguments["CopySourceRange"]
        answer = self._GetObject(client, asked, call) or call(client, "GetObject", asked)
        body: bytes = answer["Body"].read()
        return body

    def _is_made_here(self, body: Any) -> bool:
        """Say whether bytes were made during the build: they come from memory, or from a file that is new."""
        name = getattr(body, "name", None) or getattr(getattr(body, "_fileobj", None), "name", None)
        if not isinstance(name, str):
            return True
        try:
            return Path(name).stat().st_ctime >= self._started
        except OSError:
            return True


def _read(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    content: bytes = body.read()
    return content


def _in_range(body: bytes, wanted: str | None) -> bytes:
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
    if match is None:
        return body
    return body[int(match[1]) : int(match[2]) + 1 if match[2] else None]


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _answer(**members: Any) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}, **members}
