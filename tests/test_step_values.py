"""Values as the text that goes from step to step."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from airflow_sm_pipelines import step_values
from airflow_sm_pipelines.step_values import dump_value, load_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 in memory, with a bucket."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="bucket")
        yield client


@given(VALUES)
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    text = dump_value(value, max_characters=1_000_000)
    assert load_value(text) == value
    assert not text.startswith("s3://")


def test_exactly_1024_characters_go_and_one_more_needs_s3(s3: Any) -> None:
    fits, too_long = "x" * 1022, "x" * 1023  # and two quotes
    assert len(dump_value(fits)) == 1024
    with pytest.raises(ValueError, match=r"has 1025 characters, and 1024 are allowed here\. Give s3_uri="):
        dump_value(too_long)
    address = dump_value(too_long, s3_uri="s3://bucket/run/x.json", s3_client=s3)
    assert address == "s3://bucket/run/x.json"
    assert load_value(address, s3_client=s3) == too_long
    assert dump_value(fits, s3_uri="s3://bucket/run/y.json", s3_client=s3) == json.dumps(fits)


def test_an_arguments_limit_holds_for_addresses_too(s3: Any) -> None:
    uri = f"s3://bucket/{'k' * 300}"
    with pytest.raises(ValueError, match=r"Even the address .* more than 256 characters"):
        dump_value("x" * 300, s3_uri=uri, max_characters=step_values.MAX_ARGUMENT_CHARACTERS, s3_client=s3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: "a"}, "The key 1 would come back as a text"),
        ([{"a": {None: 1}}], "The key None would come back"),
        ({"a": {1, 2}}, "cannot be written as JSON: Object of type set"),
        (float("nan"), "cannot be written as JSON"),
    ],
    ids=["number", "nested", "set", "nan"],
)
def test_what_would_come_back_otherwise_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dump_value(value)


def test_a_text_made_with_str_is_refused_and_no_code_in_it_runs() -> None:
    with pytest.raises(ValueError, match=r"is not JSON.*Was it made with str\(\)\? dump_value makes JSON"):
        load_value("[{'alpha': True}]")
    with pytest.raises(ValueError, match="is not JSON"):
        load_value("__import__('os').abort()")


def test_values_that_are_no_texts_come_back_and_wrong_addresses_are_named() -> None:
    assert load_value(5) == 5
    assert load_value(True) is True
    with pytest.raises(ValueError, match="'s3://bucket' is not the address of an object"):
        load_value("s3://bucket")


def test_the_module_writes_a_copy_of_itself_and_needs_nothing_of_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow_sm_pipelines.step_values"], capture_output=True, text=True, check=True
    )
    (tmp_path / "step_values.py").write_text(done.stdout)
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import step_values as s; "
    code += "assert s.load_value(s.dump_value([1])) == [1]"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
