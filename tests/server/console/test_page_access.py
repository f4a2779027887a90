"""Where the kernel does not say who asks, a page opens by our link, and by nothing else."""

from __future__ import annotations

import http.client
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from airflow_sm_pipelines.server.access_keys import AccessKeys
from airflow_sm_pipelines.server.console import page_access
from airflow_sm_pipelines.server.http.messages import read_utc_clock
from airflow_sm_pipelines.server.http.peers import PeerRule
from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "/_console/pipelines/x"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with open_endpoint(tmp_path_factory.mktemp("pages") / "state", peers=PeerRule(requires_key=True)) as endpoint:
        yield endpoint


def get(endpoint: Endpoint, path: str, cookie: str = "", **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
    try:
        connection.request("GET", path, headers={"Cookie": cookie, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_a_page_says_what_to_type_until_the_link_was_followed(closed: Endpoint) -> None:
    status, text, _ = get(closed, PAGE)
    assert (status, "sm-pipelines local open" in text) == (403, True)
    link = page_access.make_page_link(closed.url, AccessKeys(closed.secret), now=read_utc_clock())
    status, text, headers = get(closed, link.removeprefix(closed.url))
    assert (status, text, headers["Location"]) == (303, "", "/_console")
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"Path=/_console", "HttpOnly", "SameSite=Lax"}
    assert cookie.startswith(f"sm-pipelines-{closed.port}=")
    # From Airflow's button, too. The stand-in has no pages, and whoever gets this far was let in.
    link_headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert "local open" not in get(closed, PAGE, cookie, **link_headers)[1]
    status, text, _ = get(closed, "/bucket/key", cookie)
    assert (status, "unsigned" in text) == (403, True)


@pytest.mark.parametrize("token", ["", "x", "99999999999.x", "-1.", "é.é"])
def test_no_other_token_opens_a_page(closed: Endpoint, token: str) -> None:
    assert get(closed, f"/_console/open?token={token.encode().hex() if 'é' in token else token}")[0] == 403
    assert "local open" in get(closed, PAGE, f"sm-pipelines-{closed.port}={token.strip('é')}")[1]


def test_a_link_ends(closed: Endpoint) -> None:
    past = read_utc_clock() - timedelta(seconds=page_access.LINK_SECONDS + 1)
    link = page_access.make_page_link(closed.url, AccessKeys(closed.secret), now=past)
    assert get(closed, f"{urlsplit(link).path}?{urlsplit(link).query}")[0] == 403


def test_the_owner_needs_no_link(endpoint: Endpoint) -> None:
    assert "local open" not in get(endpoint, PAGE)[1]
