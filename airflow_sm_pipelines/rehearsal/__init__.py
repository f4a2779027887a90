"""Rehearsals: a pipeline run on this machine with everything that is missing stood in for.

Belongs here: what is missing, what takes its place, and running the pipeline so. Does not belong here: how jobs run
(:mod:`airflow_sm_pipelines.engine`) and the command line. What is there (a script, an object, a function) is used as it
is.
"""

from __future__ import annotations

from airflow_sm_pipelines.rehearsal.rehearsal import Rehearsal, RehearsalReport, StepReport

__all__ = ["Rehearsal", "RehearsalReport", "StepReport"]
