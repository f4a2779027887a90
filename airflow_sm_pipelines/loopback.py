"""Which hosts are this machine: one rule for the endpoint, for scripts that call it, and for the command line."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names under which a client reaches its own machine."""


def is_loopback_url(url: str | None) -> bool:
    """Whether a URL leads to this machine, such as ``http://127.0.0.1:4566``."""
    try:
        return urlsplit(url or "").hostname in LOOPBACK_NAMES
    except ValueError:  # brackets that hold no address
        return False
