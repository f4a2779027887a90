"""A sample of `python -m tests.harm.clients`: nothing that names AWS leaves this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harm.clients import CLIENTS, watch

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = {"boto3, newest": "answered", "curl": "refused", "Java": "refused"}
"""Clients that need no environment of their own, and what comes of their call."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_client_that_names_aws_is_answered_or_refused_here(tmp_path: Path, name: str) -> None:
    client = next(one for one in CLIENTS if one.name.startswith(name))
    command = client.make(tmp_path)
    if command is None:
        pytest.skip(f"there is no {name} here")
    seen = watch(command, tmp_path)
    assert (seen.verdict, seen.left) == (SAMPLE[name], frozenset()), seen.said
