"""Downloads the inputs of jobs from S3, and uploads their outputs.

What belongs here: what a prefix means, and downloading and uploading trees. What does not: which channel or output goes
where.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import S3Location, parse_s3_uri
from airflow_sm_pipelines.engine.jobs.archives import iter_files
from airflow_sm_pipelines.engine.jobs.failures import JobFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_THREADS = 4
_CHUNK = 1 << 20
_MULTIPART_BYTES = 64 << 20
_ACCESS_POINT = re.compile(r"^(s3://)?arn:[^/]*:accesspoint[/:]|^s3://[^/]*-s3alias(/|$)")
"""An access point by its ARN or its alias (S3 user guide, "Using a bucket-style alias")."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of an input, and the relative path that it gets."""

    location: S3Location
    path: PurePosixPath


def parse_location(uri: object) -> S3Location:
    """Parse an S3 address of a job's request.

    :raises JobFailure: it is not an S3 address, or that of an access point.
    """
    if _ACCESS_POINT.search(str(uri)):
        raise JobFailure(
            f"ClientError: '{uri}' is an S3 access point, and there are none here. Give the address of its bucket."
        )
    try:
        return parse_s3_uri(uri)
    except ValueError as error:
        raise JobFailure(f"ClientError: {error}") from error


def list_input(s3: Any, uri: object, *, data_type: str = "S3Prefix") -> tuple[S3Object, ...]:
    """List the objects of an input, in the order of their keys.

    As on SageMaker (API reference, S3DataSource), an ``S3Prefix`` takes every key that begins so: ``data/test`` takes
    ``data/test/a.csv``, and ``data/test_small/b.csv`` too. Chosen: below ``data/test/`` paths are relative to it, and
    those of the others are relative to the last ``/`` of the prefix.

    :param data_type: ``S3Prefix`` or ``ManifestFile``.
    :raises JobFailure: nothing is there, the bucket is unknown, a key would leave the directory, or two objects would
        become one file.
    """
    location = parse_location(uri)
    if data_type == "ManifestFile":
        return _list_manifest(s3, location)
    if data_type != "S3Prefix":
        raise JobFailure(
            f"ClientError: inputs of type {data_type} are not supported locally, only S3Prefix and ManifestFile."
        )
    inside, parent = _directory_of(location.key), location.key.rpartition("/")[0]
    starts = (inside, f"{parent}/" if parent else "")
    found: dict[PurePosixPath, S3Object] = {}
    for key in _list_keys(s3, location):
        if key.endswith("/"):
            continue
        start = next(start for start in starts if key.startswith(start))
        item = _object(location.bucket, key, key[len(start) :])
        if item.path in found:
            raise JobFailure(
                f"ClientError: {found[item.path].location.uri} and {item.location.uri} begin with {location.uri} and "
                f"would both become the file '{item.path}'. End the address with a slash to take what is below it only."
            )
        found[item.path] = item
    if not found:
        raise JobFailure(f"ClientError: Data download failed: S3 key: {location.uri} matched no files on s3.")
    return tuple(found.values())


def _directory_of(key: str) -> str:
    return key if not key or key.endswith("/") else key + "/"


def describe_neighbours(source: Mapping[str, Any], objects: Sequence[S3Object]) -> str | None:
    """A sentence about objects that an input takes beside the file or the directory that its address seems to name.

    :param source: the ``S3Input`` or ``S3DataSource`` of the input.
    """
    if source.get("S3DataType", "S3Prefix") != "S3Prefix":
        return None
    uri = source["S3Uri"]
    key = parse_location(uri).key
    others = [item for item in objects if item.location.key != key]
    others = [item for item in others if not item.location.key.startswith(_directory_of(key))]
    if not others or len(others) == len(objects):
        return None
    return (
        f"The input {uri} is a prefix, so it also takes other objects whose keys begin so, as SageMaker does: "
        f"{len(others)} here, such as {others[0].location.uri}. End the address with a slash to take what is below."
    )


def download_input(
    s3: Any, source: Mapping[str, Any], directories: Sequence[Path], *, note: Callable[[str], None]
) -> None:
    """Download an input of a processing or training job.

    :param source: its ``S3Input`` or ``S3DataSource``.
    :param directories: where it goes on each instance. With ``ShardedByS3Key`` each instance gets a part.
    :param note: takes a line for the job's log.
    :raises JobFailure: there is nothing, or it cannot be read.
    """
    objects = list_input(s3, source["S3Uri"], data_type=source.get("S3DataType", "S3Prefix"))
    if warning := describe_neighbours(source, objects):
        note(warning)
    is_sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
    for index, directory in enumerate(directories):
        download(s3, shard(objects, index, len(directories)) if is_sharded else objects, directory)


def download_file(s3: Any, uri: object, directory: Path) -> Path:
    """Download the object at an address, and give its path.

    :raises JobFailure: there is none, or it cannot be read.
    """
    location = parse_location(uri)
    item = _object(location.bucket, location.key, location.key.rpartition("/")[2])
    download(s3, [item], directory)
    return directory / item.path


def download(s3: Any, objects: Sequence[S3Object], directory: Path) -> None:
    """Download objects into a directory with a few threads.

    :raises JobFailure: an object cannot be read.
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
        raise  # a running job may remove its files; only the caller knows whether this job still runs
    except (BotoCoreError, ClientError, OSError, _boto3_upload_error()) as error:
        raise JobFailure(f"ClientError: Failed to upload {path.name} to {target.uri}: {error}") from error


def upload_tree(
    s3: Any, directory: Path, target: S3Location, *, is_wanted: Callable[[Path], bool] = lambda path: True
) -> int:
    """Upload the regular files under a directory, and give their number. Links are not followed.

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
    """Uploads what has changed under a directory since the last time, for ``Continuous`` outputs and checkpoints."""

    def __init__(self, s3: Any, directory: Path, target: S3Location) -> None:
        self._s3, self._directory, self._target = s3, directory, target
        self._uploaded: dict[Path, tuple[int, int]] = {}

    def run(self) -> int:
        """Upload new and changed files. A file that is still being written is uploaded again after it has changed."""
        seen: dict[Path, tuple[int, int]] = {}

        def is_changed(path: Path) -> bool:
            state = path.lstat()
            seen[path] = (state.st_mtime_ns, state.st_size)
            return self._uploaded.get(path) != seen[path]

        try:
            count = upload_tree(self._s3, self._directory, self._target, is_wanted=is_changed)
        except FileNotFoundError:
            return 0  # the job removed a file meanwhile; the next call uploads what is left
        self._uploaded = seen
        return count


def shard(objects: Sequence[S3Object], index: int, count: int) -> tuple[S3Object, ...]:
    """The objects of one instance with ``ShardedByS3Key``."""
    return tuple(objects[index::count])


def _list_keys(s3: Any, location: S3Location) -> list[str]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]
    except (BotoCoreError, ClientError) as error:
        raise JobFailure(f"ClientError: Data download failed: {location.uri} cannot be listed: {error}") from error


def _list_manifest(s3: Any, location: S3Location) -> tuple[S3Object, ...]:
    """The objects in a manifest, ``[{"prefix": "s3://b/p/"}, "name", ...]`` (API reference, S3DataSource)."""
    try:
        content = json.loads(_get(s3, location).read())
        prefix = parse_location(content[0]["prefix"])
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
