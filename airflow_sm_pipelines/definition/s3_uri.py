"""Addresses of S3, parsed and joined: ``s3://bucket/key``, and the URLs that the API takes in their place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from airflow_sm_pipelines.definition.partitions import DNS_SUFFIX_PATTERN

_SCHEME = "s3://"

_S3_URL = re.compile(
    rf"https://(?:(?P<bucket>[^/]+?)\.)?s3(?:[.-][a-z0-9-]+)?{DNS_SUFFIX_PATTERN}/"
    r"(?P<key>(?P<first>[^/]+)/?(?P<rest>.*))",
    re.DOTALL,
)
"""``https://bucket.s3.us-east-1.amazonaws.com/key`` or ``https://s3.us-east-1.amazonaws.com/bucket/key``.

Older addresses have a dash after ``s3``.
"""


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, and a key or key prefix."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The address as ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"

    def child(self, *names: str) -> S3Location:
        """The location below this one."""
        return S3Location(self.bucket, "/".join([self.key.rstrip("/"), *names]).lstrip("/"))


def is_s3_uri(value: object) -> bool:
    """Whether a value is meant as an S3 address: it begins with ``s3://``. What follows may still be wrong."""
    return isinstance(value, str) and value.startswith(_SCHEME)


def split_s3_uri(uri: str) -> tuple[str, str] | None:
    """The bucket and the key of ``s3://bucket/key``; None for anything else.

    The key is empty for a bucket alone, and ends in ``/`` where the address does.
    """
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    return (bucket, key) if is_s3_uri(uri) and bucket else None


def parse_s3_uri(uri: object) -> S3Location:
    """Parse ``s3://bucket/key``, or a URL of S3 in either style, which the API allows in its place.

    :raises ValueError: it is no such address.
    """
    url = _S3_URL.fullmatch(uri) if isinstance(uri, str) else None
    if url is not None:
        return S3Location(url["bucket"] or url["first"], url["key"] if url["bucket"] else url["rest"])
    parts = split_s3_uri(uri) if isinstance(uri, str) else None
    if parts is None:
        raise ValueError(f"'{uri}' is not an S3 address such as s3://bucket/prefix.")
    return S3Location(*parts)


def join_s3_uri(base: object, *names: str) -> str:
    """The address below a base, with one slash between each two parts.

    The base is taken as text: it may also be an address that nobody has checked yet.
    """
    return "/".join([str(base).rstrip("/"), *(name.lstrip("/") for name in names)])


def locate_bucket(region: str) -> dict[str, Any]:
    """The arguments by which ``CreateBucket`` makes a bucket in a region; for us-east-1, S3 takes none."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
