"""Reads pipelines of Kubeflow: KFP's intermediate representation, and the Workflows of Argo that KFP 1 compiled.

A container becomes a Processing step whose launcher does what KFP's does. The SageMaker components become native
steps. :func:`read_pipeline` gives the :class:`~airflow_sm_pipelines.migrate.Migration` of a pipeline.
"""

from __future__ import annotations

from airflow_sm_pipelines.migrate.kubeflow.argo import convert_workflow
from airflow_sm_pipelines.migrate.kubeflow.migration import read_pipeline
from airflow_sm_pipelines.migrate.kubeflow.pipeline_files import HeldPipeline, find_pipelines, mentions_pipelines

__all__ = ["HeldPipeline", "convert_workflow", "find_pipelines", "mentions_pipelines", "read_pipeline"]
