"""Tells which addresses are this machine's own. What a server binds and a client may call is decided elsewhere."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
"""The host names of this machine, as they stand in addresses, without the brackets of IPv6."""


def is_loopback_url(url: str | None) -> bool:
    """Whether a URL leads to this machine; not for an address without ``://``."""
    try:
        return url is not None and urlsplit(url).hostname in LOOPBACK_NAMES
    except ValueError:  # brackets that hold no IPv6 address
        return False


def is_listened_to(url: str) -> bool:
    """Whether something on this machine listens at the host and port of a URL; who it is, is not asked."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=2):
            return True
    except OSError:
        return False
