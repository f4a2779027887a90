"""Findings as text."""

from __future__ import annotations

from airflow_sm_pipelines.policy import Finding, Severity, render_findings


def test_findings_are_rendered_errors_first() -> None:
    found = [Finding("r", Severity.WARNING, "A", "odd."), Finding("r", Severity.ERROR, "B", "wrong.", "Mend it.")]
    assert render_findings(found) == "error: B: wrong. Mend it. [r]\nwarning: A: odd. [r]"
    assert render_findings([]) == "No findings."
