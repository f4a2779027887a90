"""Turns the SDK's local mode into regular pipelines: ``LocalPipelineSession`` uses the endpoint instead of Docker.

The SDK's own local mode keeps pipelines in its process and starts containers. Here its session talks to the endpoint
like a regular one. The definition loses what only Docker on this machine understands: the instance types ``local`` and
``local_gpu``, and ``file://`` addresses. What a script reads from such an address is uploaded. What it writes there
goes to S3 first, and :mod:`local_main` downloads it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aws_calls import is_loopback
from .build_errors import BuildError, StartedJobError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sdk import Sdk

INSTANCE_TYPES = {"local": "ml.m5.large", "local_gpu": "ml.g4dn.xlarge"}
_FILE = "file://"
_PREFIX = "local-mode"
_CODE_FOLDER = "SAGEMAKER_SUBMIT_DIRECTORY"
# Below keys that begin so, an address is written to; below all others it is read.
_WRITTEN = ("Output", "CheckpointConfig")
_DOCKER_STARTS = {
    "create_processing_job": "CreateProcessingJob",
    "create_training_job": "CreateTrainingJob",
    "create_transform_job": "CreateTransformJob",
    "create_endpoint": "CreateEndpoint",
}
_CLIENT_HOMES = ("sagemaker.core.local.local_session", "sagemaker.local.local_session")
_CONTAINER_HOMES = ("sagemaker.train.local.local_container", "sagemaker.core.modules.local_core.local_container")


class LocalMode:
    """Changes one SDK, and knows where its pipelines write what is meant for ``file://`` addresses.

    :ivar outputs: for each pipeline, the folders on this machine by the end of the S3 address that stands for them.
    """

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk
        self.outputs: dict[str, dict[str, Path]] = {}

    def install(self) -> None:
        """Change the session class and the pipeline class for every module that imports them from now on."""
        session_class = self._sdk.local_session_class
        _make_regular(session_class)
        mlops = "sagemaker.mlops.local"
        if self._sdk.version.startswith("sagemaker-mlops"):
            # v3 has a second class of this name, under which building a step would start its job.
            for name in (mlops, f"{mlops}.local_pipeline_session"):
                setattr(importlib.import_module(name), session_class.__name__, session_class)
        pipeline_class = self._sdk.pipeline_class
        for name in ("create", "update", "upsert", "start"):
            setattr(pipeline_class, name, _as_regular(session_class, getattr(pipeline_class, name)))
        build = pipeline_class.definition

        @functools.wraps(build)
        def definition(pipeline: Any) -> str:
            session = pipeline.sagemaker_session
            before = session.local_mode
            session.local_mode = isinstance(session, session_class)
            try:
                text: str = build(pipeline)
            finally:
                session.local_mode = before
            return self._translate(pipeline.name, text, session)

        pipeline_class.definition = definition

    def upload_value(self, value: Any, session: Any) -> Any:
        """The value of a parameter: for a file or folder its S3 address, after an upload; other values as they are."""
        if isinstance(value, str) and value.startswith(_FILE):
            return _upload(value, session)
        return INSTANCE_TYPES.get(value, value) if isinstance(value, str) else value

    def _translate(self, pipeline: str, text: str, session: Any) -> str:
        if not any(mark in text for mark in (f'"{_FILE}', '"local"', '"local_gpu"')):
            return text
        text = without_code_folders(text)
        _refuse_local_parts(text)
        outputs = self.outputs[pipeline] = {}

        def write(address: str) -> dict[str, Any]:
            tail = hashlib.sha256(address.encode()).hexdigest()[:12]
            outputs[tail] = _path_of(address)
            base = f"s3://{session.default_bucket()}/{_PREFIX}/{pipeline}"
            return {"Std:Join": {"On": "/", "Values": [base, {"Get": "Execution.PipelineExecutionId"}, tail]}}

        def convert(value: Any, keys: tuple[str, ...]) -> Any:
            if isinstance(value, list):
                return [convert(item, keys) for item in value]
            if isinstance(value, dict):
                if isinstance(value.get("FileDataSource"), dict):
                    file = value["FileDataSource"]
                    return {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": convert(file["FileUri"], keys),
                            "S3DataDistributionType": file.get("FileDataDistributionType", "FullyReplicated"),
                        }
                    }
                return {key: convert(item, (*keys, key)) for key, item in value.items()}
            if not isinstance(value, str):
                return value
            if value in INSTANCE_TYPES and keys[-1:] in (("InstanceType",), ("DefaultValue",)):
                return INSTANCE_TYPES[value]
            if not value.startswith(_FILE):
                return value
            is_written = any(key.startswith(_WRITTEN) or "Output" in key for key in keys)
            return write(value) if is_written else _upload(value, session)

        return json.dumps(convert(json.loads(text), ()))

    def folders(self, pipeline: str, execution_id: str) -> Iterator[tuple[str, Path]]:
        """The S3 prefix and the folder of everything that an execution wrote for this machine."""
        for tail, folder in self.outputs.get(pipeline, {}).items():
            yield f"{_PREFIX}/{pipeline}/{execution_id}/{tail}", folder


def refuse_docker(sdk: Sdk) -> None:
    """Keep the SDK's ``LocalSession`` from starting anything while a pipeline is built."""
    for name in _CLIENT_HOMES:
        client = getattr(_loaded(name), "LocalSagemakerClient", None)
        for method, operation in _DOCKER_STARTS.items():
            if hasattr(client, method):
                setattr(client, method, _refusing(f"a local {operation}"))
    if sdk.version.startswith("sagemaker-mlops"):
        for name in _CONTAINER_HOMES:
            container = getattr(_loaded(name), "_LocalContainer", None)
            if container is not None:
                container.train = _refusing("a local CreateTrainingJob")


def _refusing(what: str) -> Callable[..., Any]:
    def refuse(*args: object, **kwargs: object) -> Any:
        raise StartedJobError(
            "started_job",
            f"The script started {what} in Docker while the pipeline was being built. Jobs are started by the "
            "pipeline's execution: build the steps with the session that is passed as `sagemaker_session`, or with a "
            "LocalPipelineSession; a LocalSession starts them at once.",
        )

    return refuse


def _loaded(name: str) -> Any:
    try:
        return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None
    except ImportError:
        return None


def _make_regular(session_class: Any) -> None:
    """Give the local session the clients of a regular one, and make it upload code that it would leave on the disk."""
    regular = next(base for base in session_class.__mro__ if base.__name__ == "Session")

    def initialize(session: Any, *args: Any, **options: Any) -> None:
        regular._initialize(session, *args, **options)
        session.local_mode = True  # the SDK takes file:// in local mode only
        # Jobs are described by name. In local mode an ARN is a name, so scripts pass an ARN where a name belongs.
        events = session.sagemaker_client.meta.events
        for operation in ("ProcessingJob", "TrainingJob", "TransformJob"):
            events.register(f"provide-client-params.sagemaker.Describe{operation}", name_for_arn)
        events.register("after-call.sagemaker.DescribeProcessingJob", name_outputs)

    @functools.wraps(regular.upload_data)
    def upload_data(session: Any, path: str, *args: Any, **options: Any) -> Any:
        return regular.upload_data(session, path.removeprefix(_FILE), *args, **options)

    def set_config(session: Any, value: dict[str, Any] | None) -> None:
        if value is not None and "local" in value:
            value = {**value, "local": {**value["local"], "local_code": False}}
        session._config = value

    session_class._initialize = initialize
    session_class.upload_data = upload_data
    # Before 2.200 or so it is a plain attribute.
    session_class.config = property(lambda session: getattr(session, "_config", None), set_config)


def name_for_arn(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """The arguments of a Describe call with names in place of ARNs."""
    return {
        key: value.rpartition("/")[2] if isinstance(value, str) and value.startswith("arn:") else value
        for key, value in params.items()
    }


def name_outputs(parsed: dict[str, Any], **_: object) -> None:
    """Turn the outputs of a described processing job into a dictionary by name, as they are after a local-mode run.

    The SDK's executor of processing steps replaces the list in the job's own record (``local/pipeline.py``), so scripts
    such as AWS's sample go through ``Outputs`` by its keys.
    """
    config = parsed.get("ProcessingOutputConfig") or {}
    if isinstance(config.get("Outputs"), list):
        config["Outputs"] = {output["OutputName"]: output for output in config["Outputs"]}


def _as_regular(session_class: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(pipeline: Any, *args: Any, **options: Any) -> Any:
        session = pipeline.sagemaker_session
        if not isinstance(session, session_class):
            return method(pipeline, *args, **options)
        before, session.local_mode = session.local_mode, False
        try:
            return method(pipeline, *args, **options)
        finally:
            session.local_mode = before

    return call


def without_code_folders(text: str) -> str:
    """Name the folders of models' code by their last part; the local endpoint has them uploaded instead.

    Where v2 repacks code, it also writes that folder's path into the model's environment, where nobody looks for it.
    """
    if is_loopback():
        return text
    return re.sub(rf'("{_CODE_FOLDER}": "{_FILE})[^"]*?([^/"]+)/*"', r'\1\2"', text)


def _refuse_local_parts(text: str) -> None:
    """Refuse a definition with parts that only local mode understands, unless AWS is on this machine."""
    if is_loopback():
        return
    found = sorted(_iter_local_parts(json.loads(text)))
    if found:
        raise BuildError(
            "local_mode",
            f"The pipeline is written for local mode, and this is not a local endpoint. It has {'; '.join(found)}. "
            "Run it under 'sm-pipelines local exec --', or build it with instance types and s3:// addresses of AWS.",
        )


def _iter_local_parts(value: Any, key: str = "", place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        name = f"{value['Name']!r}" if isinstance(value.get("Name"), str) else place
        for inner, item in value.items():
            yield from _iter_local_parts(item, inner, name)
    elif isinstance(value, list):
        for item in value:
            yield from _iter_local_parts(item, key, place)
    elif isinstance(value, str):
        is_type = value in INSTANCE_TYPES and key in ("InstanceType", "DefaultValue")
        if is_type or (value.startswith(_FILE) and key != _CODE_FOLDER):
            yield f"{key} {value!r} in {place}"


def _path_of(address: str) -> Path:
    return Path(os.path.expanduser(address[len(_FILE) :])).absolute()  # noqa: PTH111 - relative to where it runs


def _upload(address: str, session: Any) -> str:
    """Upload a file or folder to an address with its content's digest, so that unchanged data keeps its address."""
    path = _path_of(address)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    if not path.exists() or not files:
        what = "is an empty folder" if path.exists() else "does not exist"
        raise BuildError("local_mode", f"The pipeline reads {address}, and {path} {what}.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path.parent).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    bucket = session.default_bucket()
    base = f"{_PREFIX}/inputs/{digest.hexdigest()[:20]}"
    for file in files:
        session.s3_client.upload_file(str(file), bucket, f"{base}/{file.relative_to(path.parent).as_posix()}")
    print(f"{address}: {len(files)} file{'s' * (len(files) > 1)} uploaded", file=sys.stderr)
    return f"s3://{bucket}/{base}/{path.name}"
