"""Work that was run without pipelines as pipeline definitions and an Airflow DAG, with a report on each node.

A reader makes a workflow of its source (:mod:`jobs` is one); :func:`make_package` makes the files.

Nothing here calls AWS or imports Airflow; the same source gives the same files.
"""

from __future__ import annotations

from airflow_sm_pipelines.migrate.files.package import MigrationPackage, make_package
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record, render_totals
from airflow_sm_pipelines.migrate.workflow import (
    Branch,
    CallNode,
    ChoiceNode,
    LoopNode,
    MissingNode,
    OperatorNode,
    StepNode,
    Wait,
    Workflow,
)

__all__ = [
    "Branch",
    "CallNode",
    "ChoiceNode",
    "LoopNode",
    "Migration",
    "MigrationPackage",
    "MissingNode",
    "OperatorNode",
    "Outcome",
    "Reason",
    "Record",
    "StepNode",
    "Wait",
    "Workflow",
    "make_package",
    "render_totals",
]
