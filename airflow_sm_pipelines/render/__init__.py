"""Draws pipelines and executions: a graph as SVG, Mermaid or lines of text; steps over time, costs and values as SVG.

The console of the local endpoint and the page in Airflow's UI show the same pictures.

Pure: it takes definitions and data about an execution, and returns text. It needs the standard library only.
"""

from __future__ import annotations

from airflow_sm_pipelines.render.cost_bars import render_cost_svg
from airflow_sm_pipelines.render.gantt import render_gantt_svg
from airflow_sm_pipelines.render.line_chart import ChartPoint, render_line_svg
from airflow_sm_pipelines.render.mermaid import render_mermaid
from airflow_sm_pipelines.render.outline import render_outline
from airflow_sm_pipelines.render.step_runs import StepRun, parse_step_runs
from airflow_sm_pipelines.render.svg_elements import CLASS_STYLE, STYLE, without_style
from airflow_sm_pipelines.render.svg_graph import render_graph_svg, render_shape_svg

__all__ = [
    "CLASS_STYLE",
    "STYLE",
    "ChartPoint",
    "StepRun",
    "parse_step_runs",
    "render_cost_svg",
    "render_gantt_svg",
    "render_graph_svg",
    "render_line_svg",
    "render_mermaid",
    "render_outline",
    "render_shape_svg",
    "without_style",
]
