"""What a person does to the group of a pipeline, and what must come of it. Each row has a pipeline of its own.

Most have the pipeline of :data:`DIAMOND`: ``A``, then ``B`` and ``C`` side by side, then ``D`` after both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reliability.injections import Injection
from tests.reliability.repairs.workshop import Row, branch, call

if TYPE_CHECKING:
    from tests.reliability.repairs.workshop import Run, Steps

START, RESUME, STOP = "StartPipelineExecution", "RetryPipelineExecution", "StopPipelineExecution"
DIAMOND = (call("A"), call("B", "A"), call("C", "A"), call("D", "B", "C"))
FAIL = {"Name": "TooBad", "Type": "Fail", "Arguments": {"ErrorMessage": "told to end"}}
GATED = (call("A"), branch("Check", "A", yes=[FAIL], no=[call("E")]))
STOP_SECONDS = 60.0


def succeed(run: Run, *steps: str) -> Steps:
    """End these steps, one after the other."""
    for step in steps:
        yield lambda step=step: run.waits(step)  # type: ignore[misc]
        run.answer(step)


def fail_b(run: Run, *, first: tuple[str, ...] = ("A", "C")) -> Steps:
    """``B`` fails when the others of its kind have succeeded; wait until the DAG run has failed."""
    yield from succeed(run, *first)
    yield lambda: run.waits("B")
    run.answer("B", is_success=False)
    yield lambda: run.is_over
    run.expect_states(A="success", B="failed", C="success", D="upstream_failed", ended="failed")


def finish(run: Run, *, executions: int, **states: str) -> Steps:
    """Wait for the end of the DAG run, and compare."""
    yield lambda: run.is_over
    run.expect_states(**{**dict.fromkeys(("run", "A", "B", "C", "D", "ended"), "success"), **states})
    run.expect(len(run.executions), executions, "executions")


def until_stopped(run: Run, number: int = -1) -> Steps:
    """Wait until the execution has been stopped."""
    yield lambda: run.statuses and run.statuses[number] == "Stopped"


# --- the grid ---------------------------------------------------------------------------------------------------------


def run_through(run: Run) -> Steps:
    yield lambda: run.waits("A") and run.states.get("A") == "deferred"
    run.expect_states(B=None, ended=None)  # type: ignore[arg-type]
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.expect(run.xcom("B", "outputs"), {"rows": 7}, "XCom of a step")
    run.expect(run.xcom("ended", "rows"), 7, "output")
    run.expect(run.tries["B"], 1, "tries")


def take_branch(run: Run) -> Steps:
    yield from succeed(run, "A", "Yes", "Last")
    yield lambda: run.is_over
    run.expect_states(A="success", Check="success", Yes="success", No="skipped", Last="success", ended="success")
    run.expect_log("No", "its branch was not taken")
    run.clear("No", downstream=False)
    yield lambda: run.is_over and run.states["No"] == "skipped"
    run.expect(len(run.executions), 1, "executions")
    run.expect(run.accepted(RESUME), 0, "resumes")


def handle_failure(run: Run) -> Steps:
    yield lambda: run.waits("A")
    run.answer("A", is_success=False)
    yield from succeed(run, "Mend")
    yield lambda: run.is_over
    run.expect_states(A="failed", B="upstream_failed", Mend="success", ended="failed")
    run.expect(run.statuses, ["CompletedWithFailures"], "executions")


def fail_before(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.waits("B") and run.waits("C")
    run.answer("B", is_success=False)
    run.answer("C")
    yield lambda: run.is_over
    run.expect_states(B="failed", C="success", D="upstream_failed", X="failed", E="upstream_failed", ended="failed")
    run.expect_log("B", "told to fail")
    run.expect_log("X", "was not reached")


def run_mapped(run: Run) -> Steps:
    yield lambda: run.asked("A") == 2
    run.answer("A")
    yield lambda: run.is_over
    run.expect({name: state for name, state in run.states.items() if state != "success"}, {}, "tasks")
    run.expect(len(run.executions), 2, "executions")


# --- repairs ----------------------------------------------------------------------------------------------------------


def clear_failed(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=1)
    run.expect((run.accepted(RESUME), run.asked("B"), run.asked("A")), (1, 2, 1), "resumes, starts of B and A")
    run.expect(run.tries["run"], 1, "tries of run")


def clear_failed_with_lost_answer(run: Run) -> Steps:
    yield from fail_b(run)
    run.inject(Injection(RESUME, "reset", "after"))
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=1)
    run.expect(run.asked("B"), 2, "starts of B")


def clear_failed_twice(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B")
    yield lambda: run.waits("B")
    run.answer("B", is_success=False)
    yield lambda: run.is_over and run.states["B"] == "failed"
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=1)
    run.expect((run.accepted(RESUME), run.asked("B")), (2, 3), "resumes, starts of B")


def clear_while_others_run(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.waits("B") and run.waits("C")
    run.answer("B", is_success=False)
    # A clear before the scheduler has marked D leaves D as it then marks it.
    yield lambda: (run.states.get("B"), run.states.get("D")) == ("failed", "upstream_failed")
    run.clear("B")
    yield lambda: run.states.get("B") == "deferred" and run.tries["B"] == 2
    run.expect(run.accepted(RESUME), 0, "resumes while others run")
    run.answer("C")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=1)
    run.expect((run.accepted(RESUME), run.asked("B"), run.asked("C")), (1, 2, 1), "resumes, starts of B and C")


def clear_two_failed(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.waits("B") and run.waits("C")
    run.answer("B", "C", is_success=False)
    yield lambda: run.is_over
    run.clear("B", "C")
    yield from succeed(run, "B", "C", "D")
    yield from finish(run, executions=1)
    run.expect((run.asked("B"), run.asked("C"), run.asked("D")), (2, 2, 1), "starts of B, C and D")


def clear_failed_alone(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B", downstream=False)
    yield from succeed(run, "B", "D")
    yield lambda: run.states.get("B") == "success" and run.statuses == ["Succeeded"]
    run.expect_states(D="upstream_failed", ended="failed")
    run.clear("ended")
    yield lambda: run.is_over and run.states["ended"] == "success"
    run.expect_log("ended", "Task group.steps.D is upstream_failed, but its step is Succeeded")


def clear_unreached(run: Run) -> Steps:
    yield from fail_before(run)
    run.clear("X")
    yield from succeed(run, "B", "X", "D", "E")
    yield lambda: run.is_over
    run.expect_states(B="failed", D="upstream_failed", X="success", E="success", ended="success")
    run.expect((run.statuses, run.accepted(RESUME)), (["Succeeded"], 1), "executions, resumes")


def clear_succeeded(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield lambda: len(run.executions) == 2
    yield from finish(run, executions=2)
    run.expect(run.selected(1), {"B", "D"}, "selected steps")
    run.expect((run.asked("A"), run.asked("B"), run.asked("C"), run.asked("D")), (1, 2, 1, 2), "starts")
    run.expect(run.xcom("ended", "pipeline_execution_arn"), run.executions[1]["PipelineExecutionArn"], "XCom")


def clear_succeeded_with_lost_answer(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.inject(Injection(START, "reset", "after"))
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=2)


def clear_two_succeeded(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.clear("B", "C")
    yield from succeed(run, "B", "C", "D")
    yield from finish(run, executions=2)
    run.expect(run.selected(1), {"B", "C", "D"}, "selected steps")
    run.expect(run.asked("D"), 2, "starts of D")


def clear_failed_and_succeeded(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B", "C")
    yield from succeed(run, "B", "C", "D")
    yield from finish(run, executions=2)
    run.expect(run.selected(1), {"B", "C", "D"}, "selected steps")
    run.expect((run.accepted(RESUME), run.asked("B"), run.asked("C")), (0, 2, 2), "resumes, starts of B and C")


def clear_while_source_runs(run: Run) -> Steps:
    yield from succeed(run, "A", "B")
    yield lambda: run.states.get("B") == "success" and run.waits("C")
    run.clear("B")
    yield lambda: run.states.get("B") == "deferred" and run.tries["B"] == 2
    run.expect(len(run.executions), 1, "executions while the first one runs")
    yield from succeed(run, "C", "D")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=2)
    run.expect(run.selected(1), {"B", "D"}, "selected steps")


def clear_redeployed(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    text = run.workshop.make_definition((*run.row.steps, call("F", "D")), day="friday")
    run.workshop.sagemaker.update_pipeline(PipelineName=run.row.key, PipelineDefinition=text)
    run.clear("B")
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=2)
    run.expect(run.parameters(1), {"Day": "monday"}, "parameters")
    versions = [run.describe(number)["PipelineVersionId"] for number in (0, 1)]
    run.expect(versions, [1, 1], "versions")


def clear_running(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B")
    run.clear("B")
    yield lambda: run.states.get("B") == "deferred" and run.tries["B"] == 2
    yield from succeed(run, "B", "C", "D")
    yield from finish(run, executions=1)
    run.expect((run.accepted(RESUME), run.accepted(STOP), run.asked("B")), (0, 0, 1), "resumes, stops, starts of B")


def clear_run(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.clear("run")
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=2)
    run.expect(run.selected(1), set(), "selected steps")


def clear_run_while_it_runs(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B") and run.waits("C")
    run.clear("run")
    yield lambda: len(run.executions) == 2
    yield from until_stopped(run, 0)
    run.give_up("B")
    run.give_up("C")
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=2)


def clear_fail_step(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.is_over
    run.expect_states(A="success", Check="success", TooBad="failed", E="skipped", ended="failed")
    run.expect_log("TooBad", "told to end")
    run.clear("TooBad")
    yield lambda: run.is_over and run.tries["TooBad"] == 2
    run.expect_states(TooBad="failed", E="skipped", ended="failed")
    run.expect_log("TooBad", "Clear the task 'run' of the group instead")
    run.expect((run.accepted(RESUME), len(run.executions)), (0, 1), "resumes, executions")


def clear_too_many(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.is_over
    run.clear("A")
    yield lambda: run.is_over and run.tries["A"] == 2
    run.expect_states(A="failed", ended="success")
    run.expect_log("A", "SageMaker runs at most 50")
    run.expect(len(run.executions), 1, "executions")


# --- who stops --------------------------------------------------------------------------------------------------------


def mark_ended(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B") and run.waits("C")
    run.mark("ended", "failed")
    yield from until_stopped(run)
    yield lambda: run.is_over
    run.expect_states(B="failed", C="failed", ended="failed")


def mark_ended_after_resume(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B")
    yield lambda: run.waits("B") and run.states.get("B") == "deferred"
    run.mark("ended", "failed")
    yield from until_stopped(run)


def mark_ended_after_selection(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.clear("B")
    yield lambda: run.waits("B") and run.states.get("B") == "deferred"
    run.mark("ended", "failed")
    yield from until_stopped(run)
    run.expect(run.statuses, ["Succeeded", "Stopped"], "executions")


def mark_run(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B")
    run.mark_run("failed")
    yield from until_stopped(run)


def time_out_run(run: Run) -> Steps:
    yield lambda: run.waits("A") or run.is_over
    if run.executions:  # on a busy machine the time may be over before the start
        yield from until_stopped(run)
    yield lambda: run.is_over
    run.expect(run.state, "failed", "DAG run")


def time_out_group(run: Run) -> Steps:
    yield lambda: run.waits("A")
    yield from until_stopped(run)
    yield lambda: run.is_over
    run.expect_states(A="failed", ended="failed")


def delete_run(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B")
    yield run.delete
    yield from until_stopped(run)


def mark_step(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B")
    run.mark("B", "failed")
    yield from succeed(run, "B", "C", "D")
    yield lambda: run.is_over
    run.expect_states(B="failed", C="success", D="upstream_failed", ended="success")
    run.expect((run.statuses, run.accepted(STOP)), (["Succeeded"], 0), "executions, stops")


# --- when something dies ----------------------------------------------------------------------------------------------


def kill_triggerer_repairing(run: Run) -> Steps:
    yield from fail_b(run)
    run.clear("B")
    yield lambda: run.states.get("B") == "deferred"
    run.workshop.replace_triggerer()
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=1)
    run.expect(run.asked("B"), 2, "starts of B")


def kill_triggerer_selecting(run: Run) -> Steps:
    yield from succeed(run, "A", "B", "C", "D")
    yield from finish(run, executions=1)
    run.clear("B")
    yield lambda: run.accepted(START) == 2
    run.workshop.replace_triggerer()
    yield from succeed(run, "B", "D")
    yield from finish(run, executions=2)


def kill_triggerer_waiting(run: Run) -> Steps:
    yield from succeed(run, "A")
    yield lambda: run.states.get("B") == "deferred" and run.waits("B")
    run.workshop.replace_triggerer()
    yield from succeed(run, "B", "C", "D")
    yield from finish(run, executions=1)
    run.expect((run.accepted(RESUME), run.accepted(STOP)), (0, 0), "resumes, stops")


ROWS = (
    Row(
        "through",
        "nothing",
        "each task ends as its step does, and has its XComs",
        run_through,
        DIAMOND,
        0,
        outputs={"rows": "Steps.D.OutputParameters['rows']"},
    ),
    Row(
        "branch",
        "a branch is not taken; its skipped step is cleared",
        "skipped, and skipped again: no call",
        take_branch,
        (call("A"), branch("Check", "A", yes=[call("Yes")], no=[call("No")]), call("Last", "A")),
    ),
    Row(
        "handled",
        "a step fails, another handles that",
        "failed, success, the run failed",
        handle_failure,
        (call("A"), call("B", "A"), call("Mend", {"Step": "A", "Trigger": "Failed"})),
        0,
    ),
    Row(
        "unreached",
        "the execution fails before a step is reached",
        "that step's task fails, and says why",
        fail_before,
        (*DIAMOND, call("X", "C"), call("E", "X")),
        0,
    ),
    Row(
        "unreached-cleared",
        "a step that was not reached is cleared, and not the one that failed",
        "the execution resumes; the failed step's task keeps its state",
        clear_unreached,
        (*DIAMOND, call("X", "C"), call("E", "X")),
    ),
    Row(
        "mapped",
        "the group in a mapped task group, twice",
        "an execution for each",
        run_mapped,
        (call("A"),),
        0,
        is_mapped=True,
    ),
    Row("failed", "a failed step is cleared", "the same execution is resumed, once", clear_failed, DIAMOND),
    Row(
        "failed-lost",
        "the same; the answer of the resume is lost",
        "the same",
        clear_failed_with_lost_answer,
        DIAMOND,
        2,
    ),
    Row("failed-twice", "it fails again, and is cleared again", "resumed twice", clear_failed_twice, DIAMOND, 2),
    Row(
        "failed-early",
        "a failed step is cleared while others run",
        "resumed when they have ended",
        clear_while_others_run,
        DIAMOND,
    ),
    Row("failed-two", "two failed steps are cleared together", "resumed once", clear_two_failed, DIAMOND),
    Row(
        "failed-alone",
        "a failed step is cleared without its downstream; then `ended`",
        "resumed; the others keep their states, and the log of `ended` says so",
        clear_failed_alone,
        DIAMOND,
        2,
    ),
    Row("succeeded", "a succeeded step is cleared", "one execution of it and its downstream", clear_succeeded, DIAMOND),
    Row(
        "succeeded-lost",
        "the same; the answer of the start is lost",
        "the same",
        clear_succeeded_with_lost_answer,
        DIAMOND,
        2,
    ),
    Row(
        "succeeded-two",
        "two independent succeeded steps are cleared together",
        "one execution of both",
        clear_two_succeeded,
        DIAMOND,
    ),
    Row(
        "mixed",
        "a failed and a succeeded step are cleared together",
        "one execution of both, no resume",
        clear_failed_and_succeeded,
        DIAMOND,
    ),
    Row(
        "source-runs",
        "a succeeded step is cleared while others run",
        "one execution, after the first has ended",
        clear_while_source_runs,
        DIAMOND,
    ),
    Row(
        "redeployed",
        "the pipeline is redeployed, then a succeeded step is cleared",
        "the source's version and parameters run",
        clear_redeployed,
        DIAMOND,
        2,
    ),
    Row("running", "a running step is cleared", "mirrored again: no call", clear_running, DIAMOND),
    Row("run", "`run` is cleared", "a new execution of the whole pipeline", clear_run, DIAMOND),
    Row(
        "run-running",
        "`run` is cleared while steps run",
        "the execution is stopped, another one starts",
        clear_run_while_it_runs,
        DIAMOND,
    ),
    Row("fail-step", "a Fail step's task is cleared", "refused: clear `run`", clear_fail_step, GATED),
    Row(
        "too-many",
        "a step with more than 50 after it is cleared",
        "refused: clear `run`",
        clear_too_many,
        (call("A"), *(branch(f"C{number}", "A") for number in range(50))),
        phase=2,
    ),
    Row("stop-ended", "`ended` is marked failed while steps run", "the execution is stopped", mark_ended, DIAMOND),
    Row("stop-resumed", "the same, in a resumed run", "the same", mark_ended_after_resume, DIAMOND, 2),
    Row(
        "stop-selected", "the same, while selected steps run again", "the same", mark_ended_after_selection, DIAMOND, 2
    ),
    Row("stop-run", "the DAG run is marked failed", "the same", mark_run, DIAMOND),
    Row("stop-deleted", "the DAG run is deleted", "the execution is stopped", delete_run, DIAMOND),
    Row("stop-run-timeout", "`dagrun_timeout` passes", "the same", time_out_run, DIAMOND, run_seconds=60),
    Row(
        "stop-group-timeout",
        "`max_wait_seconds` passes",
        "the same",
        time_out_group,
        DIAMOND,
        arguments={"max_wait_seconds": 40},
    ),
    Row("mark-step", "a running step's task is marked failed", "nothing is stopped", mark_step, DIAMOND),
    Row(
        "kill-waiting",
        "the triggerer is killed while steps run",
        "the next one goes on",
        kill_triggerer_waiting,
        DIAMOND,
        phase=1,
    ),
    Row(
        "kill-repairing",
        "the triggerer is killed while a failed step is repaired",
        "resumed once",
        kill_triggerer_repairing,
        DIAMOND,
        2,
        phase=1,
    ),
    Row(
        "kill-selecting",
        "the triggerer is killed right after the start call of selected steps",
        "one execution",
        kill_triggerer_selecting,
        DIAMOND,
        2,
        phase=1,
    ),
)

SAMPLE = ("through", "failed-two", "succeeded", "stop-ended")
"""The rows that the test suite takes."""
