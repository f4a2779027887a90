"""The model of the SageMaker API, and the one walk that holds a value against it.

Everything that asks "does this value fit the API?" asks here: the endpoint for requests and answers, the policy for the
arguments of steps, the migration for the type of a parameter. The rooms word the answer themselves. Nothing here knows
HTTP, definitions or Airflow; botocore is imported when the model is loaded.
"""

from __future__ import annotations

from airflow_sm_pipelines.service_model.api_model import (
    Operation,
    ServiceModel,
    Shape,
    find_member_name,
    load_service_model,
)
from airflow_sm_pipelines.service_model.step_calls import (
    LINEAGE_CALLS,
    STEP_CALLS,
    StepCall,
    find_parameter_type,
    find_property_type,
    find_shape,
    judge_arguments,
)
from airflow_sm_pipelines.service_model.walk import (
    EACH,
    UNKNOWN_TYPE,
    ExpressionType,
    Fault,
    FaultKind,
    Judgement,
    ValuePath,
    format_timestamp,
    judge_value,
    parse_timestamp,
)

__all__ = [
    "EACH",
    "LINEAGE_CALLS",
    "STEP_CALLS",
    "UNKNOWN_TYPE",
    "ExpressionType",
    "Fault",
    "FaultKind",
    "Judgement",
    "Operation",
    "ServiceModel",
    "Shape",
    "StepCall",
    "ValuePath",
    "find_member_name",
    "find_parameter_type",
    "find_property_type",
    "find_shape",
    "format_timestamp",
    "judge_arguments",
    "judge_value",
    "load_service_model",
    "parse_timestamp",
]
