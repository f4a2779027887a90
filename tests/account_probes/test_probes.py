"""Probes between two endpoints: equal ones answer alike, and a fault is found by the probe that asks about it.

Here some of them run, with all their faults at once; ``python -m tests.account_probes`` tries each fault by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.account_probes import PROBES
from airflow_sm_pipelines.account_probes.probes import INSTANCE_TYPE, estimate_price
from airflow_sm_pipelines.cost import PriceTable
from tests.account_probes.endpoints import differing, faulty_account, local_account
from tests.account_probes.faulty_endpoint import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ("join-float", "text-case", "foreach-empty", "stop-success", "selection", "other-request", "short-text")
ROOT_PAGE = "docs/conformance.md"


@pytest.mark.processes
def test_equal_endpoints_answer_alike_and_faults_are_found(tmp_path: Path) -> None:
    probes = [probe for probe in PROBES if probe.name in SAMPLE]
    with local_account(tmp_path / "local") as local:
        with faulty_account(tmp_path / "equal", []) as equal:
            assert differing(probes, equal, local) == set()
        with faulty_account(tmp_path / "faulty", list(SAMPLE)) as faulty:
            assert differing(probes, faulty, local) == set(SAMPLE)


def test_every_probe_has_a_fault_that_it_must_find() -> None:
    assert set().union(*(names for _, names in FAULTS.values())) == {probe.name for probe in PROBES}


def test_probes_are_named_shortly_and_those_without_a_job_come_first(pytestconfig: pytest.Config) -> None:
    names = [probe.name for probe in PROBES]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 20
    minutes = [bool(probe.instance_minutes) for probe in PROBES]
    assert minutes == sorted(minutes)
    page = (pytestconfig.rootpath / ROOT_PAGE).read_text()
    for probe in PROBES:
        assert f"| `{probe.name}` | {probe.question} | {probe.instance_minutes:g} |" in page


def test_the_price_is_that_of_all_instance_minutes() -> None:
    prices = PriceTable(by_kind={"Processing": {INSTANCE_TYPE: 0.06}})
    minutes = sum(probe.instance_minutes for probe in PROBES)
    assert estimate_price(PROBES, prices, INSTANCE_TYPE) == pytest.approx(minutes * 0.001)
    assert estimate_price(PROBES, PriceTable(), INSTANCE_TYPE) is None
