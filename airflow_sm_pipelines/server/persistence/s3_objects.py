"""moto's S3 on disk: after each request that changed something, the new state of what it touched.

It keeps state, not requests: an object written a thousand times is one row and one file. Bodies move into files, where
moto reads them, so memory does not grow with them, and a start reads none of them. No other module knows the attributes
of moto's S3 classes (``moto.s3.models``, as of moto 5.2).
"""

from __future__ import annotations

import gc
import json
import threading
import time
from datetime import datetime, timezone
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.server.persistence.object_bodies import BodyFile, BodyStore, read_large_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_sm_pipelines.server.http.messages import Response
    from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase

_CREATION = ""
"""The setting under which a bucket's own creation is kept."""

_NOTIFICATION = "notification"
"""The one setting that names resources of other services, which must be there first."""

_COLLECTED_BYTES = 64 << 20
"""A request of this size is worth a run of the garbage collector."""

_OBJECT_ATTRIBUTES = (
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
"""Attributes of moto's FakeKey that are recorded and restored unchanged."""


class S3Objects:
    """Keeps moto's S3 backend: buckets with their settings, objects, unfinished uploads.

    :param database: for everything but bodies.
    :param bodies: for bodies.
    :param apply: carries a request out.
    """

    def __init__(self, database: EndpointDatabase, bodies: BodyStore, apply: Callable[[Request], Response]) -> None:
        self._database = database
        self._bodies = bodies
        self._apply = apply
        self._lock = threading.Lock()

    def call(self, request: Request) -> Response:
        """Carry an S3 request out; when it changes something and succeeds, that is durable before this returns.

        It makes changes one at a time, because moto 5.2 fails where two requests write one object at once.

        :param request: the request, in path style.
        """
        bucket, _, key = request.path.lstrip("/").partition("/")
        if request.method == "GET" and key:
            large = read_large_object(request, self._bucket(bucket), self._apply)
            if large is not None:
                return large
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return self._apply(request)
        with self._lock:
            response = self._apply(request)
            if response.is_success:
                self._record(request)
        if len(request.body) > _COLLECTED_BYTES or (request.method == "POST" and "uploadId" in request.query):
            # moto's objects of a request refer to each other and to its body, so only the collector frees them.
            gc.collect()
        return response

    def _record(self, request: Request) -> None:
        _forget_instances()
        bucket, _, key = request.path.lstrip("/").partition("/")
        if not bucket:
            return
        if not key:
            self._record_bucket_request(bucket, request)
            return
        if "uploads" in request.query or "uploadId" in request.query:
            self._record_uploads(bucket, request)
        self._record_objects(bucket, [key])

    def restore(self) -> list[str]:
        """Put everything back into an empty S3 backend, except for the buckets' notifications.

        :return: what could not be put back, a text for each.
        """
        failures = self._restore_settings("setting != ?")
        for name, created in self._database.read("SELECT name, created FROM buckets WHERE setting = ?", _CREATION):
            bucket = self._bucket(str(name))
            if bucket is not None:
                bucket.creation_date = datetime.fromtimestamp(float(created), timezone.utc)  # type: ignore[arg-type]
        self._restore_objects()
        self._restore_uploads()
        # Also the bodies of what could not be put back: another version of moto may be able to.
        rows = self._database.read("SELECT blob FROM objects UNION SELECT blob FROM parts")
        self._bodies.keep_only({str(body) for (body,) in rows})
        return failures

    def restore_notifications(self) -> list[str]:
        """Put the buckets' notifications back, once the queues and functions they name are there.

        :return: what could not be put back, a text for each.
        """
        return self._restore_settings("setting = ?")

    def has_notifications(self, bucket: str) -> bool:
        """Whether a change in the bucket sends messages.

        :param bucket: the bucket's name.
        """
        found = self._bucket(bucket)
        return found is not None and found.notification_configuration is not None

    def _restore_settings(self, where: str) -> list[str]:
        failures = []
        columns = "name, setting, environ, body"
        query = f"SELECT {columns} FROM buckets WHERE {where} ORDER BY rowid"  # noqa: S608 - both are ours
        for name, setting, environ, body in self._database.read(query, _NOTIFICATION):
            response = self._apply(Request.of_record(str(environ), bytes(body)))  # type: ignore[call-overload]
            if not response.is_success:
                failures.append(f"s3:{setting or 'bucket'} of '{name}': {response.summary}")
        return failures

    def _record_bucket_request(self, name: str, request: Request) -> None:
        setting = "&".join(sorted(word for word in request.query if not word.startswith("X-Amz"))) or _CREATION
        if request.method == "POST":
            # DeleteObjects names its keys in the body. A browser's form does not: then look at all objects.
            self._record_objects(name, self._deleted_keys(request) if "delete" in request.query else None)
            return
        with self._database.transaction() as connection:
            if request.method == "PUT":
                connection.execute(
                    "INSERT INTO buckets (name, setting, created, environ, body) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET environ = excluded.environ, body = excluded.body",
                    (name, setting, time.time(), request.to_record(), request.body),
                )
            elif setting == _CREATION:
                connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
                connection.execute("DELETE FROM objects WHERE bucket = ?", (name,))
                connection.execute("DELETE FROM uploads WHERE bucket = ?", (name,))
                connection.execute("DELETE FROM parts WHERE bucket = ?", (name,))
            else:
                connection.execute("DELETE FROM buckets WHERE name = ? AND setting = ?", (name, setting))

    def _record_objects(self, bucket_name: str, keys: Iterable[str] | None) -> None:
        bucket = self._bucket(bucket_name)
        if bucket is None:
            return
        keys = list(bucket.keys) if keys is None else list(keys)
        rows = [row for name in keys for row in self._snapshot(bucket, name)]
        with self._database.transaction() as connection:
            old = []
            for name in keys:
                place = (bucket_name, name)
                old += connection.execute("SELECT blob FROM objects WHERE bucket = ? AND key = ?", place).fetchall()
                connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", place)
            connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
        self._discard(old, {row[4] for row in rows})

    def _snapshot(self, bucket: Any, name: str) -> list[tuple[str, str, int, str, str | None]]:
        """The rows of all versions of an object as they are now."""
        tagger = self._backend().tagger
        rows = []
        for position, key in enumerate(bucket.keys.getlist(name, [])):
            blob = None if _is_delete_marker(key) else self._store_body(key)
            tags = {} if blob is None else tagger.get_tag_dict_for_resource(key.arn)
            rows.append((bucket.name, name, position, _record_key(key, tags), blob))
        return rows

    def _record_uploads(self, bucket_name: str, request: Request) -> None:
        bucket = self._bucket(bucket_name)
        uploads = dict(bucket.multiparts) if bucket is not None else {}
        place = request.query.get("uploadId", "")
        number = int(request.query["partNumber"]) if request.query.get("partNumber", "").isdigit() else None
        part = uploads[place].parts.get(number) if place in uploads and number else None
        row = (bucket_name, place, number, _record_key(part, {}), self._store_body(part)) if part is not None else None
        old: list[Any] = []
        with self._database.transaction() as connection:
            stored = {
                upload
                for (upload,) in connection.execute("SELECT upload FROM uploads WHERE bucket = ?", (bucket_name,))
            }
            for upload in stored - uploads.keys():
                where = (bucket_name, upload)
                old += connection.execute("SELECT blob FROM parts WHERE bucket = ? AND upload = ?", where).fetchall()
                connection.execute("DELETE FROM parts WHERE bucket = ? AND upload = ?", where)
                connection.execute("DELETE FROM uploads WHERE bucket = ? AND upload = ?", where)
            for upload in uploads.keys() - stored:
                values = (bucket_name, upload, _record_upload(uploads[upload]))
                connection.execute("INSERT INTO uploads VALUES (?, ?, ?)", values)
            if row is not None:
                where_part = "bucket = ? AND upload = ? AND number = ?"
                old += connection.execute(f"SELECT blob FROM parts WHERE {where_part}", row[:3]).fetchall()  # noqa: S608
                connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", row)
        self._discard(old, {row[4]} if row is not None else set())

    def _restore_objects(self) -> None:
        bucket: Any = None
        for bucket_name, name, record, blob in self._database.read(
            "SELECT bucket, key, record, blob FROM objects ORDER BY bucket, key, position"
        ):
            if bucket is None or bucket.name != bucket_name:
                bucket = self._bucket(str(bucket_name))
            if bucket is None:
                continue
            key, tags = _restore_key(str(record), name=name, bucket=bucket, body=blob and self._bodies.open(str(blob)))
            bucket.keys[name] = key
            if tags:
                tagger = self._backend().tagger
                tagger.tag_resource(key.arn, [{"Key": tag, "Value": value} for tag, value in tags.items()])

    def _restore_uploads(self) -> None:
        for bucket_name, upload_id, record in self._database.read("SELECT bucket, upload, record FROM uploads"):
            bucket = self._bucket(str(bucket_name))
            if bucket is None:
                continue
            upload = _restore_upload(str(record), upload_id=str(upload_id), bucket=bucket)
            bucket.multiparts[upload.id] = upload
            for number, part, blob in self._database.read(
                "SELECT number, record, blob FROM parts WHERE bucket = ? AND upload = ? ORDER BY number",
                bucket_name,
                upload_id,
            ):
                body = self._bodies.open(str(blob))
                upload.parts[number], _ = _restore_key(str(part), name=number, bucket=bucket, body=body)
                upload.partlist.append(number)

    def _store_body(self, key: Any) -> str:
        buffer = key._value_buffer
        if isinstance(buffer, BodyFile):
            return buffer.body_name
        key.etag  # noqa: B018 - moto computes it from the buffer at the first use, and keeps it
        with key.lock:
            blob = self._bodies.write(buffer)
            key._value_buffer = self._bodies.open(blob)
        buffer.close()
        return blob

    def _discard(self, rows: list[Any], live: set[Any]) -> None:
        for (blob,) in rows:
            if blob and blob not in live:
                self._bodies.discard(blob)

    @staticmethod
    def _deleted_keys(request: Request) -> list[str] | None:
        try:
            # moto has parsed this body with the same expat, which bounds the expansion of entities.
            root = ElementTree.fromstring(request.body)  # noqa: S314
        except ElementTree.ParseError:
            return None
        return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == "Key"]

    def _bucket(self, name: str) -> Any:
        return self._backend().buckets.get(name)

    @staticmethod
    def _backend() -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT_ID]["aws"]


def _forget_instances() -> None:
    # moto 5.2 lists every object it ever made for its dashboard, which is closed here: memory would only grow.
    from moto.s3.models import FakeKey, FakeMultipart

    for model in (FakeKey, FakeMultipart):
        instances: list[Any] = vars(model)["instances_tracked"]
        instances.clear()


def _record_key(key: Any, tags: dict[str, str]) -> str:
    """A stored object, or a marker of its deletion, as JSON.

    :param key: a FakeKey or FakeDeleteMarker.
    :param tags: the object's tags.
    """
    if _is_delete_marker(key):
        return json.dumps({"marker": key._version_id, "modified": key.last_modified.isoformat()})
    key.etag  # noqa: B018 - moto computes it from the body at the first use, and keeps it
    return json.dumps(
        {
            "plain": {name: getattr(key, name) for name in _OBJECT_ATTRIBUTES},
            "modified": key.last_modified.isoformat(),
            "expires": key._expiry.isoformat() if key._expiry else None,
            "metadata": dict(key._metadata),
            "acl": _record_acl(key.acl),
            "multipart": key.multipart.id if key.multipart else None,
            "tags": tags,
        }
    )


def _is_delete_marker(key: Any) -> bool:
    """Whether a version in a bucket only says that the object was deleted.

    :param key: a FakeKey or FakeDeleteMarker.
    """
    return not hasattr(key, "_value_buffer")


def _restore_key(record: str, *, name: Any, bucket: Any, body: Any) -> tuple[Any, dict[str, str]]:
    """The stored object of a record.

    :param record: what `_record_key` gave.
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


def _record_upload(upload: Any) -> str:
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


def _restore_upload(record: str, *, upload_id: str, bucket: Any) -> Any:
    """The unfinished upload of a record, without parts.

    :param record: what `_record_upload` gave.
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
