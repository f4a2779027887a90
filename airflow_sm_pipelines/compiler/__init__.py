"""Turns a SageMaker SDK script into a pipeline definition, in an interpreter of the script's own.

The SDK never enters this process: it needs versions of common packages that Airflow cannot share.
"""

from __future__ import annotations

from airflow_sm_pipelines.compiler.compile import CompiledPipeline, compile_pipeline
from airflow_sm_pipelines.compiler.script import ScriptReference, parse_reference

__all__ = ["CompiledPipeline", "ScriptReference", "compile_pipeline", "parse_reference"]
