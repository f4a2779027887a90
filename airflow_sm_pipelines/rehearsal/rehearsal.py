"""Runs a pipeline in a rehearsal, on an endpoint of its own, and reports how its executions went."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import MISSING, encode_parameters, parse_definition, resolve_parameters
from airflow_sm_pipelines.definition.expressions import ParameterReference, iter_expressions
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.rehearsal.sample_values import choose_values, sample_value
from airflow_sm_pipelines.rehearsal.stand_in_services import RehearsedPipeline, StandInServices, list_steps
from airflow_sm_pipelines.rehearsal.unknown_values import ROLE_ARN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition, Step

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RehearsedStep:
    """How a step went.

    :param status: as in the API, such as ``Succeeded``.
    :param failure_reason: None where it did not fail.
    :param stood_in: what was made up for it or took a place, such as ``script train.py``.
    """

    name: str
    type: str
    status: str
    failure_reason: str | None = None
    stood_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """How an execution went.

    :param pipeline: the pipeline's name.
    :param status: as in the API, such as ``Succeeded``.
    :param seconds: how long the execution took.
    :param steps: the steps that started, in the order of their start.
    :param not_started: the names of the other steps, such as those of the other branch.
    :param made_parameters: the values that were made up for parameters without a value and a default.
    """

    pipeline: str
    execution_arn: str
    status: str
    failure_reason: str | None
    seconds: float
    steps: tuple[RehearsedStep, ...]
    not_started: tuple[str, ...]
    made_parameters: Mapping[str, JsonValue]

    @property
    def is_success(self) -> bool:
        """Whether the execution succeeded."""
        return self.status == ExecutionStatus.SUCCEEDED


class Rehearsal:
    """A local endpoint on which pipelines run, with a stand-in for everything that is missing. A context manager.

    :param state_dir: where the endpoint keeps its state, which may hold some already. By default a new directory, which
        is removed at the end.
    :param region: the endpoint's region.
    :ivar server: the running endpoint, for uploads and for compiling scripts against it.
    """

    def __init__(self, state_dir: Path | None = None, *, region: str | None = None) -> None:
        from airflow_sm_pipelines.server import serve

        with ExitStack() as closing:
            scratch = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-rehearsal-")))
            self._stand_ins = StandInServices(scratch)
            self._made: set[str] = set()
            self.server = closing.enter_context(
                serve(state_dir or scratch / "state", region=region, adapt_services=self._stand_ins.adapt)
            )
            self._stand_ins.engine = self.server.engine
            self._closing = closing.pop_all()

    @property
    def s3(self) -> Any:
        """A boto3 client of its endpoint, to read what was written."""
        return self._stand_ins.store.s3

    def upload(self, uri: str, path: Path) -> None:
        """Put a real file, or the files of a folder, where the pipeline reads them.

        :param uri: the S3 address of the file, or the prefix for a folder.
        :param path: the file or the folder.
        """
        store = self._stand_ins.store
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            target = uri if file == path else f"{uri.rstrip('/')}/{file.relative_to(path).as_posix()}"
            store.put(target, file.read_bytes(), is_sample=False)

    def run(
        self,
        definition_text: str | bytes,
        *,
        name: str = "rehearsal",
        parameters: Mapping[str, JsonValue] | None = None,
        takes_else: Callable[[str], bool] = lambda step: False,
        timeout_seconds: float = 3600,
    ) -> RehearsalReport:
        """Run a definition to its end.

        :param definition_text: the definition's JSON.
        :param name: the pipeline's name.
        :param parameters: values of parameters. What has neither a value nor a default is made up.
        :param takes_else: whether the Condition step of this name is to take its Else branch.
        :param timeout_seconds: how long the execution may take.
        :raises DefinitionError: for a definition that cannot be read.
        :raises ParameterError: for values that do not fit.
        :raises LocalEndpointError: when the pipeline cannot be started.
        :raises TimeoutError: when the execution takes longer. It is stopped then.
        """
        definition = parse_definition(definition_text)
        made = _make_parameters(definition, parameters or {})
        given = {**made, **(parameters or {})}
        typed: dict[str, JsonValue] = {**resolve_parameters(definition, given)}
        values = choose_values(definition, typed, takes_else=takes_else)
        self._stand_ins.notes.clear()
        self._stand_ins.begin(RehearsedPipeline(name, definition, typed, values))
        started = time.monotonic()
        arn = self._start(name, definition_text, encode_parameters(definition, given))
        described = self._wait(arn, definition, deadline=started + timeout_seconds)
        seconds = time.monotonic() - started
        return self._report(definition, described, seconds=seconds, made=made, name=name)

    def close(self) -> None:
        """Stop the endpoint."""
        self._closing.close()

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.server.engine.call(operation, request)

    def _start(self, name: str, text: str | bytes, parameters: list[Any]) -> str:
        from airflow_sm_pipelines.engine.rules.errors import ServiceError
        from airflow_sm_pipelines.exceptions import LocalEndpointError

        document = {
            "PipelineName": name,
            "PipelineDefinition": text if isinstance(text, str) else text.decode(),
            "RoleArn": ROLE_ARN,
        }
        try:
            if name in self._made:
                # Otherwise a cached step gives what the last rehearsal made up.
                self._call("DeletePipeline", PipelineName=name, ClientRequestToken=_token())
                self._made.discard(name)
            try:
                self._call("DescribePipeline", PipelineName=name)
                self._call("UpdatePipeline", **document)
            except ServiceError as error:
                if error.code != "ResourceNotFound":
                    raise
                self._call("CreatePipeline", **document, ClientRequestToken=_token())
                self._made.add(name)
            answer = self._call(
                "StartPipelineExecution",
                PipelineName=name,
                PipelineParameters=parameters,
                ClientRequestToken=_token(),
            )
        except ServiceError as error:
            raise LocalEndpointError(f"The pipeline cannot be started: {error.message}") from error
        return str(answer["PipelineExecutionArn"])

    def _wait(self, arn: str, definition: PipelineDefinition, *, deadline: float) -> dict[str, Any]:
        while True:
            described = self._call("DescribePipelineExecution", PipelineExecutionArn=arn)
            if ExecutionStatus(described["PipelineExecutionStatus"]).is_terminal:
                return described
            self._answer_callbacks(arn, definition)
            if time.monotonic() > deadline:
                self._call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=_token())
                raise TimeoutError(f"The execution {arn} did not end in time.")
            time.sleep(_POLL_SECONDS)

    def _answer_callbacks(self, arn: str, definition: PipelineDefinition) -> None:
        from airflow_sm_pipelines.engine.rules.errors import ServiceError

        for entry in list_steps(self.server.engine.call, arn):
            callback = (entry.get("Metadata") or {}).get("Callback")
            step = self._stand_ins.find_step(str(entry["StepName"]))
            if entry["StepStatus"] != "Executing" or not callback or step is None:
                continue
            outputs = [
                {"Name": output, "Value": value if isinstance(value, str) else str(value)}
                for output, value in self._stand_ins.outputs_of(step).items()
            ]
            try:
                self._call(
                    "SendPipelineExecutionStepSuccess",
                    CallbackToken=callback["CallbackToken"],
                    OutputParameters=outputs,
                    ClientRequestToken=_token(),
                )
            except ServiceError:
                # The step is between two states. The next look finds it in one of them.
                continue
            self._stand_ins.note(step.name, ["answer to the callback"])

    def _report(
        self,
        definition: PipelineDefinition,
        described: Mapping[str, Any],
        *,
        seconds: float,
        made: Mapping[str, JsonValue],
        name: str,
    ) -> RehearsalReport:
        arn = described["PipelineExecutionArn"]
        types: dict[str, Step] = {step.name: step for step in definition.iter_steps()}
        entries = list(list_steps(self.server.engine.call, arn))
        steps = []
        for entry in entries:
            step = self._stand_ins.find_step(entry["StepName"])
            steps.append(
                RehearsedStep(
                    name=entry["StepName"],
                    type=step.type if step is not None else "",
                    status=str(entry["StepStatus"]),
                    failure_reason=entry.get("FailureReason"),
                    stood_in=tuple(self._stand_ins.notes.get(entry["StepName"], ())),
                )
            )
        started = {entry["StepName"] for entry in entries}
        return RehearsalReport(
            pipeline=name,
            execution_arn=arn,
            status=str(described["PipelineExecutionStatus"]),
            failure_reason=described.get("FailureReason"),
            seconds=seconds,
            steps=tuple(steps),
            not_started=tuple(step for step in types if step not in started),
            made_parameters=made,
        )


def _make_parameters(definition: PipelineDefinition, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Values for the parameters that have none."""
    made: dict[str, JsonValue] = {}
    for parameter in definition.parameters:
        if parameter.name in given or parameter.default is not MISSING:
            continue
        if parameter.enum_values:
            made[parameter.name] = parameter.enum_values[0]
        else:
            by_type: dict[str, JsonValue] = {"Integer": 1, "Float": 0.5, "Boolean": True}
            value = by_type.get(parameter.type, _make_text(definition, parameter.name))
            made[parameter.name] = value if parameter.type in by_type or isinstance(value, str) else "rehearsal"
    return made


def _make_text(definition: PipelineDefinition, name: str) -> JsonValue:
    """A value for a text parameter: an address where a step has it as one, else what its name says."""
    for _, step in iter_step_places(definition):
        for path, expression in iter_expressions(step.arguments):
            if isinstance(expression, ParameterReference) and expression.name == name:
                member = next((part for part in reversed(path) if isinstance(part, str)), "")
                value = sample_value(member)
                if isinstance(value, str) and value.endswith(f"/{member}"):
                    return f"{value}/{name}"
    return sample_value(name)


def _token() -> str:
    import secrets

    return secrets.token_hex(16)
