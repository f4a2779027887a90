"""SageMaker pipeline definitions: the JSON document as a typed model, its expressions, its graph and its parameters.

The compiler and the migrations make definitions; the engine, the policies, the plans and the drawings read them. This
package knows the standard library only, reads no clock and no environment, and calls nothing. What needs the shapes of
the AWS API is in ``policy``.
"""

from __future__ import annotations

from airflow_sm_pipelines.definition.canonical import canonical_text, definition_hash
from airflow_sm_pipelines.definition.conditions import (
    Comparison,
    Condition,
    InCondition,
    NotCondition,
    OrCondition,
)
from airflow_sm_pipelines.definition.diff import Change, diff_definitions, render_changes
from airflow_sm_pipelines.definition.expressions import (
    ExecutionReference,
    ExperimentReference,
    Expression,
    ForEachReference,
    IterationReference,
    Join,
    JsonGet,
    ParameterReference,
    PropertyFileReference,
    Reference,
    StepReference,
    iter_expressions,
    parse_expression,
    parse_property_path,
    parse_reference,
)
from airflow_sm_pipelines.definition.graph import StepGraph, StepNode, build_graph
from airflow_sm_pipelines.definition.json_value import MISSING, JsonObject, JsonPath, JsonValue, Missing
from airflow_sm_pipelines.definition.parameters import Parameter, encode_parameters, resolve_parameters
from airflow_sm_pipelines.definition.pipeline import PipelineDefinition
from airflow_sm_pipelines.definition.problems import Problem, render_problems
from airflow_sm_pipelines.definition.reader import inspect_definition, parse_definition
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.definition.steps import (
    CacheConfig,
    ConditionStep,
    Dependency,
    ForEachStep,
    OutputParameter,
    PropertyFile,
    RetryPolicy,
    Step,
    StepType,
    parse_duration,
)

__all__ = [
    "MISSING",
    "CacheConfig",
    "Change",
    "Comparison",
    "Condition",
    "ConditionStep",
    "Dependency",
    "ExecutionReference",
    "ExecutionStatus",
    "ExperimentReference",
    "Expression",
    "ForEachReference",
    "ForEachStep",
    "InCondition",
    "IterationReference",
    "Join",
    "JsonGet",
    "JsonObject",
    "JsonPath",
    "JsonValue",
    "Missing",
    "NotCondition",
    "OrCondition",
    "OutputParameter",
    "Parameter",
    "ParameterReference",
    "PipelineDefinition",
    "Problem",
    "PropertyFile",
    "PropertyFileReference",
    "Reference",
    "RetryPolicy",
    "Step",
    "StepGraph",
    "StepNode",
    "StepReference",
    "StepStatus",
    "StepType",
    "build_graph",
    "canonical_text",
    "definition_hash",
    "diff_definitions",
    "encode_parameters",
    "inspect_definition",
    "iter_expressions",
    "parse_definition",
    "parse_duration",
    "parse_expression",
    "parse_property_path",
    "parse_reference",
    "render_changes",
    "render_problems",
    "resolve_parameters",
]
