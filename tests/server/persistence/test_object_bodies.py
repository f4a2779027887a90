"""Large objects go from their file to the client: the same answers, without the object in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from airflow_sm_pipelines.server.moto_service import MotoService
from airflow_sm_pipelines.server.persistence import object_bodies
from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = os.urandom(100_000)


@pytest.fixture(params=["from the file", "through moto"])
def s3(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an endpoint, with an object that either counts as large or does not: both must answer alike."""
    if request.param == "from the file":
        monkeypatch.setattr(object_bodies, "LARGE_BYTES", 1)
    with open_endpoint(tmp_path) as endpoint:
        client = endpoint.client("s3")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a b/ü", Body=BODY, ContentType="text/x", Metadata={"k": "v"})
        yield client


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("99990-200000", 99990, 100000), ("-7", 99993, 100000), ("5-", 5, 100000)],
)
def test_a_range_is_that_part(s3: Any, asked: str, start: int, end: int) -> None:
    answer = s3.get_object(Bucket="bucket", Key="a b/ü", Range=f"bytes={asked}")
    assert answer["Body"].read() == BODY[start:end]
    assert answer["ContentLength"] == end - start
    assert answer["ContentRange"] == f"bytes {start}-{end - 1}/100000"
    assert (answer["ContentType"], answer["Metadata"]) == ("text/x", {"k": "v"})


def test_a_range_behind_the_end_and_a_condition_that_does_not_hold_are_refused(s3: Any) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="bucket", Key="a b/ü", Range="bytes=100000-")
    assert caught.value.response["Error"]["Code"] == "InvalidRange"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="bucket", Key="a b/ü", IfMatch='"0"')
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="bucket", Key="a b/u")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


def test_versions_and_overridden_headers_are_answered(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="bucket", Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket="bucket", Key="k", Body=b"second")
    assert s3.get_object(Bucket="bucket", Key="k", VersionId=first)["Body"].read() == b"first"
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"second"
    assert s3.get_object(Bucket="bucket", Key="k", ResponseContentType="a/b")["ContentType"] == "a/b"


def test_an_object_of_parts_passes_the_clients_own_check(s3: Any) -> None:
    place = {"Bucket": "bucket", "Key": "parts"}
    part = b"x" * (5 << 20)
    upload = s3.create_multipart_upload(**place, ChecksumAlgorithm="CRC32")["UploadId"]
    given = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=part, ChecksumAlgorithm="CRC32")
    parts = [{"PartNumber": 1, "ETag": given["ETag"], "ChecksumCRC32": given["ChecksumCRC32"]}]
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**place, ChecksumMode="ENABLED")["Body"].read() == part


def test_what_is_large_never_comes_into_memory(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    (tmp_path / "file").write_bytes(os.urandom(object_bodies.LARGE_BYTES + 17))
    s3.upload_file(str(tmp_path / "file"), "bucket", "large")
    largest = 0
    call = MotoService.call

    def measuring(self: MotoService, request: Any) -> Any:
        nonlocal largest
        answer = call(self, request)
        largest = max(largest, len(answer.body))
        return answer

    monkeypatch.setattr(MotoService, "call", measuring)
    s3.download_file("bucket", "large", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()
    assert largest < 10_000
