"""SageMaker's serverless fine-tuning and evaluation jobs, performed by stand-ins for a rehearsal.

Nothing is trained and no model answers. Every record of the data is checked against the form that its technique takes;
scores, losses and answers are made up from the hash of the data and a seed. Each file that is written says so.

Chosen: Describe shows the scores as ``FinalMetricDataList``. The places of files are those in which SDK v3 looks for
them (``sagemaker.train.common_utils.show_results_utils``).
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.job_spec import JobOutcome
from airflow_sm_pipelines.engine.jobs.s3_transfer import list_input, parse_location
from airflow_sm_pipelines.engine.rules.customization_records import find_record_fault, find_technique
from airflow_sm_pipelines.engine.rules.model_hub import MARK

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.definition.s3_uri import S3Location
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobSpec

SEED_VARIABLE = "SM_PIPELINES_MODEL_SEED"
"""Environment variable of the endpoint: any text. With it, serverless jobs are performed by stand-ins."""

_REFUSAL = (
    "ClientError: ServerlessJobConfig does not work locally: fine-tuning and evaluation of SageMaker's models run on "
    f"AWS only. Stand-ins perform such jobs in `sm-pipelines local rehearse`, and where {SEED_VARIABLE} is set when "
    "the endpoint starts: they check each record of the data, and make scores up from the data and that seed."
)
_LINE_SUFFIXES = (".jsonl", ".json")
_MAX_ANSWERS = 1000


@dataclass(slots=True)
class _Data:
    """What was read.

    :ivar digest: of all bytes of the input.
    :ivar prompts: what the first records ask.
    """

    digest: Any
    records: int
    prompts: list[str]


def is_customization(request: Mapping[str, Any]) -> bool:
    """Whether a training job is one of SageMaker's serverless jobs."""
    return bool(request.get("ServerlessJobConfig"))


def run_customization_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Check the data of a job, and write what it would have written, made up.

    :raises JobFailure: there is no seed, the data are not there, or a record has another form.
    """
    if context.model_seed is None:
        raise JobFailure(_REFUSAL)
    started = time.time()
    request: Mapping[str, Any] = spec.request
    config = request["ServerlessJobConfig"]
    technique = find_technique(config)
    log.add("algo-1", f"STAND-IN: {MARK}")
    data = _read_data(spec, context, technique, log, stop)
    if stop.is_set():
        log.flush()
        return JobOutcome("Stopped", None, None, log.tail, {"SecondaryStatus": "Stopped"})
    scores = {
        name: _make_score(name, data, context.model_seed, config, request) for name in _name_scores(technique, request)
    }
    target = parse_location(request["OutputDataConfig"]["S3OutputPath"]).child(spec.name, "output")
    if technique == "Evaluation":
        artifacts = _write_evaluation(spec, context, target, data, scores)
    else:
        artifacts = target.child("model", "")
        _put(context, artifacts.child("stand-in.json"), json.dumps({"stand_in": MARK, "technique": technique}))
    for name, score in scores.items():
        log.add("algo-1", f"STAND-IN: {name}={score}, made up from the data and the seed '{context.model_seed}'")
    log.flush()
    ended = time.time()
    details: JsonObject = {
        "TrainingStartTime": started,
        "TrainingEndTime": ended,
        "TrainingTimeInSeconds": max(1, int(ended - started)),
        "BillableTimeInSeconds": max(1, round(ended - started)),
        "SecondaryStatus": "Completed",
        "FinalMetricDataList": [
            {"MetricName": name, "Value": score, "Timestamp": ended} for name, score in scores.items()
        ],
        "ModelArtifacts": {"S3ModelArtifacts": artifacts.uri},
    }
    package = _plan_package(request, artifacts) if technique != "Evaluation" else None
    return JobOutcome("Completed", None, None, log.tail, {**details, **({"$package": package} if package else {})})


def _read_data(spec: JobSpec, context: JobContext, technique: str, log: JobLog, stop: threading.Event) -> _Data:
    data = _Data(hashlib.sha256(), 0, [])
    for channel in spec.request.get("InputDataConfig") or ():  # type: ignore[union-attr]
        for item in list_input(context.s3, _find_address(spec, channel)):  # type: ignore[arg-type]
            uri = item.location.uri
            body = context.s3.get_object(Bucket=item.location.bucket, Key=item.location.key)["Body"]
            if not uri.endswith(_LINE_SUFFIXES):
                for chunk in iter(partial(body.read, 1 << 20), b""):
                    data.digest.update(chunk)
                log.add("algo-1", f"WARNING: {uri} is not checked: its name ends neither in .jsonl nor in .json.")
                continue
            for number, line in enumerate(body.iter_lines(), start=1):
                if stop.is_set():
                    return data
                data.digest.update(line)
                _check_line(line, technique, f"{uri}, line {number}", data)
            log.add("algo-1", f"{uri}: {data.records} records so far, all in a form for {technique}.")
    return data


def _find_address(spec: JobSpec, channel: Mapping[str, Any]) -> str:
    source = channel["DataSource"]
    if given := source.get("S3DataSource"):
        return str(given["S3Uri"])
    arn = str((source.get("DatasetSource") or {}).get("DatasetArn"))
    if arn not in spec.datasets:
        raise JobFailure(f"ClientError: there is no dataset '{arn}' here. Make it with DataSet.create of SDK v3.")
    return spec.datasets[arn]


def _check_line(line: bytes, technique: str, where: str, data: _Data) -> None:
    if not line.strip():
        return
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except ValueError as error:
        raise JobFailure(f"ClientError: {where}: no JSON: {error}. Each line is one record.") from error
    # A file with the ending .json may hold all records in one line.
    for record in found if isinstance(found, list) else [found]:
        if fault := find_record_fault(technique, record):
            raise JobFailure(f"ClientError: {where}: {fault}.")
        data.records += 1
        if len(data.prompts) < _MAX_ANSWERS:
            data.prompts.append(str(record.get("query") or record.get("prompt") or record.get("messages") or ""))


def _name_scores(technique: str, request: Mapping[str, Any]) -> list[str]:
    options = request.get("HyperParameters") or {}
    if technique != "Evaluation":
        channels = [channel["ChannelName"] for channel in request.get("InputDataConfig") or ()]
        names = ["train_loss", *(["eval_loss"] if "validation" in channels else [])]
        return [*names, *(["reward"] if technique in ("RLVR", "RLAIF") else [])]
    if metrics := options.get("llmaj_metrics"):
        return [str(name).removeprefix("Builtin.") for name in _read_list(metrics)]
    name = options.get("metric") or options.get("evaluation_metric") or "accuracy"
    return [] if options.get("task") == "inference_only" else [str(name).strip('"')]


def _read_list(value: Any) -> list[Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return [one.strip() for one in str(value).split(",")]
    return found if isinstance(found, list) else [found]


def _make_score(name: str, data: _Data, seed: str, config: Mapping[str, Any], request: Mapping[str, Any]) -> float:
    """A number from 0 to 1 that is the same for the same data, model, options and seed."""
    source = request.get("ModelPackageConfig") or {}
    told = json.dumps([name, seed, config, source, request.get("HyperParameters")], sort_keys=True, default=str)
    digest = hashlib.sha256(data.digest.digest() + told.encode()).digest()
    return round(int.from_bytes(digest[:4], "big") / (1 << 32), 4)


def _write_evaluation(
    spec: JobSpec, context: JobContext, target: S3Location, data: _Data, scores: Mapping[str, float]
) -> S3Location:
    options: Any = spec.request.get("HyperParameters") or {}
    name = str(options.get("name") or spec.name).strip('"')
    folder = target.child("output", name)
    results = {"stand_in": MARK, "results": {"all": scores}}
    _put(context, folder.child("eval_results", "results_stand-in.json"), json.dumps(results))
    answers = [{"prompt": prompt, "response": MARK} for prompt in data.prompts]
    _put(context, folder.child("eval_results", "inference_output.jsonl"), _lines(answers))
    if options.get("llmaj_metrics"):
        judged = {"stand_in": MARK, "results": {key: {"score": score} for key, score in scores.items()}}
        _put(context, folder.child("bedrock_llm_judge_results.json"), json.dumps(judged))
        whole = parse_location(spec.request["OutputDataConfig"]["S3OutputPath"])  # type: ignore[index, call-overload]
        told = [{"metricName": key, "result": score} for key, score in scores.items()]
        lines = [{"automatedEvaluationResult": {"scores": told}, "inputRecord": {"prompt": MARK}}]
        _put(context, whole.child(name, "stand-in_output.jsonl"), _lines(lines))
    return target.child("output", "")


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _put(context: JobContext, target: S3Location, text: str) -> None:
    context.s3.put_object(Bucket=target.bucket, Key=target.key, Body=text.encode())


def _plan_package(request: Mapping[str, Any], artifacts: S3Location) -> dict[str, Any] | None:
    """The request for the model package that the service makes of a tuned model."""
    group = (request.get("ModelPackageConfig") or {}).get("ModelPackageGroupArn")
    if not group:
        return None
    base = parse_arn(str(request["ServerlessJobConfig"]["BaseModelArn"]))
    parts = base.name.split("/") if base is not None else []
    model = {"HubContentName": parts[2], "HubContentVersion": parts[3]} if len(parts) > 3 else {}
    source = {"S3Uri": artifacts.uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"ModelDataSource": {"S3DataSource": source}, "IsCheckpoint": True, "BaseModel": model}
    return {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": MARK,
        "InferenceSpecification": {"Containers": [container]},
    }


def iter_dataset_arns(request: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of the hub's datasets that a job reads."""
    for channel in request.get("InputDataConfig") or ():
        source = (channel.get("DataSource") or {}).get("DatasetSource") or {}
        if source.get("DatasetArn"):
            yield str(source["DatasetArn"])
