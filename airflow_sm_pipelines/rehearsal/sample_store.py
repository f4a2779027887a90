"""The S3 of a rehearsal: finds what is there, and puts samples where nothing is. Safe for threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import locate_bucket
from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.s3_transfer import parse_location
from airflow_sm_pipelines.rehearsal.samples import sample_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = {"sm-pipelines": "rehearsal"}


class SampleStore:
    """Puts samples into buckets, and tells which objects are samples.

    :param s3: a boto3 client of the rehearsal's endpoint.
    :param region: where buckets are made.
    """

    def __init__(self, s3: Any, *, region: str) -> None:
        self.s3 = s3
        self._region = region
        self._lock = threading.Lock()
        self._buckets: set[str] = set()

    def ensure_bucket(self, uri: str) -> None:
        """Make the bucket of an address where it is missing.

        :param uri: an S3 address.
        :raises JobFailure: when no bucket may have that name.
        """
        from botocore.exceptions import ClientError, ParamValidationError

        bucket = split_uri(uri)[0]
        with self._lock:
            if bucket in self._buckets:
                return
            try:
                self.s3.head_bucket(Bucket=bucket)
            except ParamValidationError as error:
                raise _no_bucket(bucket, uri) from error
            except ClientError:
                self._create_bucket(bucket, uri, **locate_bucket(self._region))
            self._buckets.add(bucket)

    def _create_bucket(self, bucket: str, uri: str, **location: Any) -> None:
        from botocore.exceptions import ClientError

        try:
            self.s3.create_bucket(Bucket=bucket, **location)
        except ClientError as error:
            raise _no_bucket(bucket, uri) from error

    def find_first(self, uri: str) -> str | None:
        """The first key under a prefix, or None where nothing is there.

        :param uri: an S3 address, taken as SageMaker takes it: an object, a folder, or the beginning of keys.
        """
        self.ensure_bucket(uri)
        bucket, key = split_uri(uri)
        for item in self.s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=2).get("Contents", ()):
            if not item["Key"].endswith("/"):
                return str(item["Key"])
        return None

    def is_sample(self, uri: str) -> bool:
        """Whether a rehearsal put the first object under a prefix there."""
        key = self.find_first(uri)
        if key is None:
            return False
        found = self.s3.head_object(Bucket=split_uri(uri)[0], Key=key)
        return bool(found.get("Metadata") == _MARK)

    def put(self, uri: str, content: bytes, *, is_sample: bool = True) -> None:
        """Write one object.

        :param uri: its S3 address.
        :param is_sample: whether to mark it as a sample.
        """
        self.ensure_bucket(uri)
        bucket, key = split_uri(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata=_MARK if is_sample else {})

    def ensure(self, uri: str, make: Callable[[str], bytes] = sample_bytes) -> bool:
        """Put a sample where nothing is.

        :param uri: an object's address, or a prefix.
        :param make: gives the content for an object's address.
        :return: whether a sample was put.
        """
        if self.find_first(uri) is not None:
            return False
        name = uri.rstrip("/").rpartition("/")[2]
        is_file = "." in name and not uri.endswith("/")
        target = uri if is_file else uri.rstrip("/") + "/sample.csv"
        self.put(target, make(target))
        return True


def _no_bucket(bucket: str, uri: str) -> JobFailure:
    return JobFailure(f"ClientError: {uri} names the bucket '{bucket}', and no bucket may have that name.")


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and key of an S3 address."""
    location = parse_location(uri)
    return location.bucket, location.key


def is_uri(value: object) -> bool:
    """Whether a value is an S3 address with a bucket."""
    try:
        parse_location(value)
    except JobFailure:
        return False
    return True
