"""The engine's services with a rehearsal around them: jobs, functions, queues, step types that do not run here.

What a job runs with is planned in :mod:`.job_plan`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.model_customization import is_customization
from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIn, StandIns
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope, resolve
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.steps import step_executors
from airflow_sm_pipelines.engine.steps.quality_check import CHECK_KINDS
from airflow_sm_pipelines.rehearsal.customization_plan import DEFAULT_SEED, plan_customization, with_chosen_scores
from airflow_sm_pipelines.rehearsal.job_plan import (
    REHEARSAL_IMAGE,
    PlanContext,
    RehearsedOutputs,
    document_text,
    plan_processing,
    plan_training,
    plan_transform_job,
)
from airflow_sm_pipelines.rehearsal.sample_store import SampleStore, is_uri
from airflow_sm_pipelines.rehearsal.sample_values import (
    SAMPLE_BUCKET,
    SampleValues,
    find_content_types,
    find_transform_inputs,
    sample_value,
)
from airflow_sm_pipelines.rehearsal.samples import pack_function, pack_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.definition.steps import OutputParameter
    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.engine.jobs import FunctionSpec, JobContext, JobOutcome, JobSpec
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.rehearsal.job_plan import JobPlan

_RUNTIME = "python3-rehearsal"
_FUNCTION_SECONDS = 60.0
_STAND_IN_FILE = '''"""Made by a rehearsal: stands in for steps that do not run here."""

OUTPUTS = {outputs!r}


def perform(step):
    """Give the properties that other steps refer to."""
    return {{"outputs": OUTPUTS.get(step["name"], {{}})}}
'''


@dataclass(frozen=True)
class RehearsalStandInTable(StandIns):
    """The user's stand-ins, and the rehearsal's for steps without one."""

    others: Callable[[str, str], StandIn | None] = lambda step, type: None

    def find(self, *, step: str, type: str) -> StandIn | None:
        """The stand-in for a step, if there is one."""
        return super().find(step=step, type=type) or self.others(step, type)


@dataclass(frozen=True, slots=True)
class RehearsedPipeline:
    """What is rehearsed.

    :param name: the pipeline's name.
    :param parameters: the execution's parameters, typed, with defaults.
    :param values: what its stood-in parts give.
    """

    name: str
    definition: PipelineDefinition
    parameters: Mapping[str, JsonValue]
    values: SampleValues

    def find_step(self, name: str) -> Step | None:
        """The step of a name in an execution; for one that a ForEach step made, the step of its body."""
        steps = {step.name: step for _, step in iter_step_places(self.definition)}
        return steps.get(name) or steps.get(name.rpartition("-")[0])


class StandInServices:
    """Takes the place of what a pipeline needs and this machine does not have.

    :param directory: a folder for the file with the stand-in for step types that do not run here.
    :ivar notes: what was stood in for, by step.
    :ivar engine: the engine, as soon as it exists.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "stand_ins.py"
        self._lock = threading.Lock()
        self._outputs = RehearsedOutputs()
        self._models: set[str] = set()
        self._pipeline: RehearsedPipeline | None = None
        self.notes: dict[str, list[str]] = {}
        self.engine: Engine | None = None

    def adapt(self, services: EngineServices) -> EngineServices:
        """The services with the stand-ins around them."""
        from airflow_sm_pipelines.engine.jobs import ImageEntry

        self._services = services
        self._arns = ArnFactory(services.region, services.account_id)
        self.store = SampleStore(services.s3, region=services.region)
        own = [ImageEntry(name, interpreter=sys.executable) for name in (REHEARSAL_IMAGE, f"lambda:{_RUNTIME}")]
        services.images.entries = (*own, *services.images.entries)
        table = services.stand_ins
        return replace(
            services,
            run_job=self._run_job,
            model_seed=services.model_seed or DEFAULT_SEED,
            serves_endpoints=False,
            find_function=self._find_function,
            send_message=self._send_message,
            validate_request=self._validate_request,
            stand_ins=RehearsalStandInTable(table.entries, table.source, self._find_stand_in),
        )

    def begin(self, pipeline: RehearsedPipeline) -> None:
        """Set the pipeline whose executions follow."""
        self._pipeline = pipeline
        properties = pipeline.values.properties
        outputs = {step.name: properties.get(step.name, {}) for _, step in iter_step_places(pipeline.definition)}
        self._file.write_text(_STAND_IN_FILE.format(outputs=outputs), encoding="utf-8")

    def find_step(self, name: str) -> Step | None:
        """The step of the pipeline that has this name in an execution."""
        return self._pipeline.find_step(name) if self._pipeline else None

    def outputs_of(self, step: Step) -> JsonObject:
        """Values for the output parameters that a Lambda or Callback step declares."""
        values = self._pipeline.values if self._pipeline else SampleValues()
        chosen = values.properties.get(step.name, {}).get("OutputParameters")
        known = chosen if isinstance(chosen, dict) else {}
        return {output.name: _typed(output, known.get(output.name)) for output in step.output_parameters}

    def _run_job(self, spec: JobSpec, context: JobContext, stop: threading.Event) -> JobOutcome:
        from airflow_sm_pipelines.engine.jobs import JobOutcome

        name = self._find_step_name(spec)
        pipeline = self._pipeline
        step = pipeline.find_step(name) if pipeline and name else None
        plan_context = PlanContext(
            store=self.store,
            values=pipeline.values if pipeline else SampleValues(),
            outputs=self._outputs,
            images=context.images,
            step=step,
            features_only=find_transform_inputs(pipeline.definition) if pipeline else frozenset(),
            content_types=find_content_types(pipeline.definition) if pipeline else {},
        )
        # One job at a time, because two that share a script or an input must not both find it missing.
        with self._lock:
            try:
                plan = self._plan(spec, plan_context)
            except JobFailure as failure:
                return JobOutcome("Failed", str(failure), details={"FailureReason": str(failure)})
            self.note(name or spec.name, plan.notes)
        outcome = self._services.run_job(replace(spec, request=plan.request, containers=plan.containers), context, stop)
        if (
            is_customization(spec.request)
            and outcome.status == "Completed"
            and step is not None
            and pipeline is not None
        ):
            chosen = pipeline.values.properties.get(step.name, {}).get("FinalMetricDataList")
            return replace(outcome, details=with_chosen_scores(outcome.details, chosen))
        if plan.is_stood_in and outcome.status == "Completed":
            self._finish(spec, step, outcome)
        return outcome

    def _plan(self, spec: JobSpec, context: PlanContext) -> JobPlan:
        if spec.kind == "Processing":
            return plan_processing(spec, context)
        if is_customization(spec.request):
            return plan_customization(spec, context)
        if spec.kind == "Training":
            return plan_training(spec, context)
        return plan_transform_job(spec, context, stood_in_models=frozenset(self._models))

    def _finish(self, spec: JobSpec, step: Step | None, outcome: JobOutcome) -> None:
        """Write the documents beside a job's outputs, and remember its model."""
        artifacts = outcome.details.get("ModelArtifacts")
        if isinstance(artifacts, dict):
            self._models.add(str(artifacts["S3ModelArtifacts"]))
        pipeline = self._pipeline
        if step is None or pipeline is None:
            return
        parts = spec.name.split("-")
        scope = ResolutionScope(
            parameters=pipeline.parameters,
            execution={"PipelineExecutionId": parts[1] if len(parts) > 1 else "", "PipelineName": pipeline.name},
            describe_step=lambda name: {**spec.request, **outcome.details} if name == step.name else None,
        )
        for expression, document in pipeline.values.documents.get(step.name, ()):
            uri = resolve(expression, scope)
            if is_uri(uri):
                self.store.put(str(uri), document_text(document).encode())

    def _find_function(self, arn: str) -> FunctionSpec | None:
        from airflow_sm_pipelines.engine.jobs import FunctionSpec

        found = self._services.find_function(arn)
        if found is not None or self._pipeline is None:
            return found
        # Each step that calls it gets what any of them declares.
        result: JsonObject = {}
        for _, step in iter_step_places(self._pipeline.definition):
            if step.type == "Lambda" and self._resolves_to(step.attributes.get("FunctionArn"), arn):
                result |= self.outputs_of(step)
                self.note(step.name, [f"function {resource_name_of(arn)}"])
        return FunctionSpec(
            arn=arn,
            name=resource_name_of(arn),
            runtime=_RUNTIME,
            handler="index.handler",
            code_zip=pack_function(result),
            timeout_seconds=_FUNCTION_SECONDS,
        )

    def _resolves_to(self, value: JsonValue, text: str) -> bool:
        try:
            return resolve(value, ResolutionScope(self._pipeline.parameters if self._pipeline else {}, {})) == text
        except ResolutionError:
            # Another step gives the function's name. If it is not this function, the outputs do no harm.
            return True

    def _send_message(self, url: str, body: str) -> str | None:
        # The rehearsal answers callbacks itself. A queue that exists gets the message all the same.
        self._services.send_message(url, body)
        return None

    def _validate_request(self, operation: str, request: Mapping[str, Any]) -> str | None:
        fault = self._services.validate_request(operation, request)
        if fault is None and self.engine is not None:
            names = [request.get("ModelName")] if operation == "CreateTransformJob" else []
            names += [variant.get("ModelName") for variant in request.get("ProductionVariants") or ()]
            for name in names:
                if name:
                    self._ensure_model(str(name))
        return fault

    def _ensure_model(self, name: str) -> None:
        from airflow_sm_pipelines.engine.rules.errors import ServiceError

        if self.engine is None:
            return
        try:
            self.engine.call("DescribeModel", {"ModelName": name})
        except ServiceError:
            uri = f"s3://{SAMPLE_BUCKET}/{name}/model.tar.gz"
            self.store.put(uri, pack_model())
            container = {"Image": REHEARSAL_IMAGE, "ModelDataUrl": uri}
            self.engine.call("CreateModel", {"ModelName": name, "PrimaryContainer": container})
            self.note("", [f"model {name}"])

    def _find_stand_in(self, step: str, type: str) -> StandIn | None:
        found = self.find_step(step)
        check = str(found.attributes.get("CheckType")) if found is not None else ""
        is_check = type in {known for known, _ in CHECK_KINDS}
        if type in step_executors() and not (is_check and (type, check) not in CHECK_KINDS):
            return None
        self.note(step, [f"step of type {type}{f' ({check})' if is_check else ''}"])
        return StandIn(file=self._file, function="perform")

    def _find_step_name(self, spec: JobSpec) -> str | None:
        """The step that started a job, or whose tuning job did."""
        if self.engine is None or self._pipeline is None:
            return None
        parts = spec.name.split("-")
        identifier = parts[1] if parts[0] == "pipelines" and len(parts) > 1 else parts[0]
        arn = self._arns.execution(self._pipeline.name, identifier)
        for entry in list_steps(self.engine.call, arn):
            for made in (entry.get("Metadata") or {}).values():
                made_arn = made.get("Arn") or made.get("CheckJobArn") if isinstance(made, dict) else None
                if made_arn and (made_arn == spec.arn or spec.name.startswith(resource_name_of(made_arn) + "-")):
                    return str(entry["StepName"])
        return None

    def note(self, step: str, notes: list[str]) -> None:
        """Remember what was stood in for.

        :param step: the step's name; empty where none is known.
        """
        known = self.notes.setdefault(step, [])
        known += [note for note in notes if note not in known]


def list_steps(call: Callable[[str, dict[str, Any]], dict[str, Any]], arn: str) -> Iterator[dict[str, Any]]:
    """All steps of an execution in the order of their start; none where there is no such execution.

    :param call: carries out a SageMaker operation.
    :param arn: the execution's ARN.
    """
    from airflow_sm_pipelines.engine.rules.errors import ServiceError

    request: dict[str, Any] = {"PipelineExecutionArn": arn, "MaxResults": 100, "SortOrder": "Ascending"}
    while True:
        try:
            page = call("ListPipelineExecutionSteps", request)
        except ServiceError:
            return
        yield from page["PipelineExecutionSteps"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def _typed(output: OutputParameter, value: JsonValue) -> JsonValue:
    if output.type == "Integer":
        return int(value) if isinstance(value, (int, float)) else 1
    if output.type == "Float":
        return float(value) if isinstance(value, (int, float)) else 0.5
    if output.type == "Boolean":
        return value if isinstance(value, bool) else True
    known = value if value is not None else sample_value(output.name)
    return known if isinstance(known, str) else str(known)
