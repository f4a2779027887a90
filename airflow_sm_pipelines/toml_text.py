"""Reads TOML text, on Python 3.10 too. Which file it is, and what may be in it, is decided elsewhere."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """The document in a TOML text.

    :raises ValueError: it is not TOML; the message says where.
    """
    # Python 3.10 has no tomllib of its own.
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    document: dict[str, Any] = toml.loads(text)
    return document
