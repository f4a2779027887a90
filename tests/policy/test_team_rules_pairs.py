"""A sample of the generated pairs: what breaks the policy is refused, what keeps it passes.

``make evasions`` has all of them.
"""

from __future__ import annotations

from tests.policy.policy_pairs import BY_NAME, WAYS, iter_cases, run_cases

EVERY = 37
"""The sample: one pair of so many."""


def test_a_sample_of_the_pairs_is_judged_rightly() -> None:
    pairs = list(iter_cases(EVERY))
    assert {broken.rule for _, broken in pairs} == {values.rule for values in BY_NAME.values()}
    assert all(any(f", {way.name}: " in broken.title for _, broken in pairs) for way in WAYS)
    counts, faults = run_cases(pairs)
    assert counts["kept"] == counts["broken"] > 700
    assert not faults
