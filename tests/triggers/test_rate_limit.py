"""The rate of calls: half as fast when throttled, and back at full rate after enough answers."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.triggers.rate_limit import RateLimit


def test_the_rate_halves_when_throttled_and_recovers() -> None:
    limit = RateLimit(now=0.0, max_rate=8.0)
    limit.record_call(0.0)
    assert limit.delay(0.0) == pytest.approx(1 / 8)
    limit.record_throttling(1.0)
    limit.record_throttling(1.0)
    assert limit.delay(1.0) == pytest.approx(0.5)
    assert limit.delay(1.5) == 0.0
    for _ in range(1000):
        limit.record_answer()
    assert limit.rate == 8.0
