"""Which HTTP requests a loopback endpoint may answer: rules on Host, Origin and Fetch Metadata headers. Pure.

A page in the user's browser can send requests to 127.0.0.1. It may do so under a name of its own (DNS rebinding), which
the Host header shows, or from another site, which the Origin and Sec-Fetch headers show. Neither may touch the local
account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_sm_pipelines.loopback import LOOPBACK_NAMES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def parse_host(header: str) -> str:
    """The host name in a Host header, in lower case, without port and brackets.

    :param header: such as ``127.0.0.1:4566`` or ``[::1]:80``.
    :return: the name; empty when the header is not a host.
    """
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def is_allowed_host(header: str, extra_names: Collection[str] = ()) -> bool:
    """Whether a request with this Host header was meant for the local endpoint.

    A subdomain of ``localhost`` is this machine too (RFC 6761): S3 clients address a bucket so.

    :param header: the Host header.
    :param extra_names: further names the endpoint is known by, such as a container's.
    """
    name = parse_host(header)
    names = LOOPBACK_NAMES.union(extra_names)
    return name in names or any(name.endswith(f".{known}") for known in names if not _is_address(known))


def is_allowed_origin(header: str | None, host: str) -> bool:
    """Whether a request with this Origin header comes from a page of this endpoint, or from no page at all.

    A page on another port of this machine is another program's.

    :param header: the Origin header; None where there is none, as from AWS clients.
    :param host: the Host header of the same request.
    """
    return header is None or header.lower() == f"http://{host.lower()}"


def is_allowed_fetch(fetch: Mapping[str, str], *, opens_page: bool) -> bool:
    """Whether a browser may send this request: for a page of this endpoint, or to open one from a link elsewhere.

    Browsers tell with each request where it comes from and what for, in headers that no page can set (Fetch Metadata,
    W3C). An image of another site sends a GET without an Origin. AWS clients send no such headers.

    :param fetch: the Sec-Fetch headers by their last word: ``site``, ``mode``, ``dest``.
    :param opens_page: whether it is a GET of one of the endpoint's pages for people.
    """
    if fetch.get("site", "none") in {"none", "same-origin"}:
        return True
    return opens_page and fetch.get("mode") == "navigate" and fetch.get("dest") == "document"


def parse_virtual_bucket(header: str, extra_names: Collection[str] = ()) -> str | None:
    """The bucket that an S3 address names in its host ("virtual-host style").

    :param header: the Host header, such as ``my.bucket.localhost:4566``.
    :param extra_names: further names the endpoint is known by.
    :return: the bucket's name, or None when the host names no bucket.
    """
    name = parse_host(header)
    for known in LOOPBACK_NAMES.union(extra_names):
        if not _is_address(known) and name.endswith(f".{known}"):
            return name[: -len(known) - 1]
    return None


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()
