"""Attacks, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def try_all(folder: Path) -> dict[str, list[str]]:
    """Every attack by kind."""
    return {}
