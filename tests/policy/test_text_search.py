"""What S3 addresses and ARNs in a text name, where parts of the text may not be known."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.policy.possible_values import Unknown
from airflow_sm_pipelines.policy.text_search import (
    cut_at_bucket,
    find_account,
    find_bucket,
    iter_accounts,
    iter_buckets,
)

GAP = Unknown("Parameters.P")
NOT_KNOWN = "?"


def name_of(address: Any) -> Any:
    return address if address is None else address.name or NOT_KNOWN


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        (("s3://team/a",), "team"),
        (("s3://team",), "team"),
        (("s3a://team/a",), "team"),
        (("https://team.s3.eu-west-1.amazonaws.com/a",), "team"),
        (("https://s3.eu-west-1.amazonaws.com/team/a",), "team"),
        (("https://team.s3.dualstack.eu-west-1.amazonaws.com/a",), "team"),
        (("https://team.s3.other.s3.amazonaws.com/a",), "team.s3.other"),
        (("https://s3.cn-north-1.amazonaws.com.cn/team/a",), "team"),
        (("https://example.com/team/a",), None),
        (("https://team.s3.amazonaws.com@example.com/a",), None),  # the host is what follows the @
        (("https://team.s3.amazonaws.com:443@example.com/a",), None),
        (("https://team.s3.amazonaws.com.example.com/a",), None),
        (("/opt/ml/model",), None),
        (("s3://team/", GAP), "team"),
        (("s3://team", GAP), NOT_KNOWN),
        (("s3://", GAP, "/a"), NOT_KNOWN),
        (("s3:", GAP), NOT_KNOWN),
        ((GAP, "/a"), NOT_KNOWN),
        (("https://", GAP, ".s3.amazonaws.com/a"), NOT_KNOWN),
        (("https://team.s3.eu-west-1.amazonaws.com/", GAP), "team"),
        (("https://s3.eu-west-1.amazonaws.com/team", GAP), NOT_KNOWN),
        (("https://s3.eu-west-1.amazonaws.com/team/", GAP), "team"),
    ],
)
def test_a_bucket_is_named_only_where_nothing_that_follows_can_change_it(text: Any, bucket: str | None) -> None:
    assert name_of(find_bucket(text)) == bucket


@pytest.mark.parametrize(
    ("text", "buckets"),
    [
        (("--out=s3://other/x",), ["other"]),
        (("aws s3 cp s3://one/a s3://two/b",), ["one", "two"]),
        (('{"input": "s3:\\/\\/other\\/x"}',), ["other"]),
        (('"{\\"input\\": \\"s3:\\\\/\\\\/other\\"}"',), ["other"]),
        (('{"input": "\\u0073\\u0033://other/x"}',), ["other"]),
        (("curl https://other.s3.amazonaws.com/x",), ["other"]),
        (("arn:aws:s3:::other/x",), ["other"]),
        (("S3://OTHER/x",), ["OTHER"]),
        (("--out=s3://", GAP), [NOT_KNOWN]),
        (("--out=s3:", GAP), [NOT_KNOWN]),
        (("--out=", GAP), []),
        (("reads s3:// files",), []),
    ],
)
def test_every_address_in_a_text_is_found(text: Any, buckets: list[str]) -> None:
    assert [name_of(address) for address in iter_buckets(text)] == buckets


@pytest.mark.parametrize(
    ("text", "account"),
    [
        (("arn:aws:lambda:us-east-1:999999999999:function:f",), "999999999999"),
        (("arn:aws:sagemaker:us-east-1:aws:hub-content/h/Model/m/1",), "aws"),
        (("999999999999:function:f",), "999999999999"),
        (("https://sqs.us-east-1.amazonaws.com/999999999999/q",), "999999999999"),
        (("my-function",), None),
        (("package/1",), None),
        ((GAP,), NOT_KNOWN),
        (("https://example.com/q",), NOT_KNOWN),
        (("arn:aws:lambda:us-east-1:", GAP, ":function:f"), NOT_KNOWN),
        (("arn:aws:lambda:", GAP, ":123456789012:function:f"), NOT_KNOWN),  # the gap may hold another account
        (("arn:aws:lambda:us-east-1:123456789012:function:", GAP), "123456789012"),
    ],
)
def test_the_account_of_a_resource_is_read_from_its_arn_or_url(text: Any, account: str | None) -> None:
    assert name_of(find_account(text)) == account


def test_arns_in_a_text_name_accounts() -> None:
    text = ("--role arn:aws:iam::999999999999:role/Admin --bucket arn:aws:s3:::b --policy arn:aws:iam::aws:policy/P",)
    assert [name_of(address) for address in iter_accounts(text)] == ["999999999999"]


def test_only_what_can_be_part_of_the_bucket_counts_as_a_gap_of_it() -> None:
    later = Unknown("Execution.PipelineExecutionId")
    assert cut_at_bucket((GAP, "/a/", later)) == (GAP, "/a/")
    assert cut_at_bucket(("s3://", GAP, "-", later, "/a/", later)) == ("s3://", GAP, "-", later, "/a/")
