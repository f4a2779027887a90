"""Several deployers, promotions and runs on one pipeline at the same moment, on the real local endpoint."""

from __future__ import annotations

import pytest

from tests.deployment.races import race


@pytest.mark.parametrize("number", range(2))
def test_each_alias_is_where_its_last_mover_put_it_and_nothing_is_final(url: str, number: int) -> None:
    found = race(url, f"race-{number}", first=10 * number + 1)
    assert not found.faults
    assert found.moves >= 6
