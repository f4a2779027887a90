"""What SageMaker's serverless fine-tuning and evaluation jobs run with in a rehearsal: records where there are none."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.customization_records import find_technique, sample_record
from airflow_sm_pipelines.rehearsal.job_plan import JobPlan
from airflow_sm_pipelines.rehearsal.sample_values import SAMPLE_BUCKET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.engine.jobs import JobSpec
    from airflow_sm_pipelines.rehearsal.job_plan import PlanContext

DEFAULT_SEED = "0"
"""The seed of a rehearsal where the endpoint's environment gives none."""
_RECORDS = 16


def plan_customization(spec: JobSpec, context: PlanContext) -> JobPlan:
    """What a serverless training job runs with. Records that are there are used, and checked, as they are."""
    request: dict[str, Any] = deepcopy(dict(spec.request))
    config = request["ServerlessJobConfig"]
    technique = find_technique(config)
    plan = JobPlan(request, notes=[f"{technique} of {config['BaseModelArn'].rpartition('/Model/')[2] or 'a model'}"])
    for channel in request.get("InputDataConfig") or ():
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            arn = (channel["DataSource"].get("DatasetSource") or {}).get("DatasetArn")
            if arn in spec.datasets:
                continue
            source = {"S3Uri": f"s3://{SAMPLE_BUCKET}/dataset/{technique}.jsonl", "S3DataType": "S3Prefix"}
            channel["DataSource"] = {"S3DataSource": source}
            plan.notes.append(f"dataset {arn}")
        _ensure_records(plan, context, source["S3Uri"], technique)
    context.store.ensure_bucket(request["OutputDataConfig"]["S3OutputPath"])
    return plan


def _ensure_records(plan: JobPlan, context: PlanContext, uri: str, technique: str) -> None:
    if context.outputs.covers(uri) or context.store.find_first(uri) is not None:
        return
    target = uri if uri.endswith((".jsonl", ".json")) else f"{uri.rstrip('/')}/records.jsonl"
    lines = [json.dumps(sample_record(technique, number)) for number in range(_RECORDS)]
    context.store.put(target, "\n".join(lines).encode())
    plan.notes.append(f"data {uri}")


def with_chosen_scores(details: Mapping[str, Any], chosen: object) -> dict[str, Any]:
    """The details of a job's end, with the metrics that a condition reads as the rehearsal has chosen them.

    :param chosen: ``FinalMetricDataList`` as the pipeline's stand-ins give it: entries by the metric's name.
    """
    if not isinstance(chosen, dict):
        return dict(details)
    known = {entry["MetricName"]: entry for entry in details.get("FinalMetricDataList") or ()}
    for name, entry in chosen.items():
        if isinstance(entry, dict) and "Value" in entry:
            moment = {"Timestamp": details.get("TrainingEndTime")}
            known[name] = {**moment, **known.get(name, {}), "MetricName": name, "Value": entry["Value"]}
    return {**details, "FinalMetricDataList": list(known.values())}
