"""Retry policies: which failures are tried again, how often and when; faults that tests ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sm_pipelines.definition.steps import RetryPolicy
from airflow_sm_pipelines.engine.jobs import JobOutcome
from airflow_sm_pipelines.engine.rules.retry_policy import EXCEPTION_REASONS, RetryPlan, classify_failure, plan_retry
from tests.engine.fake_world import World, fail, for_each, processing, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CAPACITY = "SageMaker.CAPACITY_ERROR"
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."


def policy(*types: str, **members: Any) -> dict[str, Any]:
    return {"ExceptionType": list(types), "IntervalSeconds": 0, "MaxAttempts": 3, **members}


def failing(times: int, reason: str = NO_CAPACITY) -> Any:
    """A job that fails that many times, then completes."""
    left = [times]

    def run(*_: Any) -> JobOutcome:
        left[0] -= 1
        return JobOutcome("Failed", reason) if left[0] >= 0 else JobOutcome("Completed")

    return run


def inject(world: World, text: str) -> None:
    (world.directory / "faults.toml").write_text(text)


def test_a_failure_that_a_policy_names_is_tried_again_with_a_job_of_its_own(world: World) -> None:
    world.behaviours["Work"] = failing(2)
    arn, status = world.run([processing("Work", RetryPolicies=[policy(CAPACITY)])])
    assert status == "Succeeded"
    step = world.steps(arn)["Work"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Succeeded", 3)
    assert "FailureReason" not in step
    jobs = world.engine.call("ListProcessingJobs", {})["ProcessingJobSummaries"]
    assert sorted(job["ProcessingJobStatus"] for job in jobs) == ["Completed", "Failed", "Failed"]
    completed = next(job for job in jobs if job["ProcessingJobStatus"] == "Completed")
    assert step["Metadata"]["ProcessingJob"]["Arn"] == completed["ProcessingJobArn"]


def test_when_the_attempts_are_used_up_the_last_failure_stands(world: World) -> None:
    world.behaviours["Work"] = failing(9)
    arn, status = world.run([processing("Work", RetryPolicies=[policy(CAPACITY, MaxAttempts=2)])])
    assert status == "Failed"
    step = world.steps(arn)["Work"]
    assert (step["AttemptCount"], step["FailureReason"]) == (3, f"ClientError: {NO_CAPACITY}")


@pytest.mark.parametrize(
    ("behaviour", "types"),
    [(fail, (CAPACITY, "SageMaker.JOB_INTERNAL_ERROR")), (None, ("SageMaker.RESOURCE_LIMIT",)), (None, ())],
    ids=["the job's own fault", "another exception", "no policy"],
)
def test_what_no_policy_names_fails_at_once(world: World, behaviour: Any, types: tuple[str, ...]) -> None:
    world.behaviours["Work"] = behaviour or failing(1)
    arn, status = world.run([processing("Work", RetryPolicies=[policy(*types)] if types else [])])
    assert (status, world.steps(arn)["Work"]["AttemptCount"]) == ("Failed", 1)


@pytest.mark.parametrize("exception", list(EXCEPTION_REASONS))
def test_every_exception_can_be_injected_by_a_file(world: World, exception: str) -> None:
    inject(world, f'[[fault]]\nstep = "Work"\nexception = "{exception}"\nattempts = 2\n')
    arn, status = world.run([processing("Work", RetryPolicies=[policy(exception)])])
    assert (status, world.steps(arn)["Work"]["AttemptCount"]) == ("Succeeded", 3)
    assert world.started == ["Work"]


def test_an_injected_fault_without_a_policy_fails_the_step_with_the_services_reason(world: World) -> None:
    other = '[[fault]]\nstep = "Work"\npipeline = "other"\nexception = "Step.THROTTLING"\n'
    inject(world, f'{other}[[fault]]\nstep = "Work"\nexception = "{CAPACITY}"\n')
    arn, status = world.run([processing("Work")])
    assert (status, world.steps(arn)["Work"]["FailureReason"]) == ("Failed", f"ClientError: {NO_CAPACITY}")


def test_throttling_is_retried_without_a_policy_as_the_service_does(world: World) -> None:
    inject(world, '[[fault]]\nstep = "Work"\nexception = "Step.THROTTLING"\n')
    arn, status = world.run([processing("Work")])
    assert (status, world.steps(arn)["Work"]["AttemptCount"]) == ("Succeeded", 2)


@pytest.mark.parametrize("text", ["[[fault]]\nstep = 'Work'\n", "[[fault", "[[fault]]\nexeption = 1\n"])
def test_a_file_of_faults_that_says_something_else_fails_the_step_and_says_where(world: World, text: str) -> None:
    inject(world, text)
    arn, status = world.run([processing("Work")])
    assert status == "Failed"
    assert "faults.toml" in world.steps(arn)["Work"]["FailureReason"]


def test_a_step_that_waits_for_its_next_attempt_can_be_stopped(world: World) -> None:
    world.behaviours["Work"] = failing(9)
    world.create([processing("Work", RetryPolicies=[policy(CAPACITY, IntervalSeconds=3600)])])
    arn = world.start()
    wait_until(lambda: "FailureReason" in world.steps(arn).get("Work", {}))
    assert world.statuses(arn) == {"Work": "Executing"}
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Work": "Stopped"}


def test_a_pending_attempt_survives_a_restart(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.open()
    first.behaviours["Work"] = failing(9)
    first.create([processing("Work", RetryPolicies=[policy(CAPACITY, IntervalSeconds=1)])])
    arn = first.start()
    wait_until(lambda: "FailureReason" in first.steps(arn).get("Work", {}))
    first.engine.stop()
    second = World(tmp_path)
    second.open()
    assert second.finish(arn) == "Succeeded"
    assert second.steps(arn)["Work"]["AttemptCount"] == 2
    second.engine.stop()


def test_iterations_are_tried_again_too(world: World) -> None:
    inject(world, f'[[fault]]\nstep = "Work-1"\nexception = "{CAPACITY}"\n')
    arn, status = world.run([for_each("Each", [1, 2], [processing("Work", RetryPolicies=[policy(CAPACITY)])])])
    assert status == "Succeeded"
    assert [world.steps(arn)[name]["AttemptCount"] for name in ("Work-0", "Work-1")] == [1, 2]


@pytest.mark.parametrize(
    ("reason", "exception"),
    [
        ("ClientError: InternalServerError: this machine refused: x", "SageMaker.JOB_INTERNAL_ERROR"),
        ("CapacityError: Unable", CAPACITY),
        ("ClientError: ResourceLimitExceeded: no", "SageMaker.RESOURCE_LIMIT"),
        ("ClientError: AlgorithmError: CapacityError: x", None),
        ("CapacityError", None),
        (None, None),
    ],
)
def test_the_first_word_of_a_reason_is_its_class(reason: str | None, exception: str | None) -> None:
    assert classify_failure(reason, step_type="Training") == exception
    # Documented: tuning jobs retry internal errors themselves.
    assert classify_failure(reason, step_type="Tuning") == (
        None if exception == "SageMaker.JOB_INTERNAL_ERROR" else exception
    )


POLICIES = st.lists(
    st.builds(
        RetryPolicy,
        exception_types=st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2).map(tuple),
        backoff_rate=st.none() | st.sampled_from([1.0, 1.5, 3.0]),
        interval_seconds=st.none() | st.integers(0, 60),
        max_attempts=st.none() | st.integers(0, 4),
        expire_after_min=st.none() | st.integers(0, 5),
    ),
    max_size=3,
)


@given(policies=POLICIES, failures=st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
def test_random_policies_agree_with_the_rules_read_out_one_by_one(policies: Any, failures: list[str]) -> None:
    now, counts, caused = 0, (), [0] * len(policies)
    for failure in failures:
        plan = plan_retry(policies, failure, counts=counts, started_ms=0, now_ms=now, is_retried_by_default=False)
        naming = [number for number, entry in enumerate(policies) if failure in entry.exception_types]
        expected: RetryPlan | None = None
        if naming:
            number = naming[0]
            entry = policies[number]
            attempts = entry.max_attempts
            if attempts is None:
                attempts = 5 if entry.expire_after_min is None else 1_000_000
            wait = 1 if entry.interval_seconds is None else entry.interval_seconds
            for _ in range(caused[number]):
                wait *= 2.0 if entry.backoff_rate is None else entry.backoff_rate
            at = now + round(1000 * wait)
            in_time = entry.expire_after_min is None or at <= entry.expire_after_min * 60_000
            if caused[number] < attempts and in_time:
                caused[number] += 1
                expected = RetryPlan(at, tuple(caused))
        assert plan == expected
        if plan is None:
            return
        now, counts = plan.at_ms, plan.counts
