"""Who may see the endpoint's pages where the kernel does not say who asks: a browser that was opened by a link of ours.

The link holds a token that soon ends. It becomes a cookie, which opens pages and nothing of an API: a browser sends it
to every port of this machine, whoever listens there.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_sm_pipelines.local_endpoint import CONSOLE_PATH
from airflow_sm_pipelines.server.http.messages import Response, read_utc_clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_sm_pipelines.server.access_keys import AccessKeys
    from airflow_sm_pipelines.server.http.messages import Request

LINK_SECONDS = 120
"""How long the link of ``local open`` can be used."""

_OPEN_PATH = f"{CONSOLE_PATH}/open"
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)
_CLOSED = (
    "<!doctype html><html lang=en><title>Closed</title><h1>This page is closed</h1><p>To open it in this browser, type "
    "in a terminal of the user who runs the endpoint: <code>sm-pipelines local open</code> (with the endpoint's "
    "<code>--state-dir</code>, if it has one). Then reload this page.</html>"
)


def make_page_link(url: str, keys: AccessKeys, *, now: datetime) -> str:
    """The link that opens the endpoint's pages in a browser.

    :param url: the endpoint's URL.
    :param keys: the endpoint's keys.
    :param now: with a time zone.
    """
    end = str(int(now.timestamp()) + LINK_SECONDS)
    return f"{url}{_OPEN_PATH}?token={end}.{keys.derive_page_token(end)}"


class PageAccess:
    """Opens and closes the pages.

    :param keys: the endpoint's keys, from which tokens are derived.
    :param read_clock: gives the time, with a time zone.
    """

    def __init__(self, keys: AccessKeys, read_clock: Callable[[], datetime] = read_utc_clock) -> None:
        self._keys = keys
        self._read_clock = read_clock

    def find_answer(self, request: Request) -> Response | None:
        """The answer that takes the page's place; None where the page is to be shown.

        :param request: a request whose path begins with :data:`.local_endpoint.CONSOLE_PATH`.
        """
        if request.path == _OPEN_PATH:
            return self._open(request)
        cookie = _read_cookie(request)
        if request.peer_refusal is None or hmac.compare_digest(cookie.encode(), self._cookie_value.encode()):
            return None
        return Response(403, _CLOSED.encode(), _HEADERS)

    @property
    def _cookie_value(self) -> str:
        return self._keys.derive_page_token("")

    def _open(self, request: Request) -> Response:
        end, _, token = request.query.get("token", "").partition(".")
        is_right = bool(end) and hmac.compare_digest(token.encode(), self._keys.derive_page_token(end).encode())
        if not is_right or self._read_clock().timestamp() > int(end):
            return Response(403, _CLOSED.encode(), _HEADERS)
        cookie = f"{_name_cookie(request)}={self._cookie_value}; Path={CONSOLE_PATH}; HttpOnly; SameSite=Lax"
        return Response(303, b"", (*_HEADERS, ("Location", CONSOLE_PATH), ("Set-Cookie", cookie)))


def _name_cookie(request: Request) -> str:
    """Each endpoint's own name: cookies know no ports."""
    try:
        port = urlsplit(f"//{request.host}").port
    except ValueError:
        port = None
    return f"sm-pipelines-{port or 80}"


def _read_cookie(request: Request) -> str:
    try:
        found = SimpleCookie(str(request.environ.get("HTTP_COOKIE", ""))).get(_name_cookie(request))
    except CookieError:
        return ""
    return found.value if found else ""
