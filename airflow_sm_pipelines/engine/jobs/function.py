"""A Lambda function: its real code in a process of its own, with its handler, environment and time limit.

Only Python runtimes run. They get the environment that the table of images has for ``lambda:<runtime>``, on the Python
version of the engine. The memory limit is not enforced: a limit on address space would break ordinary libraries.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.archives import unpack_zip
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY, Container
from airflow_sm_pipelines.engine.jobs.failures import JobFailure, shorten_reason
from airflow_sm_pipelines.engine.jobs.instances import run_instances
from airflow_sm_pipelines.engine.jobs.job_log import JobLog, PatientLog
from airflow_sm_pipelines.engine.jobs.local_images import prepare_image
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext
    from airflow_sm_pipelines.engine.rules.job_documents import EndStatus

_PREFIX = "sm-pipelines-function-"
_LOCK = "lock"
_GRACE_SECONDS = 0.5
_TIMED_OUT = "Task timed out"


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function to call.

    :param handler: ``module.function``.
    :param code_zip: the deployment package, or its path.
    :param layers: their packages, of which what is below ``python`` can be imported.
    """

    arn: str
    name: str
    runtime: str
    handler: str
    code_zip: bytes | Path
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 3
    memory_mb: int = 128
    layers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionOutcome:
    """How a call ended.

    :param result: what the handler returned; after a failure Lambda's error object, if there is one.
    :param error: a text for people; None on success.
    """

    status: EndStatus
    result: JsonValue = None
    error: str | None = None
    log_tail: tuple[str, ...] = ()

    @property
    def is_timed_out(self) -> bool:
        """Whether the time of the function was over."""
        # Lambda's own answer says so only in this text.
        return self.status == "Failed" and (self.error or "").startswith(_TIMED_OUT)


def run_function(spec: FunctionSpec, event: JsonValue, context: JobContext, stop: threading.Event) -> FunctionOutcome:
    """Call a function and wait for its answer. What the function or its package does wrong is not raised."""
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # Held as long as this process lives.
    held = os.open(directory / _LOCK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    stream = time.strftime("%Y/%m/%d/[$LATEST]", time.gmtime()) + uuid.uuid4().hex
    stored = PatientLog(lambda _, lines: context.log(stream, lines))
    log = JobLog(stored.write, spec.name)
    try:
        return _run(spec, event, context, stop, directory, stream, log)
    except (JobFailure, SageMakerPipelinesError) as error:
        return FunctionOutcome("Failed", None, shorten_reason(str(error)), log.tail)
    except OSError as error:
        return FunctionOutcome("Failed", None, f"This machine refused: {error}", log.tail)
    finally:
        log.flush()
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def sweep_directories() -> None:
    """Remove the directories of calls whose engine was killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if directory.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(directory.lstat().st_mode):
                continue
            held = os.open(directory / _LOCK, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(held)


def _run(
    spec: FunctionSpec,
    event: JsonValue,
    context: JobContext,
    stop: threading.Event,
    directory: Path,
    stream: str,
    log: JobLog,
) -> FunctionOutcome:
    if not spec.runtime:
        raise JobFailure(f"Function '{spec.name}' is a container image, which does not run locally. Give it a package.")
    if not spec.runtime.startswith("python3"):
        raise JobFailure(
            f"The runtime '{spec.runtime}' of function '{spec.name}' does not run locally, only Python 3 ones do."
        )
    image = prepare_image(
        context.images, f"lambda:{spec.runtime}", cache_dir=context.cache_dir, log=partial(log.add, "function")
    )
    container = Container.create(directory, "function")
    code, event_path, result_path = (container.root / name for name in ("code", "event.json", "result.json"))
    code.mkdir()
    unpack_zip(_place_package(spec.code_zip, container.root), code)
    layers = container.root / "layers"
    for layer in spec.layers:
        unpack_zip(_place_package(layer, container.root), layers)
    request_id = str(uuid.uuid4())
    event_path.write_text(json.dumps({"event": event, "request_id": request_id}), encoding="utf-8")
    instance = container.plan_instance(
        ["python", str(PROGRAMS_DIRECTORY / "function_program.py"), str(event_path), str(result_path)],
        image=image,
        context=context,
        contract={**_runtime_variables(spec, code, stream), "SM_PIPELINES_FUNCTION_LAYERS": str(layers)},
        requested=spec.environment,
        cwd=code,
    )
    log.add("function", f"START RequestId: {request_id} Version: $LATEST")
    end = run_instances(
        [instance],
        log,
        stop=stop,
        max_runtime_seconds=spec.timeout_seconds,
        grace_seconds=_GRACE_SECONDS,
        check_disk=context.check_disk,
    )
    log.add("function", f"END RequestId: {request_id}")
    if end.is_stopped:
        return FunctionOutcome("Stopped", log_tail=log.tail)
    if end.is_timed_out:
        return FunctionOutcome("Failed", None, f"{_TIMED_OUT} after {spec.timeout_seconds:.2f} seconds", log.tail)
    if not result_path.is_file():
        how = end.failure[1].text if end.failure else "gave no result"
        return FunctionOutcome("Failed", None, f"Function '{spec.name}' {how}.", log.tail)
    answer = json.loads(result_path.read_text(encoding="utf-8"))
    if "result" in answer:
        return FunctionOutcome("Completed", answer["result"], None, log.tail)
    return FunctionOutcome("Failed", answer, f"{answer['errorType']}: {answer['errorMessage']}", log.tail)


def _place_package(code_zip: bytes | Path, directory: Path) -> Path:
    if isinstance(code_zip, Path):
        return code_zip
    path = directory / "code.zip"
    path.write_bytes(code_zip)
    return path


def _runtime_variables(spec: FunctionSpec, code: Path, stream: str) -> dict[str, str]:
    """The variables of the Lambda developer guide, "Defined runtime environment variables"."""
    return {
        "_HANDLER": spec.handler,
        "LAMBDA_TASK_ROOT": str(code),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "SM_PIPELINES_FUNCTION_ARN": spec.arn,
        "SM_PIPELINES_FUNCTION_SECONDS": str(spec.timeout_seconds),
    }
