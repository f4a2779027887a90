"""Addresses of this machine; the copy beside the SDK, which can import nothing of ours, decides the same."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest

import airflow_sm_pipelines
from airflow_sm_pipelines.loopback import is_loopback_url


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:4566", True),
        ("https://localhost/path", True),
        ("http://[::1]:80", True),
        ("http://127.0.0.1.example.com", False),
        ("http://example.com/?to=http://127.0.0.1", False),
        ("http://127.0.0.1@example.com", False),
        ("https://sagemaker.eu-west-1.amazonaws.com", False),
        ("http://localhost", True),
        ("http://localhost.example.com", False),
        ("127.0.0.1:4566", False),
        ("", False),
        (None, False),
        ("http://[nowhere", False),
    ],
)
def test_an_address_is_of_this_machine(url: str | None, is_here: bool) -> None:
    assert is_loopback_url(url) is is_here


def test_the_sdk_side_decides_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(airflow_sm_pipelines.__file__).parent / "compiler"))
    try:
        from sdk_side import aws_calls  # type: ignore[import-not-found]

        hosts = ("127.0.0.1", "localhost", "[::1]", "127.0.0.1.evil.example", "example.com", "127.0.0.1@example.com")
        for scheme, host, port, path in product(("http", "https"), hosts, ("", ":4566"), ("", "/", "/x?a=//localhost")):
            url = f"{scheme}://{host}{port}{path}"
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            assert aws_calls.is_loopback() is is_loopback_url(url), url
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "sdk_side"]:
            del sys.modules[name]
