"""Options of a command that are written as pairs."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_pairs


def test_pairs_are_taken_as_the_aws_cli_writes_them_too() -> None:
    given = ["team=risk", "Key=env,Value=prod=1", "Key=Value", "Name=a,Value=b"]
    expected = {"team": "risk", "env": "prod=1", "Key": "Value", "Name": "a,Value=b"}
    assert read_pairs(given, option="--tag", member="Key") == expected
    assert read_pairs(["Name=MaxDepth,Value=5"], option="--parameter") == {"MaxDepth": "5"}


@pytest.mark.parametrize("text", ["team", "=risk"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(UnreadableSourceError, match=r"--tag '.*' is not NAME=VALUE with a key"):
        read_pairs([text], option="--tag", what="a key")
