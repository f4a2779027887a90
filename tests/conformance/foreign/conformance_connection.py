"""A pytest plugin that runs inside other projects' tests: it shortens their waits and notes why jobs fail.

It stands alone, since it runs in those projects' own environments. The environment says where AWS is.

``CONFORMANCE_EMPTY_PIPELINES`` is for moto's tests: before each, all pipelines are deleted, as moto's own reset would
do, and a definition that is no JSON is replaced by one that is.
"""

from __future__ import annotations

import json
import math
import os
import time

import boto3
import botocore.client
import botocore.waiter
import pytest

POLL_SECONDS = 1.0
"""What a waiter of boto3 sleeps between two looks. It looks so often that it waits at least as long as it would."""
LONGEST_SLEEP_SECONDS = 20.0
"""What a longer `time.sleep` becomes."""
READABLE = json.dumps(
    {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "foo", "Type": "String", "DefaultValue": "a"}],
        "Steps": [{"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "the end"}}],
    }
)

_wait = botocore.waiter.Waiter.wait
_sleep = time.sleep
_call = botocore.client.BaseClient._make_api_call
_reasons: list[str] = []
_IS_FOR_MOTO = bool(os.environ.get("CONFORMANCE_EMPTY_PIPELINES"))


def _wait_often(self: botocore.waiter.Waiter, **words: object) -> object:
    given = dict(words.pop("WaiterConfig", None) or {})
    delay, attempts = given.get("Delay", self.config.delay), given.get("MaxAttempts", self.config.max_attempts)
    shorter = {"Delay": POLL_SECONDS, "MaxAttempts": math.ceil(max(delay * attempts, 600) / POLL_SECONDS)}
    return _wait(self, WaiterConfig=shorter, **words)


def _call_and_note(self: botocore.client.BaseClient, operation: str, request: dict) -> dict:
    if _IS_FOR_MOTO and operation == "CreatePipeline" and "PipelineDefinition" in request:
        request = {**request, "PipelineDefinition": _make_readable(request["PipelineDefinition"])}
    answer = _call(self, operation, request)
    for found in (answer, *answer.get("PipelineExecutionSteps", ())):
        if found.get("FailureReason"):
            _reasons.append(found["FailureReason"])
    return answer


def _make_readable(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return READABLE
    return text


def pytest_configure() -> None:
    """Replace the sleeping parts."""
    botocore.waiter.Waiter.wait = _wait_often
    botocore.client.BaseClient._make_api_call = _call_and_note
    time.sleep = lambda seconds: _sleep(min(seconds, LONGEST_SLEEP_SECONDS))


@pytest.fixture(autouse=True)
def _pipelines_of_this_test_only() -> None:
    _reasons.clear()
    if not _IS_FOR_MOTO:
        return
    client = boto3.client("sagemaker")
    for found in client.list_pipelines()["PipelineSummaries"]:
        for _ in range(50):
            try:
                client.delete_pipeline(PipelineName=found["PipelineName"])
                break
            except client.exceptions.ConflictException:
                _sleep(0.1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> object:
    """Put the reasons of failed jobs and steps into the report of a test that failed."""
    report = yield
    if report.failed:
        item.user_properties.append(("reasons", "\n".join(dict.fromkeys(_reasons))))
        report.user_properties = item.user_properties
    return report
