"""Migrates work from other tools to pipeline definitions and an Airflow DAG, with a report on each node.

Each source has a folder with its reader (:mod:`jobs`), which makes a neutral :class:`Workflow`. :mod:`dag_plan` plans a
DAG from it, and :mod:`files` writes that; :func:`make_package` does both. Nothing here calls AWS or imports Airflow.
The same source always gives the same files.
"""

from __future__ import annotations

from airflow_sm_pipelines.migrate.files.package import MigrationPackage, make_package
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record, render_totals
from airflow_sm_pipelines.migrate.workflow import (
    Branch,
    CallNode,
    CallRepeat,
    CallWait,
    ChoiceNode,
    InputField,
    LoopNode,
    MissingNode,
    OperatorNode,
    PipelineStepNode,
    TryNode,
    ValueNode,
    WaitNode,
    Workflow,
)

__all__ = [
    "Branch",
    "CallNode",
    "CallRepeat",
    "CallWait",
    "ChoiceNode",
    "InputField",
    "LoopNode",
    "Migration",
    "MigrationPackage",
    "MissingNode",
    "OperatorNode",
    "Outcome",
    "PipelineStepNode",
    "Reason",
    "Record",
    "TryNode",
    "ValueNode",
    "WaitNode",
    "Workflow",
    "make_package",
    "render_totals",
]
