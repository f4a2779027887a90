"""moto's S3 on disk: after each request that changed something, the state of what it touched.

State, not requests: an object written a thousand times is one row and one file. Bodies live in files from then on; moto
reads them there, so memory does not grow with them, and a start reads none of them.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.server.persistence.object_bodies import BlobFile, BlobStore
from airflow_sm_pipelines.server.persistence.object_bodies import read_large_object
from airflow_sm_pipelines.server.persistence.object_records import (
    is_delete_marker,
    record_key,
    record_upload,
    restore_key,
    restore_upload,
)
from airflow_sm_pipelines.server.http.messages import record_environ, restore_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from airflow_sm_pipelines.server.http.messages import Request, Response
    from airflow_sm_pipelines.server.persistence.endpoint_database import Database

_log = logging.getLogger(__name__)

#: The setting under which a bucket's own creation is kept.
_CREATION = ""
#: The one setting that names resources of other services, which must be there first.
_NOTIFICATION = "notification"
#: Memory of this size is worth a run of the garbage collector.
_COLLECTED_BYTES = 64 << 20


class ObjectPersistence:
    """Keeps moto's S3 backend.

    :param database: for everything but bodies.
    :param directory: for bodies.
    :param apply: carries a request out.
    """

    def __init__(self, database: Database, directory: Path, apply: Callable[[Request], Response]) -> None:
        self._database = database
        self._blobs = BlobStore(directory)
        self._apply = apply
        self._lock = threading.Lock()

    def call(self, request: Request) -> Response:
        """Carry an S3 request out; when it changes something and succeeds, that is durable before this returns.

        Changes are made one at a time: moto 5.2 fails where two requests write one object at once.

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
            # moto's objects of a request refer to each other, and to its body: do not wait for the collector's turn.
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

    def restore(self) -> None:
        """Put everything back into an empty S3 backend, except for the buckets' notifications."""
        self._restore_settings("setting != ?")
        for name, created in self._database.read("SELECT name, created FROM buckets WHERE setting = ?", _CREATION):
            bucket = self._bucket(str(name))
            if bucket is not None:
                bucket.creation_date = datetime.fromtimestamp(float(created), timezone.utc)  # type: ignore[arg-type]
        kept = self._restore_objects() | self._restore_uploads()
        self._blobs.keep_only(kept)

    def restore_notifications(self) -> None:
        """Put the buckets' notifications back, once the queues and functions they name are there."""
        self._restore_settings("setting = ?")

    def close(self) -> None:
        """Remove the bodies nothing refers to any more."""
        self._blobs.close()

    def has_notifications(self, bucket: str) -> bool:
        """Whether changes in a bucket send messages.

        :param bucket: the bucket's name.
        """
        found = self._bucket(bucket)
        return found is not None and found.notification_configuration is not None

    def _restore_settings(self, where: str) -> None:
        query = f"SELECT environ, body FROM buckets WHERE {where} ORDER BY rowid"  # noqa: S608 - `where` is ours
        for environ, body in self._database.read(query, _NOTIFICATION):
            response = self._apply(restore_request(str(environ), bytes(body)))  # type: ignore[call-overload]
            if not response.is_success:
                _log.warning("Restoring a bucket gave HTTP %s: %.500s", response.status, response.body)

    def _record_bucket_request(self, name: str, request: Request) -> None:
        setting = "&".join(sorted(word for word in request.query if not word.startswith("X-Amz"))) or _CREATION
        if request.method == "POST":
            # DeleteObjects names its keys in the body; what a browser's form wrote is found by looking at all.
            self._record_objects(name, self._deleted_keys(request) if "delete" in request.query else None)
            return
        with self._database.transaction() as connection:
            if request.method == "PUT":
                connection.execute(
                    "INSERT INTO buckets (name, setting, created, environ, body) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET environ = excluded.environ, body = excluded.body",
                    (name, setting, time.time(), record_environ(request), request.body),
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
            blob = None if is_delete_marker(key) else self._store_body(key)
            tags = {} if blob is None else tagger.get_tag_dict_for_resource(key.arn)
            rows.append((bucket.name, name, position, record_key(key, tags), blob))
        return rows

    def _record_uploads(self, bucket_name: str, request: Request) -> None:
        bucket = self._bucket(bucket_name)
        uploads = dict(bucket.multiparts) if bucket is not None else {}
        place = request.query.get("uploadId", "")
        number = int(request.query["partNumber"]) if request.query.get("partNumber", "").isdigit() else None
        part = uploads[place].parts.get(number) if place in uploads and number else None
        row = (bucket_name, place, number, record_key(part, {}), self._store_body(part)) if part is not None else None
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
                values = (bucket_name, upload, record_upload(uploads[upload]))
                connection.execute("INSERT INTO uploads VALUES (?, ?, ?)", values)
            if row is not None:
                where_part = "bucket = ? AND upload = ? AND number = ?"
                old += connection.execute(f"SELECT blob FROM parts WHERE {where_part}", row[:3]).fetchall()  # noqa: S608
                connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", row)
        self._discard(old, {row[4]} if row is not None else set())

    def _restore_objects(self) -> set[str]:
        kept: set[str] = set()
        tagger = self._backend().tagger
        bucket: Any = None
        for bucket_name, name, record, blob in self._database.read(
            "SELECT bucket, key, record, blob FROM objects ORDER BY bucket, key, position"
        ):
            if bucket is None or bucket.name != bucket_name:
                bucket = self._bucket(str(bucket_name))
            if bucket is None:
                continue
            key, tags = restore_key(str(record), name=name, bucket=bucket, body=blob and self._blobs.open(str(blob)))
            bucket.keys[name] = key
            if tags:
                tagger.tag_resource(key.arn, [{"Key": tag, "Value": value} for tag, value in tags.items()])
            if blob:
                kept.add(str(blob))
        return kept

    def _restore_uploads(self) -> set[str]:
        kept: set[str] = set()
        for bucket_name, upload_id, record in self._database.read("SELECT bucket, upload, record FROM uploads"):
            bucket = self._bucket(str(bucket_name))
            if bucket is None:
                continue
            upload = restore_upload(str(record), upload_id=str(upload_id), bucket=bucket)
            bucket.multiparts[upload.id] = upload
            for number, part, blob in self._database.read(
                "SELECT number, record, blob FROM parts WHERE bucket = ? AND upload = ? ORDER BY number",
                bucket_name,
                upload_id,
            ):
                body = self._blobs.open(str(blob))
                upload.parts[number], _ = restore_key(str(part), name=number, bucket=bucket, body=body)
                upload.partlist.append(number)
                kept.add(str(blob))
        return kept

    def _store_body(self, key: Any) -> str:
        buffer = key._value_buffer
        if isinstance(buffer, BlobFile):
            return buffer.blob
        key.etag  # noqa: B018 - moto computes it from the buffer on first use, and keeps it
        with key.lock:
            blob = self._blobs.write(buffer)
            key._value_buffer = self._blobs.open(blob)
        buffer.close()
        return blob

    def _discard(self, rows: list[Any], live: set[Any]) -> None:
        for (blob,) in rows:
            if blob and blob not in live:
                self._blobs.discard(blob)

    @staticmethod
    def _deleted_keys(request: Request) -> list[str] | None:
        try:
            # moto has parsed the same body with the same expat, which bounds entity expansion itself.
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
    # moto 5.2 keeps every object it ever made in a list for its dashboard, closed here: memory would only grow.
    from moto.s3.models import FakeKey, FakeMultipart

    for model in (FakeKey, FakeMultipart):
        instances: list[Any] = vars(model)["instances_tracked"]
        instances.clear()
