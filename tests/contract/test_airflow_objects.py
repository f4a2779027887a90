"""The simple objects that tests give to tasks have the members of the installed Airflow's own."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
from airflow.sdk.api.datamodels._generated import DagRun
from airflow.sdk.execution_time import context
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from tests.airflow_objects import FakeDagRun, FakeTaskInstance, FakeTaskStateStore

OWN = {"first_put_off", "pushed", "values"}
"""Where a test reads what the task did, or says what Airflow would answer."""


@pytest.mark.parametrize(("fake", "real"), [(FakeTaskInstance, RuntimeTaskInstance), (FakeDagRun, DagRun)])
def test_every_field_is_one_of_airflow_s_own(fake: type, real: type) -> None:
    names = {one.name for one in fields(fake)} - OWN
    assert names
    assert names <= set(real.model_fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fake", "real"),
    [(FakeTaskInstance, RuntimeTaskInstance), (FakeTaskStateStore, getattr(context, "TaskStateStoreAccessor", None))],
)
def test_every_method_takes_what_airflow_s_takes(fake: type, real: type | None) -> None:
    if real is None:
        pytest.skip("this Airflow has no task state store")
    methods = {name for name, value in vars(fake).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert methods
    for name in methods:
        ours, theirs = (list(inspect.signature(getattr(one, name)).parameters) for one in (fake, real))
        assert theirs[: len(ours)] == ours
