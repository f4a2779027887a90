"""Compiles a SageMaker SDK script to a pipeline definition, in an interpreter of the script's own.

The SDK is never imported in this process: it needs other versions of packages that Airflow needs, too.
"""

from __future__ import annotations

from airflow_sm_pipelines.compiler.compile import CompiledPipeline, Upload, compile_pipeline
from airflow_sm_pipelines.compiler.script import ScriptReference, parse_reference

__all__ = ["CompiledPipeline", "ScriptReference", "Upload", "compile_pipeline", "parse_reference"]
