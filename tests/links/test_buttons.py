"""A button shows the address that its operator has published."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from airflow_sm_pipelines.links.buttons import SageMakerPipelineExecutionLink


def test_the_button_shows_what_the_operator_published() -> None:
    link = SageMakerPipelineExecutionLink()
    operator: Any = SimpleNamespace(link_addresses={link.xcom_key: "https://somewhere"})
    nothing: Any = SimpleNamespace()
    key: Any = None
    assert link.get_link(operator, ti_key=key) == "https://somewhere"
    assert link.get_link(nothing, ti_key=key) == ""
