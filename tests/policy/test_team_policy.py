"""A policy file is read whole, and everything wrong in it is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import PolicyError
from airflow_sm_pipelines.policy import load_policy, parse_policy

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sample_policy_is_one(repository: Path) -> None:
    policy = load_policy(repository / "dags" / "policies" / "team.toml")
    assert policy.subnets == ("subnet-0a1b2c3d4e5f60718", "subnet-0f1e2d3c4b5a69788")
    assert policy.needs_isolation
    assert policy.max_run_seconds == 14400
    assert policy.tag_defaults == {"team": "forecasting", "cost-center": "4711"}
    assert not policy.allows_public_s3


def test_an_empty_file_demands_nothing() -> None:
    policy = parse_policy("")
    assert (policy.subnets, policy.needs_isolation, policy.max_instances, policy.allows_public_s3) == (
        (),
        False,
        None,
        True,
    )


def test_one_text_stands_for_an_array_of_one() -> None:
    assert parse_policy('[roles]\nallowed = "arn:aws:iam::1:role/A"').roles == ("arn:aws:iam::1:role/A",)


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = """
    [netwrok]
    isolation = true
    [network]
    isolation = "yes"
    subnets = ["vpc-1"]
    [instances]
    alowed = []
    max_count = 0
    [[exceptions]]
    rule = "team-isolate"
    step = "Download"
    reason = "it downloads"
    [[exceptions]]
    rule = "team-vpc"
    """
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, name="team.toml")
    assert str(caught.value).splitlines() == [
        "team.toml is not a policy:",
        "  [netwrok] is not a section of a policy. Did you mean 'network'?",
        "  network.isolation must be true or false; found 'yes'.",
        "  network.subnets must be identifiers such as 'subnet-0123456789abcdef0'; found ['vpc-1'].",
        "  instances.alowed is not a key of a policy. Did you mean 'allowed'?",
        "  instances.max_count must be a whole number, at least 1; found 0.",
        "  exception 1: no rule is called 'team-isolate'. Did you mean 'team-isolation'?",
        "  exception 2 needs 'rule', 'step' and 'reason', each a text, and nothing else.",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[network", "is not TOML"),
        ("network = 5", "must be a table"),
        ('[network]\nsubnets = ["subnet-1"]', "go together"),
        ("[run_time]\nmax_seconds = 100\n[spot]\nmax_wait_seconds = 50", "cannot be less than"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_policy(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"gone\.toml cannot be read: No such file"):
        load_policy(tmp_path / "gone.toml")
