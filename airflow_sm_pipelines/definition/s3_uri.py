"""S3 addresses as definitions and answers of the API write them: ``s3://bucket/key``."""

from __future__ import annotations


def split_s3_uri(uri: str) -> tuple[str, str] | None:
    """The bucket and the key of ``s3://bucket/key``; None for anything else.

    The key is empty for a bucket alone, and ends in ``/`` where the address does.
    """
    if not uri.startswith("s3://"):
        return None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return (bucket, key) if bucket else None
