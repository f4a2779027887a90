"""Addresses of S3: parsed and joined."""

from __future__ import annotations

import re
from dataclasses import dataclass

_S3_URL = re.compile(
    r"https://(?:(?P<bucket>[^/]+?)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/"
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


def parse_s3_uri(uri: object) -> S3Location:
    """Parse ``s3://bucket/key``, or a URL of S3 in either style, which the API allows in its place.

    :raises ValueError: it is no such address.
    """
    url = _S3_URL.fullmatch(uri) if isinstance(uri, str) else None
    if url is not None:
        return S3Location(url["bucket"] or url["first"], url["key"] if url["bucket"] else url["rest"])
    if not isinstance(uri, str) or not uri.startswith("s3://") or not uri[5:].partition("/")[0]:
        raise ValueError(f"'{uri}' is not an S3 address such as s3://bucket/prefix.")
    bucket, _, key = uri[5:].partition("/")
    return S3Location(bucket, key)


def join_s3_uri(base: object, *names: str) -> str:
    """The address below a base, with one slash between each two parts.

    The base is taken as text: it may also be an address that nobody has checked yet.
    """
    return "/".join([str(base).rstrip("/"), *(name.lstrip("/") for name in names)])
