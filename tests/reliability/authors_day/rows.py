"""What an author does in a day, row by row. Small scripts: each condition they yield is asked again until it holds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.reliability.authors_day.office import AT_ONCE_SECONDS, OVER, OtherwiseError, Row, expect
from tests.system.cluster import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.reliability.authors_day.office import Day

    Steps = Iterator[Callable[[], object]]

STOPPED, DONE = "Stopped", "Succeeded"


# --- clears ---------------------------------------------------------------------------------------------------------


def clear_of_another(day: Day) -> Steps:
    """Another task is cleared while this one is deferred, and again after it has succeeded."""
    name = "other-cleared"
    day.make_pipelines(name)
    run = day.trigger("other_cleared")
    yield lambda: day.waiting(name) and day.state(run) == "deferred" and day.state(run, "other") == "success"
    day.clear(run, "other")
    yield lambda: day.state(run, "other") == "success"
    day.answer(name)
    yield lambda: day.runs("other_cleared")[run] in OVER
    day.clear(run, "other")
    yield lambda: day.runs("other_cleared")[run] == "success" and day.state(run, "other") == "success"
    expect((day.state(run), day.statuses(name)), ("success", [DONE]), "task, executions")


def retry_and_clear(day: Day) -> Steps:
    """A step fails; while the task waits for its retry, another one is cleared; then the same once more."""
    name = "retry-and-clear"
    day.make_pipelines(name)
    run = day.trigger("retry_and_clear")
    for _ in range(2):
        yield lambda: day.waiting(name)
        day.answer(name, is_success=False)
        yield lambda: day.state(run) == "up_for_retry"
        day.clear(run, "other")
    yield lambda: day.waiting(name)
    day.answer(name)
    yield lambda: day.runs("retry_and_clear")[run] in OVER
    expect((day.state(run), day.statuses(name)), ("success", [DONE]), "task, executions")


def downstream_cleared(day: Day) -> Steps:
    """What comes after the pipeline is cleared: the pipeline is not run again."""
    name = "downstream-cleared"
    day.make_pipelines(name)
    run = day.trigger("downstream_cleared")
    yield lambda: day.waiting(name)
    day.answer(name)
    yield lambda: day.runs("downstream_cleared")[run] in OVER
    day.clear(run, "after")
    yield lambda: day.runs("downstream_cleared")[run] == "success" and day.state(run, "after") == "success"
    expect(day.statuses(name), [DONE], "executions")


def long_upstream(day: Day) -> Steps:
    """The waiting task is cleared with its upstream, which then takes long."""
    name = "long-upstream"
    day.make_pipelines(name)
    run = day.trigger("long_upstream")
    yield lambda: day.waiting(name) and day.state(run) == "deferred"
    yield pause(4)  # a triggerer has it
    (day.flags / "slow").touch()
    day.clear(run, "slow", "train")
    yield from stopped_at_once(day, name, lambda: day.state(run, "slow") in (None, "scheduled", "queued", "running"))
    yield lambda: day.waiting(name)
    day.answer(name)
    yield lambda: day.runs("long_upstream")[run] in OVER
    expect((day.state(run), day.statuses(name)), ("success", [STOPPED, DONE]), "task, executions")


def pool_full(day: Day) -> Steps:
    """The waiting task is cleared, and its pool has no free slot."""
    name = "pool-full"
    day.make_pipelines(name)
    run = day.trigger("pool_full")
    yield lambda: day.waiting(name) and day.state(run) == "deferred"
    block = day.trigger("pool_blocker")
    yield lambda: day.state(block, "block") == "running"
    day.clear(run, "train")
    yield from stopped_at_once(day, name, lambda: day.state(block, "block") == "running")
    expect(day.state(run) in (None, "scheduled"), True, "the cleared task has not started")
    (day.flags / "unblock").touch()
    yield lambda: day.waiting(name)
    day.answer(name)
    yield lambda: day.runs("pool_full")[run] in OVER
    expect((day.state(run), day.statuses(name)), ("success", [STOPPED, DONE]), "task, executions")


def pool_counted(day: Day) -> Steps:
    """A pool of one slot that counts deferred tasks, and two tasks."""
    name = "pool-counted"
    day.make_pipelines(name)
    run = day.trigger("pool_counted")
    for number in (1, 2):
        yield lambda: day.waiting(name)
        yield pause(6)
        expect(len(day.executions(name)), number, "executions so far")
        day.answer(name)
    yield lambda: day.runs("pool_counted")[run] in OVER
    expect((day.runs("pool_counted")[run], day.statuses(name)), ("success", [DONE, DONE]), "run, executions")


# --- schedules ------------------------------------------------------------------------------------------------------


def backfill(day: Day) -> Steps:
    """A backfill of three days, and another that reprocesses them."""
    name = "backfilled"
    day.make_pipelines(name)
    day.automatic.add(name)
    day.airflow.call("PATCH", "/dags/backfilled", {"is_paused": False})
    body = {"dag_id": "backfilled", "from_date": "2024-02-01T00:00:00Z", "to_date": "2024-02-03T00:00:00Z"}
    for behavior, due in (("none", 3), ("completed", 6)):
        wanted = {**body, "max_active_runs": 2, "reprocess_behavior": behavior}
        yield lambda wanted=wanted: is_taken(day, wanted)
        yield lambda due=due: len(february(day, name)) >= due and set(day.runs("backfilled").values()) == {"success"}
    found = february(day, name)
    expect(found, sorted(2 * ["2024-02-01", "2024-02-02", "2024-02-03"]), "the days of the executions")


def is_taken(day: Day, backfill: dict[str, Any]) -> bool:
    """Whether Airflow takes a backfill; it refuses one while it counts another of the DAG as running."""
    try:
        day.airflow.call("POST", "/backfills", backfill)
    except HTTPError as error:
        if error.code != 409:
            raise
        return False
    return True


def february(day: Day, pipeline: str) -> list[str]:
    """The backfilled days of the executions."""
    return [one for one in days_of(day, pipeline) if one.startswith("2024-02")]


def catchup(day: Day) -> Steps:
    """A daily DAG with `catchup` whose start lies three days back."""
    name = "catching-up"
    day.make_pipelines(name)
    day.automatic.add(name)
    day.airflow.call("PATCH", "/dags/catching_up", {"is_paused": False})
    yield lambda: len(day.runs("catching_up")) >= 3 and set(day.runs("catching_up").values()) == {"success"}
    days, due = days_of(day, name), len(day.runs("catching_up"))
    expect((len(days), len(set(days)), set(day.statuses(name))), (due, due, {DONE}), "executions, days, statuses")


def past(day: Day) -> Steps:
    """`depends_on_past`: the first day fails; a person marks it; the next one goes on."""
    name = "on-the-past"
    day.make_pipelines(name)
    day.airflow.call("PATCH", "/dags/on_the_past", {"is_paused": False})
    yield lambda: day.waiting(name)
    day.answer(name, is_success=False)
    first = min(day.runs("on_the_past"))
    yield lambda: day.state(first) == "failed"
    yield pause(8)
    expect(day.statuses(name), ["Failed"], "executions while the past has failed")
    day.mark(first, "train", "success")
    day.automatic.add(name)
    due = len(day.runs("on_the_past"))
    yield lambda: len(day.executions(name)) == due and set(day.statuses(name)[1:]) == {DONE}
    expect(len(set(days_of(day, name))), due, "days")


def mapped_group(day: Day) -> Steps:
    """A mapped task group; one index fails and is retried, another is cleared while it waits."""
    name = "mapped-group"
    day.make_pipelines(name)
    run = day.trigger("mapped_group")
    yield lambda: len(day.waiting(name)) == 3
    day.answer(name, day="a")
    day.answer(name, day="b", is_success=False)
    yield lambda: any(body["arguments"]["day"] == "b" for body in day.waiting(name))
    day.answer(name, day="b")
    yield lambda: day.state(run, "one.train", 2) == "deferred"
    day.clear(run, "one.train", task_ids=[["one.train", 2]])
    yield lambda: day.statuses(name).count(STOPPED) == 1 and len(day.waiting(name)) == 1
    day.answer(name)
    yield lambda: day.runs("mapped_group")[run] in OVER
    expect(sorted(day.statuses(name)), sorted([STOPPED, DONE, DONE, DONE]), "executions")
    told = [xcom(day, run, "one.tell", index=index) for index in range(3)]
    expect(len(set(told)), 3, "executions that the group's second task was told of")
    expect(day.runs("mapped_group")[run], "success", "run")


# --- ends and rows that are gone ------------------------------------------------------------------------------------


def repeated(day: Day) -> Steps:
    """A run is deleted after its success and made again under the same id."""
    name = "repeated"
    day.make_pipelines(name)
    day.automatic.add(name)
    for _ in range(2):
        run = day.trigger("repeated", run_id="the-same")
        yield lambda run=run: day.runs("repeated").get(run) == "success"
        day.call("DELETE", run)
    expect(day.statuses(name), [DONE, DONE], "executions")


def cleaned(day: Day) -> Steps:
    """`airflow db clean` takes the row of a waiting task."""
    name = "cleaned"
    day.make_pipelines(name)
    old = day.trigger("cleaned")
    yield lambda: day.waiting(name) and day.state(old) == "deferred"
    yield pause(4)
    day.automatic.add(name)
    new = day.trigger("cleaned")  # of each DAG the newest run is kept
    yield lambda: day.runs("cleaned")[new] == "success"
    now = datetime.now(timezone.utc).isoformat()
    clean = ("db", "clean", "--clean-before-timestamp", now, "--tables", "dag_run", "--skip-archive", "--yes")
    yield day.in_thread(lambda: day.command(*clean, "--dag-ids", "cleaned"))
    expect(day.state(old), "gone", "the cleaned task")
    yield from stopped_at_once(day, name, lambda: True)


def cleaned_values(day: Day) -> Steps:
    """`airflow db clean` takes the XComs of a waiting task."""
    name = "cleaned-values"
    day.make_pipelines(name)
    run = day.trigger("cleaned_values")
    yield lambda: day.waiting(name) and day.state(run) == "deferred"
    now = datetime.now(timezone.utc).isoformat()
    clean = ("db", "clean", "--clean-before-timestamp", now, "--tables", "xcom", "--skip-archive", "--yes")
    yield day.in_thread(lambda: day.command(*clean, "--dag-ids", "cleaned_values"))
    day.answer(name)
    yield lambda: day.runs("cleaned_values")[run] in OVER
    expect((day.state(run), day.statuses(name)), ("success", [DONE]), "task, executions")
    expect(xcom(day, run, key="pipeline_execution_arn"), day.executions(name)[0]["PipelineExecutionArn"], "XCom")


def mark_run(day: Day) -> Steps:
    """The whole run is marked successful while its task waits."""
    name = "mark-run"
    day.make_pipelines(name)
    run = day.trigger("mark_run")
    yield lambda: day.waiting(name) and day.state(run) == "deferred"
    yield pause(4)
    day.airflow.call("PATCH", run, {"state": "success"})
    yield from stopped_at_once(day, name, lambda: True)


def marks(mark: str) -> Callable[[Day], Steps]:
    """A task in each state is marked."""
    tasks = ("scheduled", "running", "deferred", "retrying", "succeeded", "failed", "watched")
    ended = {"running": [STOPPED], "deferred": [STOPPED], "retrying": ["Failed"], "succeeded": [DONE]}
    ended |= {"failed": ["Failed"], "scheduled": [], "watched": ["Executing"]}

    def script(day: Day) -> Steps:
        names = {task: f"marked-{task}-{mark}" for task in tasks}
        day.make_pipelines(*names.values())
        watched = day.sagemaker.start_pipeline_execution(PipelineName=names["watched"])["PipelineExecutionArn"]
        run = day.trigger("marked", conf={"mark": mark, "watched": watched})
        started = [names[task] for task in tasks if task != "scheduled"]
        yield lambda: all(day.waiting(name) for name in started)
        day.answer(names["succeeded"])
        day.answer(names["failed"], is_success=False)
        day.answer(names["retrying"], is_success=False)
        states = {"scheduled": "scheduled", "running": "running", "deferred": "deferred", "retrying": "up_for_retry"}
        states |= {"succeeded": "success", "failed": "failed", "sensor": "up_for_reschedule"}
        yield lambda: all(day.state(run, task) == state for task, state in states.items())
        yield pause(8)
        for task in states:
            with suppress_conflict():
                day.mark(run, task, mark)
        yield lambda: all(day.state(run, task) == mark for task in states)
        yield lambda: day.statuses(names["running"]) == [STOPPED] and day.statuses(names["deferred"]) == [STOPPED]
        yield pause(20)  # an attempt that a mark did not end would start something by now
        expect({task: day.statuses(name) for task, name in names.items()}, ended, "executions")
        expect({day.state(run, task) for task in states}, {mark}, "states")
        day.answer(names["watched"])

    return script


# --- commands and values ----------------------------------------------------------------------------------------------


def tasks_test(day: Day) -> Steps:
    """`airflow tasks test` of a task that waits in its worker and of one that defers."""
    name = "tasks-test"
    day.make_pipelines(name)
    day.automatic.add(name)

    def work() -> None:
        for task_id in ("sync", "deferred"):
            day.command("tasks", "test", "tasks_test", task_id, "2024-06-01")

    yield day.in_thread(work)
    expect(day.statuses(name), [DONE, DONE], "executions")


PYTEST = """
import os

def test_the_dag():
    from airflow.dag_processing.dagbag import DagBag
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).get_dag("tasks_test")
    run = dag.test()
    assert run.state == "success"
"""


def dag_test(day: Day) -> Steps:
    """`dag.test()` in pytest, with a database of its own."""
    name = "tasks-test"
    home = day.folder / "pytest"
    home.mkdir()
    (home / "test_dag.py").write_text(PYTEST)
    before = len(day.executions(name))
    environment = {**day.airflow.environment, "AIRFLOW_HOME": str(home)}
    environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"

    def work() -> None:
        for command in (["airflow", "db", "migrate"], ["pytest", "-q", "-p", "no:cacheprovider", str(home)]):
            done = subprocess.run(
                [sys.executable, "-m", *command], env=environment, cwd=home, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise OtherwiseError(f"{command}: {done.stdout[-1500:]}{done.stderr[-500:]}")

    yield day.in_thread(work)
    expect(day.statuses(name)[before:], [DONE, DONE], "executions")


def links_and_values(day: Day) -> Steps:
    """Links and values while the tasks run and at the end; every value is in object storage."""
    name = "links-and-values"
    day.make_pipelines(name)
    run = day.trigger("links_and_values")
    yield lambda: len(day.waiting(name)) == 2
    yield lambda: (day.state(run, "sync"), day.state(run, "deferred")) == ("running", "deferred")
    yield lambda: all(read_link(day, run, task_id) for task_id in ("sync", "deferred"))
    arns = {body["arguments"]["day"]: body["pipelineExecutionArn"] for body in day.waiting(name)}
    for task_id in ("sync", "deferred"):
        address = read_link(day, run, task_id)
        expect(arns[task_id].rpartition("/")[2] in read_page(address), True, f"{address} shows the execution")
        expect(xcom(day, run, task_id, key="pipeline_execution_arn"), arns[task_id], "the XCom while it runs")
    day.answer(name)
    yield lambda: day.runs("links_and_values")[run] in OVER
    for task_id in ("sync", "deferred"):
        expect((day.state(run, task_id), xcom(day, run, task_id, key="rows")), ("success", 7), f"{task_id}, its output")
        expect(bool(read_link(day, run, task_id)), True, "the link at the end")
    stored = list((day.folder / "xcoms").rglob("*"))
    expect(any(path.is_file() for path in stored), True, "values in the store")


def two_triggerers(day: Day) -> Steps:
    """Six waits on two triggerers, one of which is killed."""
    name = "two-triggerers"
    day.make_pipelines(name)
    port = str(free_port())
    day.airflow.start("triggerer", name="second triggerer", AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=port)
    yield pause(15)
    run = day.trigger("two_triggerers")
    tasks = [f"train_{number}" for number in range(6)]
    yield lambda: len(day.waiting(name)) == 6 and all(day.state(run, task_id) == "deferred" for task_id in tasks)
    yield pause(5)
    day.airflow.signal("second triggerer", signal.SIGKILL)
    day.answer(name)
    yield lambda: day.runs("two_triggerers")[run] in OVER
    expect((day.runs("two_triggerers")[run], day.statuses(name)), ("success", [DONE] * 6), "run, executions")


# --- what several rows do -------------------------------------------------------------------------------------------


def pause(seconds: float) -> Callable[[], bool]:
    """The condition that so much time has passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def stopped_at_once(day: Day, pipeline: str, still: Callable[[], bool]) -> Steps:
    """The oldest execution is stopped within seconds, while something else still holds."""
    end = time.monotonic() + AT_ONCE_SECONDS
    yield lambda: day.statuses(pipeline)[0] in ("Stopping", STOPPED) or time.monotonic() > end
    expect((day.statuses(pipeline)[0] in ("Stopping", STOPPED), bool(still())), (True, True), "stopped, in time")
    yield lambda: day.statuses(pipeline)[0] == STOPPED


def days_of(day: Day, pipeline: str) -> list[str]:
    """The parameter ``Day`` of each execution, sorted."""
    found = []
    for one in day.executions(pipeline):
        arn = one["PipelineExecutionArn"]
        given = day.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
        found += [parameter["Value"] for parameter in given if parameter["Name"] == "Day"]
    return sorted(found)


def xcom(day: Day, run: str, task_id: str = "train", *, key: str = "return_value", index: int = -1) -> Any:
    """An XCom as tasks see it: the REST API gives the place in the store."""
    found = day.call("GET", f"{run}/taskInstances/{task_id}/xcomEntries/{key}?map_index={index}&deserialize=false")
    value = None if found is None else found["value"]
    text = str(value).removeprefix("file://").strip('"')
    with suppress(OSError, ValueError):
        return json.loads(open(text).read())  # noqa: PTH123
    return value


def read_link(day: Day, run: str, task_id: str) -> str:
    """The address of the button to the execution; empty while there is none."""
    found = (day.call("GET", f"{run}/taskInstances/{task_id}/links") or {}).get("extra_links", {})
    return str(found.get("SageMaker execution") or "")


def read_page(address: str) -> str:
    """The page behind a link."""
    with urlopen(address, timeout=30) as response:  # noqa: S310 - the local endpoint's console
        return str(response.read().decode())


def suppress_conflict() -> Any:
    """Airflow answers 409 to a mark that changes nothing."""
    return suppress(HTTPError)


ROWS = (
    Row(
        "clear_of_another",
        "another task of the run is cleared, while this one is deferred and after its success",
        "one execution",
        clear_of_another,
    ),
    Row(
        "retry_and_clear",
        "a step fails twice; each time another task is cleared while this one waits for its retry",
        "one execution, resumed twice",
        retry_and_clear,
    ),
    Row(
        "downstream_cleared",
        "what comes after the pipeline is cleared",
        "the pipeline does not run again",
        downstream_cleared,
    ),
    Row(
        "long_upstream",
        "a deferred task is cleared with its upstream, which then takes 45 s",
        "the execution stops at once, the next one starts after the upstream",
        long_upstream,
    ),
    Row(
        "pool_full",
        "a deferred task is cleared, and its pool is full",
        "the execution stops at once, the next one starts when the pool has room",
        pool_full,
    ),
    Row(
        "pool_counted",
        "two tasks in a pool of one slot that counts deferred tasks",
        "one execution at a time",
        pool_counted,
    ),
    Row(
        "backfill",
        "a backfill of three days, then one that reprocesses them",
        "one execution for each day, each time",
        backfill,
    ),
    Row("catchup", "`catchup` over three days", "one execution for each day", catchup),
    Row(
        "past",
        "`depends_on_past`: the first day fails, is marked successful",
        "no execution of the next day before the mark, one for each day in all",
        past,
    ),
    Row(
        "mapped_group",
        "a mapped task group; a step of one index fails, another index is cleared while it waits",
        "each index has its own execution; the retry resumes, the clear stops and restarts, the third is left alone",
        mapped_group,
    ),
    Row(
        "repeated",
        "a run is deleted after its success and made again under the same id",
        "an execution for each",
        repeated,
    ),
    Row("cleaned", "`airflow db clean` takes the row of a waiting task", "the execution stops at once", cleaned),
    Row(
        "cleaned_values",
        "`airflow db clean` takes the XComs of a waiting task",
        "one execution, success, all XComs",
        cleaned_values,
    ),
    Row("mark_run", "the run is marked successful while its task waits", "the execution stops at once", mark_run),
    *(
        Row(
            f"marks_{mark}",
            f"tasks scheduled, running, deferred, up for retry, successful, failed, and a sensor: marked {mark}",
            "what waits for its execution stops it; nothing else is stopped or started; each state stays as marked",
            marks(mark),
        )
        for mark in ("success", "failed")
    ),
    Row("tasks_test", "`airflow tasks test`, deferrable and not", "one execution each", tasks_test),
    Row(
        "dag_test",
        "`dag.test()` in pytest, deferrable and not",
        "one execution each, the run is successful",
        dag_test,
        phase=1,
    ),
    Row(
        "links_and_values",
        "links and XComs, read while the tasks run and at the end",
        "right at any time; values stand in the store",
        links_and_values,
    ),
    Row(
        "two_triggerers",
        "six waits on two triggerers, one of which is killed",
        "six executions, success",
        two_triggerers,
        phase=1,
    ),
)

SAMPLE = ("clear_of_another", "pool_full", "repeated")
"""The rows that the test suite does."""
