"""Stand-ins: a function of the user performs the step, in a process of its own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.cache_identity import CACHE_FIELDS, select_cache_fields
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.jobs import FunctionSpec, ImageCatalog, ImageEntry, Isolation, IsolationMode
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY
from airflow_sm_pipelines.engine.rules.cache_key import make_cache_key
from airflow_sm_pipelines.engine.rules.errors import Interrupted, StepError
from airflow_sm_pipelines.engine.rules.resolver import resolve
from airflow_sm_pipelines.engine.steps.job import find_cached, may_use_cache
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.engine.jobs import JobContext
    from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIn

LOG_GROUP = "/aws/sagemaker/PipelineStandIns"
_RUNTIME = "python3-stand-in"
"""The name that the table of images has for the Python of the stand-in. It must begin with ``python3``."""


class StandInExecutor:
    """Performs a step by the user's function.

    The function gets one object with ``name``, ``type``, ``pipeline_name``, ``execution_arn``, ``region``, the resolved
    ``arguments``, and the step's other members, resolved, as ``attributes``. It returns None, or an object with
    ``metadata`` (of the API shape PipelineExecutionStepMetadata) and ``outputs`` (which property paths find besides the
    arguments). If it raises, the step fails.
    """

    is_instant = False

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def prepare(self, task: StepTask) -> JsonObject:
        """What the function gets."""
        execution = task.store.executions.find(task.execution_id)
        return {
            "name": task.step.name,
            "type": task.step.type,
            "pipeline_name": task.pipeline,
            "execution_arn": execution.arn if execution is not None else None,
            "region": task.services.region,
            "arguments": resolve(task.step.arguments, task.scope),
            "attributes": resolve(task.step.attributes, task.scope),
        }

    def run(self, task: StepTask, prepared: JsonObject) -> StepOutcome:
        """Call the function and wait for its answer, or take a cached result."""
        if task.stop.is_set():
            return StepOutcome(status=StepStatus.STOPPED)
        cache_key = self._cache_key(task, prepared)
        cached = find_cached(task, cache_key)
        if cached is not None:
            return cached
        task.mark_executing(cache_key=cache_key)
        return self._call(task, prepared)

    def _cache_key(self, task: StepTask, prepared: JsonObject) -> str | None:
        """The cache key of the step, to which the content of the function's file belongs; None without caching."""
        arguments, attributes = prepared["arguments"], prepared["attributes"]
        if task.step.type not in CACHE_FIELDS or not may_use_cache(task):
            return None
        if not isinstance(arguments, dict) or not isinstance(attributes, dict):
            return None
        fields = select_cache_fields(task.step.type, arguments, attributes)
        digest = hashlib.sha256(self._stand_in.file.read_bytes()).hexdigest()
        return make_cache_key(task.step.type, fields, [self._stand_in.function, digest])

    def _call(self, task: StepTask, prepared: JsonObject) -> StepOutcome:
        if task.stop.is_set():
            return StepOutcome(status=StepStatus.STOPPED)
        called = f"The stand-in {self._stand_in.file.name}:{self._stand_in.function}"
        spec, context = self._spec(), self._context(task)
        event: JsonObject = {"file": str(self._stand_in.file), "function": self._stand_in.function, "step": prepared}
        outcome = task.services.run_function(spec, event, context, task.stop)
        if task.shutdown.is_set() and outcome.status != "Completed":
            raise Interrupted
        if outcome.status == "Stopped":
            return StepOutcome(status=StepStatus.STOPPED)
        if outcome.status != "Completed":
            raise StepError(f"ClientError: {called} failed: {outcome.error or outcome.status}")
        metadata, outputs = _read_answer(outcome.result, called=called)
        fault = task.services.check_metadata(metadata)
        if fault:
            raise StepError(f"ClientError: {called} returned metadata that the API does not have: {fault}")
        arguments = prepared["arguments"]
        return StepOutcome(
            metadata=metadata, properties={**(arguments if isinstance(arguments, dict) else {}), **outputs}
        )

    def _spec(self) -> FunctionSpec:
        return FunctionSpec(
            arn="",
            name=self._stand_in.function,
            runtime=_RUNTIME,
            handler="stand_in_program.handler",
            code_zip=_program(),
            timeout_seconds=self._stand_in.timeout_seconds,
        )

    def _context(self, task: StepTask) -> JobContext:
        if self._stand_in.requirements:
            entry = ImageEntry(f"lambda:{_RUNTIME}", requirements=("pip", *self._stand_in.requirements))
        else:
            entry = ImageEntry(f"lambda:{_RUNTIME}", interpreter=self._stand_in.interpreter)
        # The function belongs to this machine, so it sees the files that are here.
        isolation = Isolation(IsolationMode.PATHS, "Stand-ins share this machine's files.")
        return replace(task.services.job_context(LOG_GROUP), images=ImageCatalog([entry]), isolation=isolation)


def _read_answer(answer: JsonValue, *, called: str) -> tuple[JsonObject, JsonObject]:
    given = {} if answer is None else answer
    if not isinstance(given, dict) or not {"metadata", "outputs"}.issuperset(given):
        raise StepError(
            f"ClientError: {called} must return None or an object with 'metadata' and 'outputs', not {answer!r:.200}."
        )
    metadata, outputs = given.get("metadata") or {}, given.get("outputs") or {}
    if not isinstance(metadata, dict) or not isinstance(outputs, dict):
        raise StepError(f"ClientError: {called} must return objects as 'metadata' and 'outputs'.")
    return metadata, outputs


@lru_cache(maxsize=1)
def _program() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(PROGRAMS_DIRECTORY / "stand_in_program.py", "stand_in_program.py")
    return packed.getvalue()
