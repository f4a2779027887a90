"""A transform job: SageMaker's contract for batch inference. The containers of the model run one after the other.

The instances share the input files, and each instance runs one process for each container. Choices where the service's
behaviour is not documented: outputs are uploaded only after success. The reason of a failure is the model's own error,
where the service says "See job logs for more information".

Source: Amazon SageMaker developer guide, "Use Batch Transform".
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.failures import JobFailure, explain_failure, shorten_reason
from airflow_sm_pipelines.engine.jobs.instances import InstancesEnd, run_instances
from airflow_sm_pipelines.engine.jobs.job_spec import JobOutcome
from airflow_sm_pipelines.engine.jobs.kept_end import KeptEnd, read_kept_end
from airflow_sm_pipelines.engine.jobs.model_server import FILES, ModelServer, plan_server
from airflow_sm_pipelines.engine.jobs.s3_transfer import (
    describe_neighbours,
    download,
    list_input,
    parse_location,
    upload_tree,
)
from airflow_sm_pipelines.engine.jobs.transform_payloads import TransformPlan, plan_transform
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path, PurePosixPath

    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobSpec

_MAX_INPUT_BYTES = 20 * 1024**3


@dataclass(frozen=True, slots=True)
class _Input:
    """An input file, and its path relative to the prefix of the input."""

    file: Path
    path: PurePosixPath


def run_transform_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Run a transform job to its end.

    :raises JobFailure: it failed before or after its model ran.
    """
    request: Mapping[str, Any] = spec.request
    plan = plan_transform(request)
    target = parse_location(request["TransformOutput"]["S3OutputPath"])
    results = spec.directory / "results"
    if (kept := read_kept_end(spec.directory)) is not None:
        upload_tree(context.s3, results, target)
        return JobOutcome("Completed", None, None, kept.log_tail, {"TransformStartTime": kept.started})
    started = time.time()
    shares = _share_inputs(_download_inputs(spec, context, log), request)
    hosts = [f"algo-{number}" for number in range(1, len(shares) + 1)]
    stages = [
        [_plan_server(spec, context, log, container, number=number, host=host) for host in hosts]
        for number, container in enumerate(spec.containers, start=1)
    ]
    payloads = [spec.directory / f"payloads-0-{host}" for host in hosts]
    for host, share, path in zip(hosts, shares, payloads, strict=True):
        count = _write_payloads(plan, share, path)
        log.add(host, f"Batch transform of {len(share)} file(s) in {count} payload(s)")
    for number, servers in enumerate(stages, start=1):
        answers = [spec.directory / f"payloads-{number}-{host}" for host in hosts]
        reason = _run_servers(servers, payloads, answers, context, log, stop)
        if stop.is_set():
            log.flush()
            return JobOutcome("Stopped", None, None, log.tail, {"TransformStartTime": started})
        if reason:
            log.flush()
            return JobOutcome("Failed", reason, None, log.tail, {"TransformStartTime": started})
        payloads = answers
    for share, path in zip(shares, payloads, strict=True):
        _write_results(plan, share, path, results)
    KeptEnd(InstancesEnd({}), started, time.time(), log.tail).keep(spec.directory)
    upload_tree(context.s3, results, target)
    log.flush()
    return JobOutcome("Completed", None, None, log.tail, {"TransformStartTime": started})


def _plan_server(
    spec: JobSpec, context: JobContext, log: JobLog, definition: Mapping[str, Any], *, number: int, host: str
) -> ModelServer:
    return plan_server(
        definition,
        context,
        log,
        directory=spec.directory / f"container-{number}",
        host=host,
        channel=FILES,
        variables=_batch_variables(spec.request),
        overrides=spec.request.get("Environment") or {},  # type: ignore[arg-type]
        is_offline=spec.is_offline,
    )


def _batch_variables(request: Mapping[str, Any]) -> dict[str, str]:
    """The variables by which a container sees the transform job (developer guide, "How containers serve requests")."""
    is_single = request.get("BatchStrategy") == "SingleRecord"
    return {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(request.get("MaxPayloadInMB", 6)),
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD" if is_single else "MULTI_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "1",
    }


def _share_inputs(inputs: list[_Input], request: Mapping[str, Any]) -> list[list[_Input]]:
    """The files of each instance. A file goes to one instance (documented), and every instance has a file."""
    wanted = int((request.get("TransformResources") or {}).get("InstanceCount") or 1)
    count = max(1, min(wanted, len(inputs)))
    return [inputs[first::count] for first in range(count)]


def _download_inputs(spec: JobSpec, context: JobContext, log: JobLog) -> list[_Input]:
    given: Mapping[str, Any] = spec.request["TransformInput"]  # type: ignore[assignment]
    source = given["DataSource"]["S3DataSource"]
    uri = source["S3Uri"]
    try:
        objects = list_input(context.s3, uri, data_type=str(source.get("S3DataType", "S3Prefix")))
    except JobFailure as failure:
        if "matched no files on s3" not in str(failure):
            raise
        # Recorded: here a transform job leaves out the words with which training and processing jobs begin.
        raise JobFailure(f"ClientError: S3 key: {uri} matched no files on s3") from failure
    if warning := describe_neighbours(source, objects):
        log.add("algo-1", warning)
    directory = spec.directory / "input"
    download(context.s3, objects, directory)
    inputs = [_Input(directory / item.path, item.path) for item in objects]
    if given.get("CompressionType", "None") == "Gzip":
        for item in inputs:
            _decompress(item)
    return inputs


def _decompress(item: _Input) -> None:
    plain = item.file.with_name(item.file.name + ".plain")
    left = _MAX_INPUT_BYTES
    try:
        with gzip.open(item.file) as source, plain.open("wb") as target:
            while chunk := source.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise JobFailure(f"ClientError: '{item.path}' decompresses to more than {_MAX_INPUT_BYTES} bytes.")
                target.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise JobFailure(f"ClientError: '{item.path}' is not gzip, which CompressionType says: {error}") from error
    plain.replace(item.file)


def _write_payloads(plan: TransformPlan, inputs: list[_Input], path: Path) -> int:
    """Write the payloads of some input files into one file, and give their number.

    Each payload is a line of JSON with its headers and size, and then its bytes. ``programs/payload_stream.py`` reads
    this file, and writes the answers alike.
    """
    count = 0
    with path.open("wb") as file:
        for item in inputs:
            with item.file.open("rb") as source:
                for payload in plan.iter_payloads(source, item.path.as_posix()):
                    head = {"content_type": plan.content_type, "accept": plan.accept, "size": len(payload.body)}
                    file.write(json.dumps(head).encode() + b"\n" + payload.body)
                    count += 1
    return count


def _iter_answers(file: IO[bytes]) -> Iterator[bytes]:
    """The bodies of the answers, in the order of the payloads."""
    while line := file.readline():
        yield file.read(json.loads(line)["size"])


def _run_servers(
    servers: list[ModelServer],
    payloads: list[Path],
    answers: list[Path],
    context: JobContext,
    log: JobLog,
    stop: threading.Event,
) -> str | None:
    """Send the payloads of each instance through its copy of one container, and give the reason if one failed."""
    for server, path in zip(servers, payloads, strict=True):
        server.place_payloads(path)
    end = run_instances(
        [server.plan(context) for server in servers],
        log,
        stop=stop,
        max_runtime_seconds=None,
        grace_seconds=context.stop_grace_seconds,
        check_disk=context.check_disk,
    )
    if stop.is_set():
        return None
    if end.failure is None:
        for server, path in zip(servers, answers, strict=True):
            server.take_answers(path)
        return None
    host, failed = end.failure
    server = next(one for one in servers if one.container.host == host)
    text = server.container.read_text("/opt/ml/output/failure", MAX_REASON_CHARACTERS)
    if text is None:
        where = host if len(servers) > 1 else None
        text = explain_failure(server.argv, failed, host=where, log_tail=log.tail, isolation=context.isolation)
    if not text.startswith(("ClientError", "AlgorithmError")):
        text = f"AlgorithmError: {text}"
    return shorten_reason(text)


def _write_results(plan: TransformPlan, inputs: list[_Input], answers: Path, directory: Path) -> None:
    with answers.open("rb") as file:
        answer = _iter_answers(file)
        for item in inputs:
            path = directory / item.path.with_name(item.path.name + ".out")
            path.parent.mkdir(parents=True, exist_ok=True)
            with item.file.open("rb") as source, path.open("wb") as target:
                for payload in plan.iter_payloads(source, item.path.as_posix()):
                    target.write(plan.assemble(payload, next(answer)))
