"""A pytest plugin for moto's tests: `mock_aws` leads to the endpoint, and each test begins without pipelines.

It is loaded by its name in the interpreter of those tests, from this folder, so it imports nothing of ours. moto's own
server mode does the same but for the reset, which the endpoint does not offer: what it keeps is kept.
"""

from __future__ import annotations

import os
import time
from typing import Any

import boto3

os.environ["TEST_SERVER_MODE"] = "true"
os.environ["TEST_SERVER_MODE_ENDPOINT"] = os.environ["AWS_ENDPOINT_URL"]
WAIT_SECONDS = 60.0


def _delete_pipelines(_: Any) -> None:
    client = boto3.client("sagemaker", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for page in client.get_paginator("list_pipelines").paginate():
        for pipeline in page["PipelineSummaries"]:
            _delete_pipeline(client, pipeline["PipelineName"])


def _delete_pipeline(client: Any, name: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.delete_pipeline(PipelineName=name)
        except client.exceptions.ConflictException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def pytest_configure() -> None:
    """Have moto's reset delete the pipelines of the test before."""
    from moto.core.models import ServerModeMockAWS

    ServerModeMockAWS.reset = _delete_pipelines  # type: ignore[method-assign]
