"""Rehearsals: a pipeline runs on this machine, with a stand-in for everything that is missing.

What exists (a script, an object, a function) is used. Belongs here: finding what is missing, what takes its place, and
running the pipeline with it. Does not belong here: how jobs run (:mod:`airflow_sm_pipelines.engine`), the command line.
"""

from __future__ import annotations

from airflow_sm_pipelines.rehearsal.rehearsal import Rehearsal, RehearsalReport, RehearsedStep

__all__ = ["Rehearsal", "RehearsalReport", "RehearsedStep"]
