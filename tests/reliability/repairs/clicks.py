"""A repair by the buttons of the page in Airflow's UI: a row as the others, which a browser carries out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reliability.repairs.rows import DIAMOND, RESUME, STOP, fail_b, succeed, until_stopped
from tests.reliability.repairs.workshop import Row
from tests.system.browser import Browser
from tests.system.sagemaker_page import SageMakerPage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reliability.repairs.workshop import Run, Steps


def make_row(folder: Path) -> Row:
    """The row; its browser keeps its profile in an empty folder."""

    def click_through(run: Run) -> Steps:
        with Browser(folder, width=1400, height=1000) as browser:
            yield from repair(run, SageMakerPage(browser, run.workshop.airflow.url, run.row.key, run.run_id))

    return Row("clicks", "the page's buttons", "Airflow's states change", click_through, DIAMOND, actions=3)


def repair(run: Run, page: SageMakerPage) -> Steps:
    """Look at a failed step, resume, run again from another step, and stop that."""
    yield from fail_b(run)
    yield lambda: page.statuses() == {"A": "Succeeded", "B": "Failed", "C": "Succeeded", "D": "Not reached"}
    page.open_step("B")
    yield lambda: page.says("told to fail", "task failed, try 1")
    page.press("Resume failed steps")
    yield from succeed(run, "B", "D")
    yield lambda: run.is_over and run.states["ended"] == "success"
    run.expect(run.accepted(RESUME), 1, "resumes")
    yield lambda: page.statuses() == dict.fromkeys("ABCD", "Succeeded")
    yield lambda: not page.has("Resume failed steps") and not page.has("Stop")
    page.open_step("C")
    yield lambda: page.has("Run from here")
    page.press("Run from here")
    yield lambda: run.asked("C") == 2 and run.waits("C")
    run.expect(run.selected(1), {"C", "D"}, "steps run again")
    yield lambda: page.statuses() == {"A": "Succeeded", "B": "Succeeded", "C": "Executing", "D": "Waiting"}
    page.press("Stop")
    yield from until_stopped(run)
    yield lambda: run.is_over
    run.expect_states(run="success", A="success", B="success", ended="failed")
    run.expect(run.accepted(STOP), 1, "stops")
