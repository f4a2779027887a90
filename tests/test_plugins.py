"""The plugin: its tabs, behind whichever path Airflow is served, and an app that costs nothing until it is asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_page import app as page_app
from airflow_sm_pipelines.airflow_page.app import STATIC
from airflow_sm_pipelines.plugins import PAGE_NAME, PAGE_PREFIX, PageApp, SageMakerPipelinesPlugin, make_tabs


@pytest.mark.parametrize(
    ("base_url", "path"),
    [("", ""), ("http://localhost:8080", ""), ("https://x/", ""), ("https://x/air/flow/", "/air/flow")],
)
def test_the_tabs_are_loaded_from_behind_the_path_of_airflow(base_url: str, path: str) -> None:
    tabs = make_tabs(base_url)
    assert {tab["bundle_url"] for tab in tabs} == {f"{path}{PAGE_PREFIX}/static/page.js"}
    assert {tab["destination"] for tab in tabs} == {"dag", "dag_run", "task_instance"}
    assert len({tab["url_route"] for tab in tabs}) == len(tabs)  # Airflow leaves out a second one


def test_airflow_takes_the_tabs_and_the_app() -> None:
    from airflow import plugins_manager

    if hasattr(plugins_manager, "_get_ui_plugins"):  # Airflow 3.2 and later
        assert [one for one in plugins_manager._get_ui_plugins()[1] if one["name"] == PAGE_NAME]
    (app,) = SageMakerPipelinesPlugin.fastapi_apps
    assert callable(app["app"])


def test_the_app_is_made_once_and_given_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    asked: list[tuple[Any, ...]] = []

    def make() -> Any:
        made.append(1)

        async def answer(*request: Any) -> None:
            asked.append(request)

        return answer

    monkeypatch.setattr(page_app, "make_app", make)
    app = PageApp()
    assert made == []
    for number in range(2):
        asyncio.run(app({"number": number}, "receive", "send"))
    assert made == [1]
    assert asked == [({"number": number}, "receive", "send") for number in range(2)]


def test_the_script_gives_the_component_under_the_tabs_name() -> None:
    assert f"globalThis.{PAGE_NAME} = " in (STATIC / "page.js").read_text()


@pytest.mark.processes
def test_loading_the_plugin_imports_no_web_framework() -> None:
    code = "import sys, airflow_sm_pipelines.plugins; print('airflow_sm_pipelines.airflow_page.app' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "False"
