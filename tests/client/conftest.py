"""A fake SageMaker that this process's boto3 talks to."""

from __future__ import annotations

import pytest

from tests.airflow_fixtures import endpoint, fake, fake_is_aws, hook  # noqa: F401


@pytest.fixture(autouse=True)
def _fake_is_aws(request: pytest.FixtureRequest) -> None:
    """Each test that has a fake talks to it."""
    if "fake" in request.fixturenames:
        request.getfixturevalue("fake_is_aws")
