"""What an input's address means, and where its objects land, against a real S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.s3_transfer import (
    S3Location,
    TreeSync,
    describe_neighbours,
    download,
    list_input,
    parse_location,
    shard,
    upload_tree,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.jobs.conftest import Storage


def listed(storage: Storage, uri: str, data_type: str = "S3Prefix") -> list[str]:
    return [str(item.path) for item in list_input(storage.client, uri, data_type=data_type)]


@pytest.mark.parametrize(
    ("uri", "paths"),
    [
        ("s3://bucket/data", ["a.csv", "deep/b.csv", "database/c.csv"]),
        ("s3://bucket/data/", ["a.csv", "deep/b.csv"]),
        ("s3://bucket/data/a.csv", ["a.csv"]),
        ("s3://bucket/data/de", ["deep/b.csv"]),
        ("s3://bucket/dat", ["data/a.csv", "data/deep/b.csv", "database/c.csv"]),
        ("s3://bucket", ["data/a.csv", "data/deep/b.csv", "database/c.csv"]),
    ],
    ids=["directory", "directory-slash", "object", "name-prefix", "shared-prefix", "bucket"],
)
def test_a_prefix_gives_these_paths(storage: Storage, uri: str, paths: list[str]) -> None:
    for key in ("data/a.csv", "data/deep/b.csv", "database/c.csv", "data/empty-folder/"):
        storage.put(key, "x")
    assert listed(storage, uri) == paths


@pytest.mark.parametrize(
    ("uri", "neighbour"),
    [
        ("s3://bucket/data", "1 here, such as s3://bucket/database/c.csv"),
        ("s3://bucket/data/", None),
        ("s3://bucket/data/a.csv", "1 here, such as s3://bucket/data/a.csv.bak"),
        ("s3://bucket/data/de", None),
    ],
)
def test_what_comes_along_with_a_prefix_is_told(storage: Storage, uri: str, neighbour: str | None) -> None:
    for key in ("data/a.csv", "data/a.csv.bak", "data/deep/b.csv", "database/c.csv"):
        storage.put(key, "x")
    told = describe_neighbours({"S3Uri": uri}, list_input(storage.client, uri))
    assert (told is None) is (neighbour is None)
    assert neighbour is None or neighbour in str(told)


def test_two_objects_that_would_become_one_file_are_refused(storage: Storage) -> None:
    for key in ("data/te/test/a.csv", "data/test/a.csv"):
        storage.put(key, "x")
    with pytest.raises(JobFailure, match=r"would both become the file 'test/a\.csv'"):
        listed(storage, "s3://bucket/data/te")
    assert listed(storage, "s3://bucket/data/te/") == ["test/a.csv"]


def test_a_manifest_gives_its_names_below_its_prefix(storage: Storage) -> None:
    storage.put("data/a.csv", "x")
    uri = storage.put("manifest", json.dumps([{"prefix": "s3://bucket/data/"}, "a.csv"]))
    assert listed(storage, uri, "ManifestFile") == ["a.csv"]


@pytest.mark.parametrize("key", ["data/../../../etc/cron.d/x", "data/./x", "data/a/.."])
def test_a_key_that_would_leave_the_directory_is_refused(storage: Storage, key: str) -> None:
    storage.put(key, "x")
    with pytest.raises(JobFailure, match="cannot be a file below the input's directory"):
        listed(storage, "s3://bucket/data/")


@pytest.mark.parametrize("uri", [None, "", "bucket/key", "s3://", "https://bucket/key"])
def test_what_is_no_s3_address_is_named(uri: str | None) -> None:
    with pytest.raises(JobFailure, match=r"is not an S3 address such as s3://bucket/prefix"):
        parse_location(uri)


@pytest.mark.parametrize(
    "url",
    [
        "https://data.s3.amazonaws.com/a/b.csv",
        "https://data.s3.eu-west-1.amazonaws.com/a/b.csv",
        "https://data.s3-us-east-1.amazonaws.com/a/b.csv",
        "https://s3.eu-west-1.amazonaws.com/data/a/b.csv",
        "https://s3-eu-west-1.amazonaws.com/data/a/b.csv",
        "https://s3.cn-north-1.amazonaws.com.cn/data/a/b.csv",
    ],
)
def test_a_url_of_s3_is_an_address_too(url: str) -> None:
    assert parse_location(url).uri == "s3://data/a/b.csv"


def test_an_unknown_bucket_is_named(storage: Storage) -> None:
    with pytest.raises(JobFailure, match=r"s3://no-such-bucket/x cannot be listed: .*NoSuchBucket"):
        listed(storage, "s3://no-such-bucket/x")


@pytest.mark.slow
def test_a_thousand_and_more_objects_arrive(storage: Storage, tmp_path: Path) -> None:
    for number in range(1050):
        storage.put(f"many/{number:05}", str(number))
    objects = list_input(storage.client, "s3://bucket/many/")
    download(storage.client, objects, tmp_path / "in")
    assert sorted(int(path.read_text()) for path in (tmp_path / "in").iterdir()) == list(range(1050))


def test_shards_are_disjoint_and_complete(storage: Storage) -> None:
    for number in range(7):
        storage.put(f"data/{number}", "x")
    objects = list_input(storage.client, "s3://bucket/data/")
    shards = [shard(objects, index, 3) for index in range(3)]
    assert [len(part) for part in shards] == [3, 2, 2]
    assert {item for part in shards for item in part} == set(objects)


def test_links_are_not_uploaded(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "a b+ü.txt").write_text("x")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "out" / "folder").symlink_to(tmp_path)
    assert upload_tree(storage.client, tmp_path / "out", S3Location("bucket", "up/")) == 1
    assert storage.keys() == ["up/deep/a b+ü.txt"]


def test_a_sync_uploads_only_what_has_changed(storage: Storage, tmp_path: Path) -> None:
    sync = TreeSync(storage.client, tmp_path, S3Location("bucket", "sync"))
    (tmp_path / "a").write_text("1")
    assert sync.run() == 1
    assert sync.run() == 0
    (tmp_path / "a").write_text("22")
    (tmp_path / "b").write_text("x")
    assert sync.run() == 2
    assert storage.get("sync/a") == b"22"


@pytest.mark.parametrize(
    "uri",
    [
        "arn:aws:s3:us-west-2:123456789012:accesspoint/mine/data",
        "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/mine/data",
        "s3://mine-abcdefghijklmnop-s3alias/data",
    ],
)
def test_an_access_point_is_refused_by_name(uri: str) -> None:
    with pytest.raises(JobFailure, match="is an S3 access point, and there are none here"):
        parse_location(uri)
    assert parse_location("s3://bucket/arn:accesspoint/x-s3alias/y").bucket == "bucket"
