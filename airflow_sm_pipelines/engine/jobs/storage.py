"""A job's inputs from S3 and its outputs to S3.

Belongs here: addresses, what a prefix means, downloading and uploading trees. Does not belong here: which channel or
output goes where.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.archives import iter_files
from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_THREADS = 4
_CHUNK = 1 << 20
_MULTIPART_BYTES = 64 << 20
# https://bucket.s3.us-east-1.amazonaws.com/key, https://s3.us-east-1.amazonaws.com/bucket/key; older ones have a dash.
_S3_URL = re.compile(
    r"https://(?:(?P<bucket>[^/]+?)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/"
    r"(?P<key>(?P<first>[^/]+)/?(?P<rest>.*))",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and a key or key prefix."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The address as ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"

    def child(self, *names: str) -> S3Location:
        """Give the location below this one."""
        return S3Location(self.bucket, "/".join([self.key.rstrip("/"), *names]).lstrip("/"))


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of an input: where it is and the relative path it gets."""

    location: S3Location
    path: PurePosixPath


def parse_s3_uri(uri: object) -> S3Location:
    """Parse ``s3://bucket/key``, or a URL of S3 in either style, which the API allows in its place.

    :raises JobFailure: it is no such address.
    """
    url = _S3_URL.fullmatch(uri) if isinstance(uri, str) else None
    if url is not None:
        return S3Location(url["bucket"] or url["first"], url["key"] if url["bucket"] else url["rest"])
    if not isinstance(uri, str) or not uri.startswith("s3://") or not uri[5:].partition("/")[0]:
        raise JobFailure(f"ClientError: '{uri}' is not an S3 address such as s3://bucket/prefix.")
    bucket, _, key = uri[5:].partition("/")
    return S3Location(bucket, key)


def list_input(s3: Any, uri: object, *, data_type: str = "S3Prefix") -> tuple[S3Object, ...]:
    """List what an input consists of, in key order.

    As on SageMaker an ``S3Prefix`` is a key prefix. One object with exactly this key is taken alone, under its own
    name; below a "directory" paths are relative to it; otherwise paths are relative to the last ``/`` of the prefix.

    :param data_type: ``S3Prefix`` or ``ManifestFile``.
    :raises JobFailure: nothing is there, the bucket is unknown, or a key would leave the directory.
    """
    location = parse_s3_uri(uri)
    if data_type == "ManifestFile":
        return _list_manifest(s3, location)
    if data_type != "S3Prefix":
        raise JobFailure(
            f"ClientError: inputs of type {data_type} are not supported locally, only S3Prefix and ManifestFile."
        )
    keys = _list_keys(s3, location)
    prefix = location.key
    if prefix in keys:
        return (_object(location.bucket, prefix, prefix.rpartition("/")[2]),)
    directory = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    if any(key.startswith(directory) for key in keys):
        keys = [key for key in keys if key.startswith(directory)]
    else:
        directory = prefix[: prefix.rfind("/") + 1]
    found = tuple(_object(location.bucket, key, key[len(directory) :]) for key in keys if not key.endswith("/"))
    if not found:
        raise JobFailure(f"ClientError: Data download failed: S3 key: {location.uri} matched no files on s3.")
    return found


def download(s3: Any, objects: Sequence[S3Object], directory: Path) -> None:
    """Download objects into a directory with a few threads.

    :raises JobFailure: an object could not be had.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if len(objects) == 1:
        _download_one(s3, objects[0], directory)
        return
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="download") as pool:
        for _ in pool.map(lambda item: _download_one(s3, item, directory), objects):
            pass


def upload_file(s3: Any, path: Path, target: S3Location) -> None:
    """Upload one file.

    :raises JobFailure: it was refused.
    """
    from boto3.s3.transfer import TransferConfig
    from botocore.exceptions import BotoCoreError, ClientError

    config = TransferConfig(
        multipart_threshold=_MULTIPART_BYTES, multipart_chunksize=_MULTIPART_BYTES, use_threads=False
    )
    try:
        s3.upload_file(str(path), target.bucket, target.key, Config=config)
    except FileNotFoundError:
        raise  # a running job may remove its files; the caller knows whether this one may
    except (BotoCoreError, ClientError, OSError, _boto3_upload_error()) as error:
        raise JobFailure(f"ClientError: Failed to upload {path.name} to {target.uri}: {error}") from error


def upload_tree(
    s3: Any, directory: Path, target: S3Location, *, is_wanted: Callable[[Path], bool] = lambda path: True
) -> int:
    """Upload the regular files under a directory (links are not followed) and give their number.

    :raises JobFailure: one was refused.
    """
    files = [path for path in iter_files(directory) if is_wanted(path)]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
        for _ in pool.map(
            lambda path: upload_file(s3, path, target.child(path.relative_to(directory).as_posix())), files
        ):
            pass
    return len(files)


class TreeSync:
    """Uploads what has changed under a directory since the last call: ``Continuous`` outputs and checkpoints."""

    def __init__(self, s3: Any, directory: Path, target: S3Location) -> None:
        self._s3, self._directory, self._target = s3, directory, target
        self._uploaded: dict[Path, tuple[int, int]] = {}

    def run(self) -> int:
        """Upload new and changed files; a file still being written goes up again when it has changed again."""
        seen: dict[Path, tuple[int, int]] = {}

        def is_changed(path: Path) -> bool:
            state = path.lstat()
            seen[path] = (state.st_mtime_ns, state.st_size)
            return self._uploaded.get(path) != seen[path]

        try:
            count = upload_tree(self._s3, self._directory, self._target, is_wanted=is_changed)
        except FileNotFoundError:
            return 0  # the job removed a file meanwhile; the next call sees what is left
        self._uploaded = seen
        return count


def shard(objects: Sequence[S3Object], index: int, count: int) -> tuple[S3Object, ...]:
    """Give the objects of one instance under ``ShardedByS3Key``."""
    return tuple(objects[index::count])


def _list_keys(s3: Any, location: S3Location) -> list[str]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]
    except (BotoCoreError, ClientError) as error:
        raise JobFailure(f"ClientError: Data download failed: {location.uri} cannot be listed: {error}") from error


def _list_manifest(s3: Any, location: S3Location) -> tuple[S3Object, ...]:
    """Read ``[{"prefix": "s3://b/p/"}, "name", ...]`` (S3DataSource in the SageMaker API reference)."""
    try:
        content = json.loads(_get(s3, location).read())
        prefix = parse_s3_uri(content[0]["prefix"])
        names = [str(name) for name in content[1:]]
    except (ValueError, LookupError, TypeError) as error:
        raise JobFailure(f'ClientError: the manifest {location.uri} is not [{{"prefix": ...}}, name, ...].') from error
    return tuple(_object(prefix.bucket, prefix.key + name, name) for name in names)


def _object(bucket: str, key: str, relative: str) -> S3Object:
    parts = [part for part in relative.split("/") if part]
    if not parts or "\0" in relative or any(part in (".", "..") for part in parts):
        raise JobFailure(f"ClientError: the key of s3://{bucket}/{key} cannot be a file below the input's directory.")
    return S3Object(S3Location(bucket, key), PurePosixPath(*parts))


def _download_one(s3: Any, item: S3Object, directory: Path) -> None:
    target = directory / item.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        body = _get(s3, item.location)
        with target.open("wb") as file:
            for chunk in body.iter_chunks(_CHUNK):
                file.write(chunk)
    except OSError as error:
        raise JobFailure(
            f"ClientError: Data download failed: {item.location.uri}: {error.strerror or error}"
        ) from error


def _get(s3: Any, location: S3Location) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return s3.get_object(Bucket=location.bucket, Key=location.key)["Body"]
    except (BotoCoreError, ClientError) as error:
        raise JobFailure(f"ClientError: Data download failed: {location.uri}: {error}") from error


def _boto3_upload_error() -> type[Exception]:
    from boto3.exceptions import S3UploadFailedError

    error: type[Exception] = S3UploadFailedError
    return error
