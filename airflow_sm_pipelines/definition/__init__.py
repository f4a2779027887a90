"""SageMaker pipeline definitions: the JSON document as a typed model, its expressions, its graph and its parameters.

The compiler and the migrations make definitions; the engine, the policies, the plans and the drawings read them. This
package knows the standard library only, reads no clock and no environment, and calls nothing. What needs the shapes of
the AWS API is in ``policy``.

A name's module is imported when the name is first used: most tasks and commands need few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

_NAMES = {
    "canonical": (
        "canonical_text",
        "definition_hash",
    ),
    "conditions": (
        "Comparison",
        "Condition",
        "InCondition",
        "NotCondition",
        "OrCondition",
    ),
    "diff": (
        "Change",
        "diff_definitions",
        "render_changes",
    ),
    "expressions": (
        "ExecutionReference",
        "ExperimentReference",
        "Expression",
        "ForEachReference",
        "IterationReference",
        "Join",
        "JsonGet",
        "ParameterReference",
        "PropertyFileReference",
        "Reference",
        "StepReference",
        "iter_expressions",
        "parse_expression",
        "parse_property_path",
        "parse_reference",
    ),
    "graph": (
        "StepGraph",
        "StepNode",
        "build_graph",
    ),
    "json_value": (
        "MISSING",
        "JsonObject",
        "JsonPath",
        "JsonValue",
        "Missing",
    ),
    "parameters": (
        "Parameter",
        "encode_parameters",
        "resolve_parameters",
    ),
    "pipeline": ("PipelineDefinition",),
    "problems": (
        "Problem",
        "render_problems",
    ),
    "reader": (
        "inspect_definition",
        "parse_definition",
    ),
    "status": (
        "ExecutionStatus",
        "StepStatus",
    ),
    "steps": (
        "CacheConfig",
        "ConditionStep",
        "Dependency",
        "ForEachStep",
        "OutputParameter",
        "PropertyFile",
        "RetryPolicy",
        "Step",
        "StepType",
        "parse_duration",
    ),
}
"""The public names, by the module that defines them."""

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.canonical import canonical_text as canonical_text
    from airflow_sm_pipelines.definition.canonical import definition_hash as definition_hash
    from airflow_sm_pipelines.definition.conditions import Comparison as Comparison
    from airflow_sm_pipelines.definition.conditions import Condition as Condition
    from airflow_sm_pipelines.definition.conditions import InCondition as InCondition
    from airflow_sm_pipelines.definition.conditions import NotCondition as NotCondition
    from airflow_sm_pipelines.definition.conditions import OrCondition as OrCondition
    from airflow_sm_pipelines.definition.diff import Change as Change
    from airflow_sm_pipelines.definition.diff import diff_definitions as diff_definitions
    from airflow_sm_pipelines.definition.diff import render_changes as render_changes
    from airflow_sm_pipelines.definition.expressions import ExecutionReference as ExecutionReference
    from airflow_sm_pipelines.definition.expressions import ExperimentReference as ExperimentReference
    from airflow_sm_pipelines.definition.expressions import Expression as Expression
    from airflow_sm_pipelines.definition.expressions import ForEachReference as ForEachReference
    from airflow_sm_pipelines.definition.expressions import IterationReference as IterationReference
    from airflow_sm_pipelines.definition.expressions import Join as Join
    from airflow_sm_pipelines.definition.expressions import JsonGet as JsonGet
    from airflow_sm_pipelines.definition.expressions import ParameterReference as ParameterReference
    from airflow_sm_pipelines.definition.expressions import PropertyFileReference as PropertyFileReference
    from airflow_sm_pipelines.definition.expressions import Reference as Reference
    from airflow_sm_pipelines.definition.expressions import StepReference as StepReference
    from airflow_sm_pipelines.definition.expressions import iter_expressions as iter_expressions
    from airflow_sm_pipelines.definition.expressions import parse_expression as parse_expression
    from airflow_sm_pipelines.definition.expressions import parse_property_path as parse_property_path
    from airflow_sm_pipelines.definition.expressions import parse_reference as parse_reference
    from airflow_sm_pipelines.definition.graph import StepGraph as StepGraph
    from airflow_sm_pipelines.definition.graph import StepNode as StepNode
    from airflow_sm_pipelines.definition.graph import build_graph as build_graph
    from airflow_sm_pipelines.definition.json_value import MISSING as MISSING
    from airflow_sm_pipelines.definition.json_value import JsonObject as JsonObject
    from airflow_sm_pipelines.definition.json_value import JsonPath as JsonPath
    from airflow_sm_pipelines.definition.json_value import JsonValue as JsonValue
    from airflow_sm_pipelines.definition.json_value import Missing as Missing
    from airflow_sm_pipelines.definition.parameters import Parameter as Parameter
    from airflow_sm_pipelines.definition.parameters import encode_parameters as encode_parameters
    from airflow_sm_pipelines.definition.parameters import resolve_parameters as resolve_parameters
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition as PipelineDefinition
    from airflow_sm_pipelines.definition.problems import Problem as Problem
    from airflow_sm_pipelines.definition.problems import render_problems as render_problems
    from airflow_sm_pipelines.definition.reader import inspect_definition as inspect_definition
    from airflow_sm_pipelines.definition.reader import parse_definition as parse_definition
    from airflow_sm_pipelines.definition.status import ExecutionStatus as ExecutionStatus
    from airflow_sm_pipelines.definition.status import StepStatus as StepStatus
    from airflow_sm_pipelines.definition.steps import CacheConfig as CacheConfig
    from airflow_sm_pipelines.definition.steps import ConditionStep as ConditionStep
    from airflow_sm_pipelines.definition.steps import Dependency as Dependency
    from airflow_sm_pipelines.definition.steps import ForEachStep as ForEachStep
    from airflow_sm_pipelines.definition.steps import OutputParameter as OutputParameter
    from airflow_sm_pipelines.definition.steps import PropertyFile as PropertyFile
    from airflow_sm_pipelines.definition.steps import RetryPolicy as RetryPolicy
    from airflow_sm_pipelines.definition.steps import Step as Step
    from airflow_sm_pipelines.definition.steps import StepType as StepType
    from airflow_sm_pipelines.definition.steps import parse_duration as parse_duration
else:
    _MODULES = {name: module for module, names in _NAMES.items() for name in names}
    __all__ = sorted(_MODULES)  # noqa: PLE0605 - a list, made from the table

    def __getattr__(name: str) -> object:
        """Load a public name from the module that defines it (PEP 562)."""
        from importlib import import_module

        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
