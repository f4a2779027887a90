"""Runs ``sm-pipelines`` as ``python -m airflow_sm_pipelines.cli``."""

from __future__ import annotations

import sys

from airflow_sm_pipelines.cli import main

sys.exit(main())
