"""A sample of the generated pairs: what breaks the policy is refused, what keeps it passes. ``make evasions`` has all."""

from __future__ import annotations

from tests.policy.policy_pairs import BY_NAME, WAYS, iter_cases, iter_members, pick_sample, run_cases

SAMPLE = 1_500


def test_a_sample_of_the_pairs_is_judged_rightly() -> None:
    counts, faults = run_cases(pick_sample(SAMPLE, seed=1))
    assert counts == {"kept": SAMPLE, "broken": SAMPLE}
    assert not faults


def test_the_pairs_reach_every_rule_and_every_way_to_write_a_value() -> None:
    members = list(iter_members())
    titles = [broken.title for _, broken in iter_cases()]
    assert len(titles) > 20_000
    assert {member.values.rule for member in members} == {values.rule for values in BY_NAME.values()}
    assert all(any(f", {way.name}: " in title for title in titles) for way in WAYS)
