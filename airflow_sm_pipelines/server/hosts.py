"""Which HTTP requests a loopback endpoint may answer at all: rules over the Host and Origin headers.

A page in the user's browser can send requests to 127.0.0.1, under a name of its own (DNS rebinding: the Host header
shows it) or cross-site (the Origin header shows it). Neither may read or change the local account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_sm_pipelines.loopback import LOOPBACK_NAMES

if TYPE_CHECKING:
    from collections.abc import Collection


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

    A subdomain of a known name is as good as the name (RFC 6761 for ``localhost``): S3 clients address buckets so.

    :param header: the Host header.
    :param extra_names: further names the endpoint is known by, such as a container's.
    """
    name = parse_host(header)
    names = LOOPBACK_NAMES.union(extra_names)
    return name in names or any(name.endswith(f".{known}") for known in names if not _is_address(known))


def is_allowed_origin(header: str | None, extra_names: Collection[str] = ()) -> bool:
    """Whether a request with this Origin header comes from no browser page, or from one of this machine's own.

    :param header: the Origin header, or None where there is none (AWS clients send none).
    :param extra_names: further names the endpoint is known by.
    """
    if header is None:
        return True
    return is_allowed_host(header.partition("://")[2], extra_names)


def parse_virtual_bucket(header: str, extra_names: Collection[str] = ()) -> str | None:
    """The bucket in a virtual-host style S3 address.

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
