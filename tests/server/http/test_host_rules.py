"""Which Host and Origin headers the endpoint takes for its own."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.server.http.host_rules import (
    is_allowed_fetch,
    is_allowed_host,
    is_allowed_origin,
    parse_virtual_bucket,
)


@pytest.mark.parametrize(
    "header",
    [
        "127.0.0.1",
        "127.0.0.1:4566",
        "localhost:1",
        "LOCALHOST:1",
        "[::1]:80",
        "my-bucket.localhost:4566",
        "a.b.localhost",
    ],
)
def test_a_loopback_name_is_answered(header: str) -> None:
    assert is_allowed_host(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example:4566",
        "localhost.evil.example",
        "evillocalhost",
        "x.127.0.0.1",
        "user@evil.example",
        "127.0.0.1@evil.example",
        "[::1",
        "sagemaker.us-east-1.amazonaws.com",
        "169.254.169.254",
    ],
)
def test_a_foreign_name_is_refused(header: str) -> None:
    assert not is_allowed_host(header)


def test_a_name_that_was_allowed_is_answered_with_its_buckets() -> None:
    assert is_allowed_host("endpoint:4566", {"endpoint"})
    assert is_allowed_host("bucket.endpoint:4566", {"endpoint"})


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:4566", True),
        ("http://LOCALHOST:4566", True),
        ("http://localhost:8080", False),
        ("http://127.0.0.1:4566", False),
        ("https://localhost:4566", False),
        ("null", False),
        ("https://evil.example", False),
        ("http://[", False),
    ],
)
def test_only_its_own_pages_may_call(origin: str | None, allowed: bool) -> None:
    assert is_allowed_origin(origin, "localhost:4566") is allowed


PAGE_LINK = {"site": "cross-site", "mode": "navigate", "dest": "document"}


@pytest.mark.parametrize(
    ("fetch", "opens_page", "allowed"),
    [
        ({}, False, True),
        ({"site": "none", "mode": "navigate", "dest": "document"}, False, True),
        ({"site": "same-origin", "mode": "cors", "dest": "empty"}, False, True),
        (PAGE_LINK, True, True),
        ({**PAGE_LINK, "site": "same-site"}, True, True),
        (PAGE_LINK, False, False),
        ({**PAGE_LINK, "dest": "iframe"}, True, False),
        ({"site": "cross-site", "mode": "no-cors", "dest": "image"}, True, False),
        ({"site": "same-site", "mode": "no-cors", "dest": "script"}, False, False),
    ],
)
def test_pages_elsewhere_may_only_link_to_the_endpoint_s_pages(
    fetch: dict[str, str], opens_page: bool, allowed: bool
) -> None:
    assert is_allowed_fetch(fetch, opens_page=opens_page) is allowed


@pytest.mark.parametrize(
    ("header", "bucket"),
    [("my.bucket.localhost:80", "my.bucket"), ("localhost:80", None), ("127.0.0.1", None), ("b.endpoint", "b")],
)
def test_a_virtual_host_names_its_bucket(header: str, bucket: str | None) -> None:
    assert parse_virtual_bucket(header, {"endpoint"}) == bucket
