"""Pictures of pipelines say what the definition says, are well-formed, and hold whatever names people choose."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from airflow_sm_pipelines.definition import PipelineDefinition, parse_definition
from airflow_sm_pipelines.render import (
    StepRun,
    parse_step_runs,
    render_gantt_svg,
    render_graph_svg,
    render_mermaid,
    render_outline,
)
from airflow_sm_pipelines.render.labels import format_seconds, shorten

DATA = Path(__file__).parent.parent / "data" / "definitions"
START = datetime(2026, 11, 23, 3, 0, tzinfo=timezone.utc)


def load(name: str) -> PipelineDefinition:
    return parse_definition((DATA / name).read_text())


def run(name: str, status: str, start: float, end: float | None, **more: Any) -> StepRun:
    ended = None if end is None else START + timedelta(seconds=end)
    return StepRun(name, status, START + timedelta(seconds=start), ended, **more)


RUNS = (
    run("Preprocess", "Succeeded", 0, 3.2, is_cached=True),
    run("Train", "Succeeded", 3.2, 75.2),
    run("Evaluate", "Succeeded", 75, 96),
    run("CheckRmse", "Succeeded", 96, 96.2),
    run("RmseTooHigh", "Failed", 96.4, 96.5, failure_reason="RMSE <71> & more"),
)


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


# Text


def test_the_outline_has_every_step_with_its_reasons_to_wait() -> None:
    assert render_outline(load("diabetes_v2.json")).splitlines() == [
        "Preprocess                      Processing",
        "Train                           Training       after Preprocess",
        "Evaluate                        Processing     after Train, Preprocess",
        "CheckRmse                       Condition      after Evaluate; if regression.rmse.value ≤ RmseThreshold",
        "  true: Register-RegisterModel  RegisterModel  after Train",
        "  false: RmseTooHigh            Fail           after Evaluate",
    ]


def test_the_outline_of_an_execution_tells_how_each_step_fared() -> None:
    fates = [line.split("  ")[-1].strip() for line in render_outline(load("diabetes_v2.json"), runs=RUNS).splitlines()]
    assert [fate.split(";")[0] for fate in fates] == [
        "Succeeded from the cache",
        "Succeeded in 1 min 12 s",
        "Succeeded in 21 s",
        "Succeeded in 0.2 s",
        "did not run",
        "Failed in 0.1 s: RMSE <71> & more",
    ]


def test_the_body_of_a_for_each_step_is_listed_and_its_iterations_counted() -> None:
    runs = [
        run("Score", "Succeeded", 0, 1, iteration=0),
        run("Score", "Failed", 0, 1, iteration=1),
        run("Score", "Succeeded", 0, 1, iteration=2),
    ]
    lines = render_outline(load("fan_out.json"), runs=runs).splitlines()
    assert next(line.split() for line in lines if "each: Score" in line) == (
        ["each:", "Score", "Lambda", "2", "Succeeded,", "1", "Failed"]
    )


# Mermaid


def test_mermaid_has_nodes_edges_and_branch_labels() -> None:
    lines = [line.strip() for line in render_mermaid(load("diabetes_v2.json")).splitlines()]
    assert lines == [
        "flowchart TD",
        's0["<b>Preprocess</b><br/>Processing"]',
        's1["<b>Train</b><br/>Training"]',
        's2["<b>Evaluate</b><br/>Processing"]',
        's3{{"<b>CheckRmse</b><br/>Condition<br/>regression.rmse.value ≤ RmseThreshold"}}',
        's4["<b>Register-RegisterModel</b><br/>RegisterModel"]',
        's5(["<b>RmseTooHigh</b><br/>Fail"])',
        "s0 --> s1",
        "s1 --> s2",
        "s2 --> s3",
        "s3 -- true --> s4",
        "s3 -- false --> s5",
    ]


def test_mermaid_colours_what_ran() -> None:
    text = render_mermaid(load("diabetes_v2.json"), runs=RUNS)
    assert "class s0,s1,s2,s3 Succeeded" in text
    assert "class s5 Failed" in text
    assert "Succeeded · 1 min 12 s" in text


def test_mermaid_colours_each_status_and_no_iteration() -> None:
    statuses = ("Starting", "Stopping", "Stopped", "Executing", "SomethingNew")
    names = ("Preprocess", "Train", "Evaluate", "CheckRmse", "RmseTooHigh")
    runs = [run(name, status, 0, None) for name, status in zip(names, statuses, strict=True)]
    runs.append(run("Register-RegisterModel", "Failed", 0, 1, iteration=0))
    lines = [line.strip() for line in render_mermaid(load("diabetes_v2.json"), runs=runs, now=START).splitlines()]
    assert [line for line in lines if line.startswith("class")] == [
        "classDef Stopped fill:#9a6700,stroke:#7d4e00,color:#ffffff",
        "class s1,s2 Stopped",
        "classDef Executing fill:#0969da,stroke:#0550ae,color:#ffffff",
        "class s0,s3 Executing",
    ]


def test_names_cannot_break_out_of_mermaid_or_svg() -> None:
    name = 'a"]-->b <script>&amp; ]'
    definition = parse_definition({"Steps": [{"Name": name, "Type": "<T>", "Arguments": {}}]})
    (node,) = render_mermaid(definition).splitlines()[1:]
    assert node.strip() == 's0["<b>a#quot;]--#gt;b #lt;script#gt;#amp;amp; ]</b><br/>#lt;T#gt;"]'
    svg = render_graph_svg(definition, title=f"{name}\x00\x1b")
    assert "<script>" not in svg
    assert name in texts(svg)


# SVG


def test_the_graph_shows_names_types_conditions_and_branches() -> None:
    shown = texts(render_graph_svg(load("diabetes_v2.json"), title="diabetes-v2"))
    assert shown[0] == "diabetes-v2"
    for text in ("Preprocess", "Training", "regression.rmse.value ≤ RmseThreshold", "true", "false", "RmseTooHigh"):
        assert text in shown


def test_the_graph_of_an_execution_shows_statuses_and_pales_what_did_not_run() -> None:
    svg = render_graph_svg(load("diabetes_v2.json"), runs=RUNS)
    shown = texts(svg)
    assert "Succeeded · from the cache" in shown
    assert "Succeeded · 1 min 12 s" in shown
    assert "Failed · 0.1 s" in shown
    assert svg.count('<g opacity="0.45">') == 1


@pytest.mark.parametrize("draw", ["graph", "gantt"])
def test_a_picture_follows_the_readers_light_or_dark(draw: str) -> None:
    definition = load("fan_out.json")
    svg = render_graph_svg(definition) if draw == "graph" else render_gantt_svg(RUNS, now=START)
    assert "prefers-color-scheme: dark" in svg
    assert "<script" not in svg
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_the_pipelines_of_the_corpus_are_drawn_well_formed() -> None:
    for path in sorted(DATA.glob("*.json")):
        definition = parse_definition(path.read_text())
        shown = texts(render_graph_svg(definition))
        assert all(step.name in shown for step in definition.iter_steps())


def test_the_picture_in_the_docs_is_that_of_the_demo(repository: Path) -> None:
    drawn = render_graph_svg(load("diabetes_v2.json"), title="diabetes-v2")
    picture = repository / "docs" / "images" / "diabetes-pipeline.svg"
    assert picture.read_text() == drawn, "draw it again: sm-pipelines graph ... -o docs/images/diabetes-pipeline.svg"


# Gantt


def test_the_gantt_chart_has_a_bar_for_each_step_that_started() -> None:
    late = StepRun("Never", "Starting")
    svg = render_gantt_svg([*RUNS, run("Slow", "Executing", 96, None), late], now=START + timedelta(seconds=120))
    shown = texts(svg)
    assert [text for text in shown if text in ("Train", "Slow", "Never")] == ["Train", "Slow"]
    assert "Executing, 24 s" in shown
    assert shown[:5] == ["0 s", "30 s", "1 min", "1 min 30 s", "2 min"]
    root = ElementTree.fromstring(svg)  # noqa: S314
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("rx") == "4"]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert widths[1] == pytest.approx(560 * 72 / 120, abs=0.1)
    assert min(widths) >= 3, "an instant is still seen"


def test_an_execution_that_has_not_begun_is_a_chart_that_says_so() -> None:
    assert "No step has started." in texts(render_gantt_svg([], now=START))


# What an execution says


def test_steps_are_read_from_the_answer_of_the_service() -> None:
    runs = parse_step_runs(
        [
            {"StepName": "B", "StepStatus": "Failed", "StartTime": START + timedelta(1), "FailureReason": "no"},
            {
                "StepName": "A",
                "StepStatus": "Succeeded",
                "StartTime": START,
                "EndTime": START,
                "CacheHitResult": {"SourcePipelineExecutionArn": "arn:..."},
                "IterationContext": {"ParentStepName": "E", "Index": 3},
            },
            {"StepName": "C", "StepStatus": "Starting"},
        ]
    )
    assert [(r.label, r.status, r.is_cached, r.failure_reason) for r in runs] == [
        ("A [3]", "Succeeded", True, None),
        ("B", "Failed", False, "no"),
        ("C", "Starting", False, None),
    ]
    assert runs[2].seconds(START) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7790, "2 h 10 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_long_names_keep_their_beginning_and_end() -> None:
    assert shorten("abcdefghijklmnopqrstuvwxyz", 10) == "abcdef…xyz"
    assert shorten("short", 10) == "short"
