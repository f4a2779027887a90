"""AutoML jobs of the second API as those of the first, whose request an AutoML step makes."""

from __future__ import annotations

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue, copy_object

_SAME = ("OutputDataConfig", "RoleArn", "AutoMLJobObjective", "ModelDeployConfig")


def find_first_request(request: JsonObject) -> tuple[JsonObject, tuple[str, ...]] | None:
    """``CreateAutoMLJob``'s request for one of ``CreateAutoMLJobV2``, with what had no place in it.

    :return: None where the first API cannot do it: it knows tables only.
    """
    problems = request.get("AutoMLProblemTypeConfig")
    table = problems.get("TabularJobConfig") if isinstance(problems, dict) else None
    channels = request.get("AutoMLJobInputDataConfig")
    target = table.get("TargetAttributeName") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(channels, list) or not isinstance(target, str):
        return None
    left = {key for key in request if key not in (*_SAME, "AutoMLJobInputDataConfig", "AutoMLProblemTypeConfig")}
    config: JsonObject = {}
    first: JsonObject = {
        "InputDataConfig": [
            {**copy_object(channel), "TargetAttributeName": target, **_weights(table)}
            for channel in channels
            if isinstance(channel, dict)
        ],
        **{key: request[key] for key in _SAME if key in request},
        "AutoMLJobConfig": config,
    }
    for key in ("CompletionCriteria", "Mode"):
        if key in table:
            config[key] = table[key]
    if "DataSplitConfig" in request:
        config["DataSplitConfig"] = request["DataSplitConfig"]
        left.discard("DataSplitConfig")
    if "SecurityConfig" in request:
        config["SecurityConfig"] = request["SecurityConfig"]
        left.discard("SecurityConfig")
    candidates: JsonObject = {}
    if "FeatureSpecificationS3Uri" in table:
        candidates["FeatureSpecificationS3Uri"] = table["FeatureSpecificationS3Uri"]
    generation = table.get("CandidateGenerationConfig")
    if isinstance(generation, dict) and "AlgorithmsConfig" in generation:
        candidates["AlgorithmsConfig"] = generation["AlgorithmsConfig"]
    if candidates:
        config["CandidateGenerationConfig"] = candidates
    if "ProblemType" in table:
        first["ProblemType"] = table["ProblemType"]
    if "GenerateCandidateDefinitionsOnly" in table:
        first["GenerateCandidateDefinitionsOnly"] = table["GenerateCandidateDefinitionsOnly"]
    if not config:
        del first["AutoMLJobConfig"]
    return first, tuple(sorted(left))


def _weights(table: JsonObject) -> dict[str, JsonValue]:
    weight = table.get("SampleWeightAttributeName")
    return {} if weight is None else {"SampleWeightAttributeName": weight}
