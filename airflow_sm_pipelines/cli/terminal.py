"""Colour where a terminal shows it, plain text everywhere else."""

from __future__ import annotations

import os
import sys

_CODES = {"red": "31", "green": "32", "yellow": "33"}


def paint(text: str, colour: str) -> str:
    """The text in a colour when standard output is a terminal; ``NO_COLOR`` and dumb terminals get it plain."""
    code = _CODES.get(colour)
    if code is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
