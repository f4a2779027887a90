"""The command ``sm-pipelines``, for terminals, Makefiles and CI.

Each command is a module of :mod:`airflow_sm_pipelines.cli.commands`. The modules beside that folder hold what several
commands share. The work itself is done in the rooms below, which are imported when a command runs.
"""

from __future__ import annotations

from airflow_sm_pipelines.cli.entry_point import main

__all__ = ["main"]
