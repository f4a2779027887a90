"""Airflow's database, for the page's API."""

from __future__ import annotations

from tests.airflow_fixtures import airflow_template  # noqa: F401
