"""The command ``sm-pipelines``: a thin face of the package for terminals, Makefiles and CI.

Reading arguments and writing answers is here; what the commands do is in the layers below, imported when one runs.
"""

from __future__ import annotations

from airflow_sm_pipelines.cli.command import main

__all__ = ["main"]
