"""The faults: what is done to a task and its execution, and what must come of it. Data and small scripts, no Airflow.

A script is a generator: each condition it yields is asked again and again until it holds, then the script goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.reliability.injections import Injection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from tests.reliability.laboratory import Subject

    Steps = Iterator[Callable[[], object]]

START = "StartPipelineExecution"
DESCRIBE = "DescribePipelineExecution"
STEPS = "ListPipelineExecutionSteps"
RESUME = "RetryPipelineExecution"
READ_TIMEOUT_SECONDS = 3
HELD_SECONDS = 2.5
HEARTBEAT_SECONDS = 45
"""How long Airflow waits for a task's heartbeat."""


# --- what happens meanwhile: the pipeline's step, and people ----------------------------------------------------------


def work(subject: Subject) -> Steps:
    """The step succeeds once the faults have happened; a deferred task has none until it comes back."""
    yield lambda: subject.token and (subject.is_injected or subject.state == "deferred")
    subject.answer()


def work_at_once(subject: Subject) -> Steps:
    """The step succeeds as soon as it has begun."""
    yield lambda: subject.token
    subject.answer()


def fail_then_work(subject: Subject) -> Steps:
    """The step fails, and succeeds when it runs again."""
    yield lambda: subject.token
    subject.answer(is_success=False)
    yield from work_at_once(subject)


def work_for_each(subject: Subject) -> Steps:
    """Each of three iterations succeeds once the faults have happened."""
    for _ in range(3):
        yield from work(subject)


def kill_at_the_end(subject: Subject) -> Steps:
    """The execution ends, and who reads its steps is killed."""
    yield lambda: subject.token and subject.is_waiting
    subject.inject(Injection(STEPS, "kill", "after"))
    subject.answer()


def stop_by_somebody(subject: Subject) -> Steps:
    """Somebody stops the execution, in the console for instance."""
    yield lambda: subject.token and subject.is_waiting
    subject.stop_execution()


def stop_by_somebody_then_work(subject: Subject) -> Steps:
    """Somebody stops the execution; the step succeeds when it runs again."""
    yield from stop_by_somebody(subject)
    yield from work_at_once(subject)


def mark(state: str) -> Callable[[Subject], Steps]:
    """A person marks the waiting task."""

    def script(subject: Subject) -> Steps:
        yield lambda: subject.token and subject.is_waiting
        subject.mark(state)
        yield lambda: subject.is_execution_over

    return script


def mark_and_leave(subject: Subject) -> Steps:
    """A person marks the waiting task failed; the step goes on, and ends later."""
    yield lambda: subject.token and subject.is_waiting
    subject.mark("failed")
    yield lambda: subject.seconds_since_mark > 15
    subject.answer()


def mark_run_failed(subject: Subject) -> Steps:
    """A person marks the whole DAG run failed."""
    yield lambda: subject.token and subject.is_waiting
    subject.mark_run("failed")
    yield lambda: subject.is_execution_over


def clear_while_waiting(subject: Subject) -> Steps:
    """A person clears the waiting task; the second execution's step succeeds."""
    yield lambda: subject.token and subject.is_waiting
    first = subject.token
    subject.clear()
    yield lambda: subject.token and subject.token != first
    subject.answer()


def clear_after_success(subject: Subject) -> Steps:
    """A person clears the task when it has succeeded."""
    yield from work_at_once(subject)
    yield lambda: subject.state == "success" and subject.is_run_over
    subject.clear()
    yield from work_at_once(subject)


def mend_and_clear(subject: Subject) -> Steps:
    """A person mends what made the task fail, and clears it, while its execution is still running."""
    yield lambda: subject.state == "failed" and subject.is_run_over
    if subject.tries != 1:
        subject.problems.append(f"{subject.tries} tries of what no retry mends")
    subject.faults.end()
    first = subject.token
    subject.clear()
    yield lambda: subject.token and subject.token != first
    subject.answer()


def mark_starting(state: str) -> Callable[[Subject], Steps]:
    """A person marks the task as soon as SageMaker has accepted the start call."""

    def script(subject: Subject) -> Steps:
        yield lambda: subject.is_started
        subject.mark(state)
        yield lambda: subject.is_execution_over

    return script


def mark_run_starting(subject: Subject) -> Steps:
    """A person marks the DAG run failed as soon as SageMaker has accepted the start call."""
    yield lambda: subject.is_started
    subject.mark_run("failed")
    yield lambda: subject.is_execution_over


def clear_starting(subject: Subject) -> Steps:
    """A person clears the task as soon as SageMaker has accepted the start call."""
    yield lambda: subject.is_started
    subject.clear()
    yield lambda: subject.tries >= 2 and subject.token and subject.is_waiting
    subject.answer()


def clear_while_paused(subject: Subject) -> Steps:
    """A person pauses the DAG and clears the waiting task, which does not start again until the DAG goes on."""
    yield lambda: subject.token and subject.is_waiting
    first = subject.token
    subject.pause(is_paused=True)
    subject.clear()
    yield lambda: subject.is_execution_over
    subject.pause(is_paused=False)
    yield lambda: subject.token and subject.token != first
    subject.answer()


def clear_and_resume(subject: Subject) -> Steps:
    """A person clears the waiting task, which goes on with its execution."""
    yield lambda: subject.token and subject.is_waiting
    subject.clear()
    yield lambda: subject.tries >= 2 and subject.is_waiting
    subject.answer()


def fail_and_clear_another(subject: Subject) -> Steps:
    """The step fails; a person clears another task of the run while this one waits for its retry."""
    yield lambda: subject.token
    subject.answer(is_success=False)
    yield lambda: subject.state == "up_for_retry"
    subject.clear_another()
    yield from work_at_once(subject)


def delete_run(subject: Subject) -> Steps:
    """A person deletes the DAG run of the waiting task."""
    yield lambda: subject.token and subject.is_waiting
    yield subject.delete_run
    yield lambda: subject.is_execution_over


def delete_dag(subject: Subject) -> Steps:
    """A person deletes the DAG of the waiting task."""
    yield lambda: subject.token and subject.is_waiting
    subject.delete_dag()
    yield lambda: subject.is_execution_over


def mark_waiting_for_retry(subject: Subject) -> Steps:
    """A person marks the task while it waits for its retry, and its execution runs."""
    yield lambda: subject.state == "up_for_retry"
    subject.mark("failed")
    yield lambda: subject.is_execution_over


def time_out_run(subject: Subject) -> Steps:
    """The DAG run's time is over."""
    yield lambda: subject.state == "skipped" and subject.is_execution_over


def nothing(subject: Subject) -> Steps:
    """The step never ends by itself."""
    yield lambda: subject.state in ("success", "failed") and subject.is_execution_over


def disaster(subject: Subject) -> Steps:
    """The step succeeds some time after the phase's disaster, which comes when every task waits."""
    yield lambda: subject.token and subject.is_waiting
    subject.is_ready = True
    yield lambda: subject.laboratory.is_disaster_over
    subject.answer()


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    :param key: the DAG's id, with the mode.
    :param title: what happens, for people.
    :param script: what the step and the people do meanwhile.
    :param injections: what happens to API calls.
    :param modes: ``sync``, ``deferred``; ``bare`` is sync without botocore's own retries; ``mapped`` is deferred.
    :param count: subjects of each mode in a whole run; ``sample`` in the test suite.
    :param arguments: of the operator.
    :param executions: how many must have been started; where ``fewest`` is given, so many at least.
    :param status: of the last execution at the end.
    :param state: of the task at the end.
    :param stops: how many executions must have been told to stop by the operator; None where that depends.
    :param resumes: how many resumes must have been accepted.
    :param phase: the disaster that strikes every subject of the phase at once; empty for none.
    :param pipeline: ``callback``, ``for_each`` or ``handled``.
    :param done_by_hand: faults that the script or the disaster makes.
    """

    key: str
    title: str
    script: Callable[[Subject], Steps] = work
    injections: tuple[Injection, ...] = ()
    modes: tuple[str, ...] = ("sync", "deferred")
    count: int = 1
    sample: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    retries: int = 3
    executions: int = 1
    fewest: int | None = None
    status: str = "Succeeded"
    state: str = "success"
    stops: int | None = 0
    resumes: int = 0
    phase: str = ""
    pipeline: str = "callback"
    done_by_hand: int = 0

    def planned_injections(self, random: Random) -> tuple[Injection, ...]:
        """The injections of one subject, random delays chosen."""
        return tuple(
            replace(one, delay_seconds=round(random.uniform(0.001, one.delay_seconds), 3))
            if one.action == "kill" and one.delay_seconds
            else one
            for one in self.injections
        )


def _kill(operation: str, moment: str, **kwargs: Any) -> tuple[Injection, ...]:
    return (Injection(operation, "kill", moment, **kwargs),)


def _refuse(operation: str, code: str, http_status: int, *, times: int = 1, **kwargs: Any) -> tuple[Injection, ...]:
    return (Injection(operation, "refuse", code=code, http_status=http_status, times=times, **kwargs),)


KILLS = (
    Case(
        "killed_before_start",
        "before the start call, while it reads the definition",
        sample=1,
        injections=_kill("DescribePipeline", "after"),
        count=2,
    ),
    Case(
        "killed_sending_start", "as it sends the start call, which is lost", sample=1, injections=_kill(START, "before")
    ),
    Case(
        "killed_after_start",
        "after SageMaker accepted the start call, before the answer",
        sample=1,
        count=3,
        injections=_kill(START, "after"),
        modes=("sync", "deferred", "mapped"),
    ),
    Case(
        "killed_mid_answer", "in the middle of the start call's answer", sample=1, injections=_kill(START, "mid-answer")
    ),
    Case(
        "killed_thrice",
        "at the start call of each of three attempts: before, after, in the answer",
        sample=1,
        injections=_kill(START, "before") + _kill(START, "after") + _kill(START, "mid-answer"),
        count=2,
    ),
    Case(
        "killed_near_start",
        "at a random moment within 0.4 s of the start call",
        count=16,
        sample=1,
        injections=_kill(START, "before", delay_seconds=0.4),
        modes=("sync",),
    ),
    Case(
        "killed_any_time",
        "at a random moment within 5 s of its first call",
        count=16,
        sample=2,
        injections=_kill("*", "before", delay_seconds=5.0),
    ),
    Case("killed_waiting", "while it waits", sample=1, modes=("sync",), injections=_kill(DESCRIBE, "before", skip=2)),
    Case(
        "killed_on_return",
        "on its return from the deferral",
        sample=1,
        modes=("deferred",),
        injections=_kill(DESCRIBE, "before"),
        count=2,
    ),
    Case(
        "killed_at_end",
        "when the execution has ended, before its outputs are published",
        script=kill_at_the_end,
        modes=("sync",),
        count=2,
    ),
    Case(
        "killed_in_for_each",
        "while a ForEach step's iterations run",
        script=work_for_each,
        pipeline="for_each",
        modes=("sync",),
        injections=_kill(DESCRIBE, "before", skip=1),
        count=2,
    ),
    Case(
        "killed_resuming",
        "after SageMaker accepted the resume of a failed execution",
        sample=1,
        script=fail_then_work,
        injections=_kill(RESUME, "after"),
        resumes=1,
        count=2,
    ),
    Case(
        "worker_lost_starting",
        "the whole worker with it, after SageMaker accepted the start call",
        sample=1,
        injections=_kill(START, "after", victim="worker"),
        modes=("sync",),
        count=2,
    ),
    Case(
        "worker_lost_waiting",
        "the whole worker with it, while it waits",
        injections=_kill(DESCRIBE, "before", skip=1, victim="worker"),
        modes=("sync",),
        count=2,
    ),
    Case(
        "worker_stalled",
        "the whole worker hangs until Airflow has given its task to another, then wakes up (SIGSTOP, SIGCONT)",
        injections=(Injection(DESCRIBE, "stall", skip=1, delay_seconds=HEARTBEAT_SECONDS + 30),),
        modes=("sync",),
        count=2,
    ),
)

NETWORK = (
    Case(
        "start_reset",
        "start call: the connection is reset before SageMaker has it",
        modes=("sync", "bare"),
        injections=(Injection(START, "reset"),),
    ),
    Case(
        "start_accepted_reset",
        "start call: accepted, then the connection is reset",
        sample=1,
        modes=("sync", "bare", "deferred"),
        injections=(Injection(START, "reset", "after"),),
    ),
    Case(
        "start_answer_cut",
        "start call: accepted, the connection is reset in the middle of the answer",
        sample=1,
        modes=("sync", "bare"),
        injections=(Injection(START, "reset", "mid-answer"),),
    ),
    Case(
        "start_timed_out",
        "start call: accepted, the answer comes after the client's time-out",
        sample=1,
        modes=("sync", "bare"),
        injections=(Injection(START, "hold", "after", delay_seconds=READ_TIMEOUT_SECONDS + 2),),
    ),
    Case(
        "start_500",
        "start call: answered 500 three times",
        modes=("sync", "bare"),
        sample=1,
        injections=_refuse(START, "InternalFailure", 500, times=3),
    ),
    Case(
        "start_accepted_500",
        "start call: accepted, and answered 500",
        modes=("sync", "bare", "deferred"),
        injections=_refuse(START, "InternalFailure", 500, moment="after"),
    ),
    Case(
        "start_throttled",
        "start call: throttled four times",
        modes=("sync",),
        sample=1,
        injections=_refuse(START, "ThrottlingException", 400, times=4),
    ),
    Case(
        "start_expired",
        "start call: the credentials have expired",
        modes=("sync", "deferred"),
        injections=_refuse(START, "ExpiredTokenException", 400),
    ),
    Case(
        "start_garbled",
        "start call: accepted, and answered by a proxy's log-in page",
        modes=("bare", "deferred"),
        injections=(Injection(START, "garble", "after"),),
        sample=1,
    ),
    Case(
        "wait_throttled",
        "throttled twelve times while it waits",
        sample=1,
        injections=_refuse(DESCRIBE, "ThrottlingException", 400, times=12),
        modes=("sync", "deferred"),
    ),
    Case(
        "wait_500",
        "answered 503 four times while it waits",
        injections=_refuse(DESCRIBE, "ServiceUnavailable", 503, times=4),
        modes=("bare", "deferred"),
    ),
    Case(
        "wait_reset",
        "connections reset four times while it waits",
        sample=1,
        injections=(Injection(DESCRIBE, "reset", "mid-answer", times=4),),
        modes=("bare", "deferred"),
    ),
    Case(
        "wait_expired",
        "the credentials expire while it waits, for two calls",
        injections=_refuse(DESCRIBE, "ExpiredTokenException", 400, times=2),
        modes=("bare", "deferred"),
    ),
    Case(
        "wait_timed_out",
        "the answer comes after the client's time-out while it waits",
        injections=(Injection(DESCRIBE, "hold", "after", delay_seconds=READ_TIMEOUT_SECONDS + 2),),
        modes=("bare", "deferred"),
    ),
    Case(
        "wait_garbled",
        "a proxy's log-in page for an answer while it waits",
        sample=1,
        injections=(Injection(DESCRIBE, "garble"),),
        modes=("bare", "deferred"),
    ),
    Case(
        "wait_denied",
        "access denied while it waits: fails without a retry; access comes back, a person clears it",
        # A triggerer makes a client of more than a minute's age anew, and fails only then.
        injections=_refuse(DESCRIBE, "AccessDeniedException", 400, is_lasting=True),
        script=mend_and_clear,
        executions=2,
        stops=1,
    ),
)

PEOPLE = (
    Case(
        "marked_failed",
        "marked failed while it waits",
        script=mark("failed"),
        sample=2,
        retries=0,
        status="Stopped",
        state="failed",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "marked_success",
        "marked successful while it waits",
        script=mark("success"),
        retries=0,
        status="Stopped",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "run_marked_failed",
        "the DAG run marked failed",
        script=mark_run_failed,
        retries=0,
        count=1,
        status="Stopped",
        state="failed",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "marked_no_stop",
        "marked failed, `stop_on_kill=False`",
        script=mark_and_leave,
        retries=0,
        arguments={"stop_on_kill": False},
        state="failed",
        done_by_hand=1,
    ),
    Case(
        "timed_out",
        "`execution_timeout` passes (deferred: the wait expires)",
        script=nothing,
        sample=1,
        retries=0,
        arguments={"execution_timeout_seconds": 15},
        status="Stopped",
        state="failed",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "max_wait",
        "`max_wait_seconds` passes",
        script=nothing,
        retries=0,
        arguments={"max_wait_seconds": 12},
        status="Stopped",
        state="failed",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "cleared_waiting",
        "cleared while it waits: the old execution stops, another starts",
        sample=2,
        script=clear_while_waiting,
        executions=2,
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "cleared_after",
        "cleared after success: another execution",
        script=clear_after_success,
        executions=2,
        done_by_hand=1,
    ),
    Case(
        "stopped_by_somebody",
        "the execution stopped in the console",
        script=stop_by_somebody,
        retries=0,
        sample=1,
        status="Stopped",
        state="failed",
        done_by_hand=1,
    ),
    Case(
        "stopped_resumed",
        "the execution stopped in the console; the retry resumes it",
        script=stop_by_somebody_then_work,
        resumes=1,
        done_by_hand=1,
    ),
    Case(
        "failed_resumed",
        "a step fails; the retry resumes the execution",
        script=fail_then_work,
        resumes=1,
        done_by_hand=1,
    ),
    Case(
        "failed_restarted",
        'a step fails, `on_retry="restart"`',
        script=fail_then_work,
        arguments={"on_retry": "restart"},
        executions=2,
        done_by_hand=1,
    ),
    Case(
        "completed_with_failures",
        "a step fails, another handles that: CompletedWithFailures",
        script=fail_then_work,
        retries=0,
        status="CompletedWithFailures",
        state="failed",
        pipeline="handled",
        sample=1,
        done_by_hand=1,
    ),
)

WINDOWS = (
    *(
        Case(
            f"{who}_starting",
            f"{title} as soon as SageMaker has the start call, whose answer takes {HELD_SECONDS} s",
            script=script,
            injections=(Injection(START, "hold", "after", delay_seconds=HELD_SECONDS),),
            retries=0,
            executions=executions,
            fewest=1,
            status=status,
            state=state,
            stops=stops,
        )
        for who, title, script, executions, status, state, stops in (
            ("marked", "marked failed", mark_starting("failed"), 1, "Stopped", "failed", 1),
            ("run_marked", "the DAG run marked failed", mark_run_starting, 1, "Stopped", "failed", 1),
            # One that nobody waits for yet becomes the next attempt's, if the worker was killed first.
            ("cleared", "cleared", clear_starting, 2, "Succeeded", "success", None),
        )
    ),
    *(
        Case(
            f"{word}_started",
            f"marked {word} a moment after the start call",
            script=mark_starting(state),
            modes=("sync", "deferred", "mapped"),
            retries=0,
            count=4,
            sample=1,
            status="Stopped",
            state=state,
            stops=1,
            done_by_hand=1,
        )
        for word, state in (("failed", "failed"), ("successful", "success"))
    ),
    Case(
        "marked_up_for_retry",
        "marked failed while it waits for a retry, after its worker was killed",
        script=mark_waiting_for_retry,
        injections=_kill(START, "after"),
        count=2,
        status="Stopped",
        state="failed",
        stops=1,
    ),
    Case(
        "cleared_paused",
        "cleared while it waits, in a DAG that is paused: the old execution stops at once",
        script=clear_while_paused,
        modes=("deferred",),
        count=2,
        sample=1,
        executions=2,
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "cleared_resumed",
        'cleared while it waits, `on_clear="resume"`: the same execution goes on',
        script=clear_and_resume,
        arguments={"on_clear": "resume"},
        done_by_hand=1,
    ),
    Case(
        "another_cleared",
        "a step fails; while the task waits for its retry, another task of the run is cleared: the retry resumes",
        script=fail_and_clear_another,
        sample=1,
        resumes=1,
        done_by_hand=2,
    ),
    Case(
        "run_deleted",
        "the DAG run deleted while it waits",
        script=delete_run,
        retries=0,
        status="Stopped",
        state="deleted",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "dag_deleted",
        "the DAG deleted while it waits",
        script=delete_dag,
        modes=("deferred",),
        retries=0,
        status="Stopped",
        state="deleted",
        stops=1,
        done_by_hand=1,
    ),
    Case(
        "run_timed_out",
        "`dagrun_timeout` passes",
        script=time_out_run,
        arguments={"dagrun_timeout_seconds": 60},
        retries=0,
        status="Stopped",
        state="skipped",
        stops=1,
        done_by_hand=1,
    ),
)

DISASTERS = (
    Case(
        "endpoint_killed",
        "SageMaker's endpoint is killed and comes back",
        phase="endpoint",
        script=disaster,
        count=2,
        done_by_hand=1,
    ),
    Case(
        "triggerer_killed",
        "the triggerer is killed, another takes over",
        phase="triggerer",
        script=disaster,
        modes=("deferred",),
        count=4,
        sample=2,
        done_by_hand=1,
    ),
    Case(
        "triggerer_stalled",
        "the triggerer hangs, its waits go to another, it wakes up again",
        phase="stall",
        script=disaster,
        modes=("deferred",),
        count=4,
        done_by_hand=1,
    ),
    Case(
        "api_server_killed",
        "Airflow's api-server is killed and comes back",
        phase="api-server",
        script=disaster,
        count=2,
        done_by_hand=1,
    ),
    Case(
        "scheduler_killed",
        "the scheduler is killed with every worker, another starts",
        phase="scheduler",
        script=disaster,
        count=2,
        done_by_hand=1,
    ),
)

GROUPS = {
    "The task's process is killed with SIGKILL": KILLS,
    "Calls go wrong": NETWORK,
    "People, limits, and how executions end": PEOPLE,
    "A task ends where no worker waits for it": WINDOWS,
    "A part of the system dies, for every waiting task at once": DISASTERS,
}
CASES = tuple(case for group in GROUPS.values() for case in group)
