"""The canonical text of a definition: one text for all its spellings, so that unchanged pipelines can be recognised.

Two definitions have the same canonical text if SageMaker would run and show them in the same way. These spellings count
as the same:

- the order of keys in objects, and white space;
- ``Metadata``, ``Parameters``, ``DependsOn``, ``PropertyFiles``, ``RetryPolicies``, ``DisplayName``, ``Description``,
  ``CacheConfig``, ``EnumValues``, ``IfSteps``, ``ElseSteps`` and ``OutputParameters`` absent, null or empty (an empty
  ``Arguments`` and none, too);
- a parameter without ``Type`` and one of the type ``String``; the defaults 1 and 1.0 of a Float parameter;
- any order of ``DependsOn``, with or without repetitions; a plain name and one with the trigger ``Completed``;
- one ``ExceptionType`` as a string and as an array; the two spellings of ``In``;
- a ``Std:Join`` without ``On`` and one with an empty ``On``.

These stay different, even where the difference may not matter: the order of steps, parameters and every other array;
``null`` and absence inside step arguments; ``PipelineExperimentConfig`` absent (the service's default) and null (no
experiment); 1 and 1.0 outside of parameters, because a Join writes them differently.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.steps import Dependency

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition


def canonical_text(definition: PipelineDefinition) -> str:
    """The definition in its canonical spelling: compact JSON with sorted keys, ASCII only."""
    return json.dumps(canonical_document(definition), sort_keys=True, separators=(",", ":"), allow_nan=False)


def definition_hash(definition: PipelineDefinition) -> str:
    """The SHA-256 of the canonical text, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_text(definition).encode("ascii")).hexdigest()


def canonical_document(definition: PipelineDefinition) -> JsonObject:
    """The canonical spelling as JSON values, keys not sorted."""
    written = definition.to_json()
    document = _without_empty(written, ("Metadata", "Parameters"))
    document["Version"] = definition.version
    for key in ("PipelineExperimentConfig", "MlflowConfig"):
        if key in document:
            document[key] = _normal(document[key])
    if "Parameters" in document:
        document["Parameters"] = [_parameter(item) for item in _objects(document["Parameters"])]
    document["Steps"] = [canonical_step(item) for item in _objects(document["Steps"])]
    return document


def canonical_step(written: JsonObject) -> JsonObject:
    """The canonical spelling of one step.

    :param written: the JSON of a valid step.
    """
    step = _without_empty(written, _OPTIONAL_IN_STEP)
    arguments = step.get("Arguments")
    if isinstance(arguments, dict):
        step["Arguments"] = _arguments(str(step["Type"]), arguments)
    if "DependsOn" in step:
        step["DependsOn"] = _dependencies(step["DependsOn"])
    if "RetryPolicies" in step:
        step["RetryPolicies"] = [_retry_policy(item) for item in _objects(step["RetryPolicies"])]
    return {key: value if key in _READ else _normal(value) for key, value in step.items()}


_OPTIONAL_IN_STEP = (
    "Arguments",
    "CacheConfig",
    "DependsOn",
    "Description",
    "DisplayName",
    "OutputParameters",
    "PropertyFiles",
    "RetryPolicies",
)
_READ = frozenset(("Arguments", "DependsOn", "RetryPolicies"))


def _arguments(step_type: str, arguments: JsonObject) -> JsonObject:
    if step_type == "Condition":
        branches = _without_empty(arguments, ("IfSteps", "ElseSteps"))
        return {
            key: [canonical_step(item) for item in _objects(value)]
            if key in ("IfSteps", "ElseSteps")
            else [_condition(item) for item in _objects(value)]
            if key == "Conditions"
            else _normal(value)
            for key, value in branches.items()
        }
    if step_type == "ForEach":
        return {
            key: [canonical_step(item) for item in _objects(value)] if key == "ForEachBody" else _normal(value)
            for key, value in _without_empty(arguments, ("Selector",)).items()
        }
    return {key: _normal(value) for key, value in arguments.items()}


def _condition(condition: JsonObject) -> JsonObject:
    kind = condition["Type"]
    renamed: JsonObject = dict(condition)
    if kind in ("In", "NotIn") and "QueryValue" not in condition:
        names = {"Value": "QueryValue", "In": "Values"}
        renamed = {names.get(key, key): value for key, value in condition.items()}
    return {
        key: [_condition(item) for item in _objects(value)]
        if key == "Conditions"
        else _condition(value)
        if key == "Condition" and isinstance(value, dict)
        else _normal(value)
        for key, value in renamed.items()
    }


def _parameter(written: JsonObject) -> JsonObject:
    parameter: JsonObject = {
        "Type": "String",
        **_without_empty(written, ("DefaultValue", "EnumValues", "Type"), only_null=True),
    }
    if parameter.get("EnumValues") == []:
        del parameter["EnumValues"]
    for key in ("DefaultValue", "EnumValues"):
        value = parameter.get(key)
        if isinstance(value, list):
            parameter[key] = [_typed(str(parameter["Type"]), item) for item in value]
        elif value is not None:
            parameter[key] = _typed(str(parameter["Type"]), value)
    return parameter


def _typed(type_name: str, value: JsonValue) -> JsonValue:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return float(value) if type_name == "Float" else int(value)


def _dependencies(written: JsonValue) -> list[JsonValue]:
    """Each dependency once, sorted; one with unknown keys stays as it is."""
    texts: dict[str, JsonValue] = {}
    for item in written if isinstance(written, list) else []:
        dependency = item
        if isinstance(item, dict) and not item.keys() - {"Step", "Trigger"}:
            dependency = Dependency(str(item["Step"]), str(item.get("Trigger") or "Completed")).to_json()
        texts[json.dumps(dependency, sort_keys=True)] = dependency
    return [texts[text] for text in sorted(texts)]


def _retry_policy(policy: JsonObject) -> JsonObject:
    types = policy.get("ExceptionType")
    kept = {key: value for key, value in policy.items() if value is not None}
    return {**kept, "ExceptionType": [types] if isinstance(types, str) else types}


def _normal(value: JsonValue) -> JsonValue:
    """The value with its expressions in one spelling."""
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    join = value.get("Std:Join") if len(value) == 1 else None
    if isinstance(join, dict):
        return {"Std:Join": {**{key: _normal(item) for key, item in join.items()}, "On": join.get("On") or ""}}
    return {key: _normal(item) for key, item in value.items()}


def _objects(value: JsonValue) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _without_empty(written: JsonObject, keys: tuple[str, ...], *, only_null: bool = False) -> JsonObject:
    empty: tuple[JsonValue, ...] = (None,) if only_null else (None, "", [], {})
    return {
        key: value
        for key, value in written.items()
        if key not in keys or not any(value is e or value == e for e in empty)
    }
