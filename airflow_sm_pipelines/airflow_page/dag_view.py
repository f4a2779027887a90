"""What the page shows of a DAG: its executions, one run of a pipeline a row, to compare. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_page.run_view import ENDED_STATES, PipelineTask, parse_time
from airflow_sm_pipelines.airflow_task.ended_task_listener import ENDED, RUN
from airflow_sm_pipelines.render import ChartPoint, render_line_svg, without_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.airflow_page.run_rows import ExecutionRow

DURATION = "duration"
"""The name of the chart that needs no output."""

_CHARTS = {DURATION: ("Seconds from the first step's start to the last one's end", "s")}


def answer_dag(rows: Sequence[ExecutionRow], *, source: str | None, output: str | None) -> dict[str, Any]:
    """The answer about a DAG: its executions, and the chart of one value."""
    compared = compare_executions(rows)
    sources = sorted({row["source"] for row in compared})
    chosen = source if source in sources else sources[0] if sources else None
    compared = [row for row in compared if row["source"] == chosen]
    outputs = list_outputs(compared)
    shown = output if output in (*outputs, DURATION) else (*outputs, DURATION)[0]
    title, unit = _CHARTS.get(shown, (shown, ""))
    points = make_points(compared, shown)
    return {
        "sources": sources,
        "source": chosen,
        "rows": compared,
        "outputs": [*outputs, DURATION],
        "output": shown,
        "chart": without_style(render_line_svg(points, title=title, unit=unit)) if compared else None,
    }


def compare_executions(rows: Sequence[ExecutionRow]) -> list[dict[str, Any]]:
    """A row for each task or group that has run a pipeline, newest run first."""
    known = {(row.run_id, row.task): row for row in rows}
    found = []
    for row in rows:
        task_id, index = row.task
        if task_id.endswith(ENDED) and (row.run_id, (f"{task_id.removesuffix(ENDED)}{RUN}", index)) in known:
            continue  # shown with the task that has started it
        judged = (
            known.get((row.run_id, (f"{task_id.removesuffix(RUN)}{ENDED}", index))) if task_id.endswith(RUN) else None
        )
        found.append(_make_row(row, judged))
    return found


def list_outputs(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The outputs that a chart can show: those that are a number in some execution."""
    return sorted({name for row in rows for name, value in row["outputs"].items() if _read_number(value) is not None})


def make_points(rows: Sequence[dict[str, Any]], output: str) -> list[ChartPoint]:
    """The values of an output, or the durations, oldest first."""
    return [
        ChartPoint(
            label=str(row["when"] or row["run_id"])[:16].replace("T", " "),
            value=row["seconds"] if output == DURATION else _read_number(row["outputs"].get(output)),
            status=row["status"],
        )
        for row in reversed(rows)
    ]


def _make_row(row: ExecutionRow, judged: ExecutionRow | None) -> dict[str, Any]:
    record = {**row.record, **(judged.record if judged is not None else {})}
    is_group = judged is not None or (row.task[0].endswith(RUN) and "." in row.task[0])
    start, end = parse_time(record.get("start")), parse_time(record.get("end"))
    return {
        "run_id": row.run_id,
        "when": None if row.when is None else row.when.isoformat(),
        "source": PipelineTask(row.task, f"{row.task[0].removesuffix(RUN[1:])}" if is_group else None).name,
        "pipeline": record.get("pipeline"),
        "arn": record.get("arn"),
        "status": _find_status(str(record.get("status")), row if judged is None else judged),
        "seconds": None if start is None or end is None else round((end - start).total_seconds(), 1),
        "outputs": record.get("outputs") or {},
    }


def _find_status(known: str, row: ExecutionRow) -> str:
    """The status of an execution whose task somebody may have ended, or cleared, since it was kept.

    :param row: of the task that waits for the end.
    """
    if row.state not in ENDED_STATES:
        return "Executing"
    if row.state == "failed" and known in ("Succeeded", "Executing"):
        return "Stopped"
    return "Not judged" if known == "Executing" and row.run_state in ("success", "failed") else known


def _read_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
