"""moto's S3 objects as JSON, and back: the one module that knows the attributes of moto's classes (``moto.s3.models``).

Bodies are in :mod:`.object_bodies`. Written for moto 5.2.
"""

from __future__ import annotations

import json
from datetime import datetime
from io import BytesIO
from typing import Any

_PLAIN = (
    "_etag",
    "_is_versioned",
    "_storage_class",
    "_version_id",
    "bucket_key_enabled",
    "checksum_algorithm",
    "checksum_parts",
    "checksum_type",
    "checksum_value",
    "contentsize",
    "encryption",
    "kms_key_id",
    "lock_legal_status",
    "lock_mode",
    "lock_until",
    "website_redirect_location",
)
"""Attributes that are recorded and restored unchanged."""


def record_key(key: Any, tags: dict[str, str]) -> str:
    """A stored object, or a marker of its deletion, as JSON.

    :param key: a FakeKey or FakeDeleteMarker.
    :param tags: the object's tags.
    """
    if is_delete_marker(key):
        return json.dumps({"marker": key._version_id, "modified": key.last_modified.isoformat()})
    key.etag  # noqa: B018 - moto computes it from the body at the first use, and keeps it
    return json.dumps(
        {
            "plain": {name: getattr(key, name) for name in _PLAIN},
            "modified": key.last_modified.isoformat(),
            "expires": key._expiry.isoformat() if key._expiry else None,
            "metadata": dict(key._metadata),
            "acl": _record_acl(key.acl),
            "multipart": key.multipart.id if key.multipart else None,
            "tags": tags,
        }
    )


def is_delete_marker(key: Any) -> bool:
    """Whether a version in a bucket only says that the object was deleted.

    :param key: a FakeKey or FakeDeleteMarker.
    """
    return not hasattr(key, "_value_buffer")


def restore_key(record: str, *, name: Any, bucket: Any, body: Any) -> tuple[Any, dict[str, str]]:
    """The stored object of a record.

    :param record: what `record_key` gave.
    :param name: the object's key; for a part of an upload, its number.
    :param bucket: the FakeBucket it is in.
    :param body: an open file of its body; None for a deletion marker.
    :return: the object, and its tags.
    :raises AttributeError: when this moto's objects lack an attribute of the record.
    """
    from moto.s3.models import FakeDeleteMarker, FakeKey, FakeMultipart
    from moto.utilities.utils import CaseInsensitiveDict, LowercaseDict

    content = json.loads(record)
    key: Any = FakeKey(
        name, b"", account_id=bucket.account_id, region_name=bucket.region_name, bucket_name=bucket.name, etag="",
        # The buffer moto makes is dropped at once: let it be the cheap kind.
        max_buffer_size=1,
    )  # fmt: skip
    if "marker" in content:
        marker = FakeDeleteMarker(key)
        marker._version_id = content["marker"]
        marker.last_modified = datetime.fromisoformat(content["modified"])
        return marker, {}
    for attribute, value in content["plain"].items():
        if not hasattr(key, attribute):
            raise AttributeError(f"moto's S3 objects have no attribute '{attribute}'")
        setattr(key, attribute, value)
    key._value_buffer = body if body is not None else BytesIO()
    key.last_modified = datetime.fromisoformat(content["modified"])
    key._expiry = datetime.fromisoformat(content["expires"]) if content["expires"] else None
    key._metadata = LowercaseDict(content["metadata"])
    key.acl = _restore_acl(content["acl"])
    if content["multipart"]:
        # A client that repeats CompleteMultipartUpload gets the answer of the first time.
        key.multipart = FakeMultipart(str(name), CaseInsensitiveDict(), bucket.account_id, bucket.region_name)
        key.multipart.id = content["multipart"]
    return key, content["tags"]


def record_upload(upload: Any) -> str:
    """An unfinished multipart upload, without its parts, as JSON.

    :param upload: a FakeMultipart.
    """
    return json.dumps(
        {
            "key": upload.key_name,
            "metadata": dict(upload.metadata),
            "storage": upload.storage,
            "tags": upload.tags,
            "acl": _record_acl(upload.acl),
            "encryption": upload.sse_encryption,
            "kms_key_id": upload.kms_key_id,
        }
    )


def restore_upload(record: str, *, upload_id: str, bucket: Any) -> Any:
    """The unfinished upload of a record, without parts.

    :param record: what `record_upload` gave.
    :param upload_id: its identifier.
    :param bucket: the FakeBucket it is for.
    """
    from moto.s3.models import FakeMultipart
    from moto.utilities.utils import CaseInsensitiveDict

    content = json.loads(record)
    upload = FakeMultipart(
        content["key"],
        CaseInsensitiveDict(content["metadata"]),
        account_id=bucket.account_id,
        region_name=bucket.region_name,
        storage=content["storage"],
        tags=content["tags"],
        acl=_restore_acl(content["acl"]),
        sse_encryption=content["encryption"],
        kms_key_id=content["kms_key_id"],
    )
    upload.id = upload_id
    return upload


def _record_acl(acl: Any) -> list[Any] | None:
    if acl is None:
        return None
    return [
        [[[grantee.id, grantee.uri, grantee.display_name] for grantee in grant.grantees], list(grant.permissions)]
        for grant in acl.grants
    ]


def _restore_acl(grants: list[Any] | None) -> Any:
    from moto.s3.models import FakeAcl, FakeGrant, FakeGrantee

    if grants is None:
        return None
    return FakeAcl(
        [FakeGrant([FakeGrantee(*grantee) for grantee in grantees], permissions) for grantees, permissions in grants]
    )
