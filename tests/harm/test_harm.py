"""A sample of `make harm`: broken and odd requests are answered in a client's terms, and the endpoint goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.harm import attacks, cut_requests
from tests.harm.cut_requests import send_broken
from tests.harm.service_fuzz import ServiceFuzz
from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CUTS = int(os.environ.get("SM_PIPELINES_HARM_CUTS", "120"))
REQUESTS = int(os.environ.get("SM_PIPELINES_HARM_REQUESTS", "600"))
SEED = int(os.environ.get("SM_PIPELINES_HARM_SEED", "0"))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One endpoint for all requests: what one leaves behind is there for the next."""
    with open_endpoint(tmp_path_factory.mktemp("harm") / "state") as running:
        running.client("s3").create_bucket(Bucket=cut_requests.BUCKET)
        yield running


@pytest.mark.timeout(7200)
def test_requests_that_are_cut_or_have_two_ends_are_refused(endpoint: Endpoint) -> None:
    for seed in range(SEED, SEED + CUTS):
        send_broken(endpoint.port, seed)
    assert "Contents" not in endpoint.client("s3").list_objects_v2(Bucket=cut_requests.BUCKET)


@pytest.mark.timeout(7200)
def test_any_request_to_any_service_is_no_error_of_the_server_s(endpoint: Endpoint) -> None:
    fuzz = ServiceFuzz(endpoint)
    for seed in range(SEED, SEED + REQUESTS):
        fuzz.shoot(seed)
    assert endpoint.client("s3").list_buckets()["Buckets"]


@pytest.mark.timeout(7200)
def test_whoever_has_no_key_is_refused_whatever_the_request(endpoint: Endpoint) -> None:
    fuzz = ServiceFuzz(endpoint)
    for seed in range(SEED, SEED + REQUESTS):
        fuzz.knock(seed)


SAMPLE = [kind for kind in attacks.KINDS if "control characters" not in kind and "token" not in kind]
"""The kinds of attacks that run here. `make harm` tries all."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAMPLE)
def test_attacks_are_refused_and_leave_nothing_behind(tmp_path: Path, kind: str) -> None:
    if kind in attacks.ONLY_ROOT and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    assert [end for end in attacks.KINDS[kind](tmp_path) if end] == []
