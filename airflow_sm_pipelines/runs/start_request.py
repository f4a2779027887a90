"""The input of ``StartPipelineExecution``: what the author says, checked against the deployed definition."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sm_pipelines.client.valid_names import make_display_name
from airflow_sm_pipelines.exceptions import (
    ArgumentError,
    DefinitionError,
    PipelineAccessError,
    PipelineApiError,
    PipelineNotFoundError,
)
from airflow_sm_pipelines.option_reader import (
    PARAMETER_MEMBERS,
    find_count_problems,
    find_list_problems,
    find_mode_problems,
    parse_literal,
    parse_named_values,
    read_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.outputs import OutputRequest
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.option_reader import PolicyMode
    from airflow_sm_pipelines.runs.submission import TaskIdentity

RECENT = timedelta(minutes=10)
"""How old the executions are that may come from a start call without an answer."""

MISSING_ALIAS_SECONDS = 20.0
"""How long an alias that is not there is asked for again: somebody may be moving it."""

MISSING_ALIAS_PAUSE = 0.5
"""Seconds between two looks for an alias."""

Found = TypeVar("Found")

MAX_DESCRIPTION = 3072
"""Characters of an execution's description; source: the API's ``PipelineExecutionDescription`` shape."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What to run, and how. The run operator describes each option for authors.

    :param parameters: values by name; the API's list of ``{"Name": ..., "Value": ...}``; or a text that holds either,
        as ``"{{ params }}"`` gives it. Of a text, only those that the pipeline has are taken, and no nulls.
    :param is_one_template: whether one template gave all the parameters, whatever Airflow made of its text.
    :param select_steps: names, or the API's list of ``{"StepName": ...}``.
    :param policy_file: a team's policy, which the deployed definition must keep with the parameters of this start.
    :param policy: ``enforce`` refuses a start that breaks it, ``warn`` logs that, ``off`` does not look. ``apply``
        fills in at deployment; a start is refused as by ``enforce``.
    """

    pipeline_name: str
    version: str | int | None = None
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | None = None
    display_name: str | None = None
    description: str | None = None
    max_parallel_steps: int | None = None
    select_steps: Sequence[str] | Sequence[Mapping[str, str]] | None = None
    from_step: str | None = None
    source_execution_arn: str | None = None
    role_arn: str | None = None
    mlflow_experiment_name: str | None = None
    is_one_template: bool = False
    policy_file: str | None = None
    policy: PolicyMode = "enforce"

    @classmethod
    def of(cls, source: object, **given: Any) -> StartOptions:
        """Read the options from an operator or from parsed arguments.

        :param source: has attributes of the options' names; see :func:`read_options`.
        :param given: options to take instead of the source's.
        """
        return read_options(cls, source, **given)

    def check(self, definition: PipelineDefinition | None = None) -> None:
        """Refuse options that cannot be meant, before any call.

        :param definition: what will be run; None where only SageMaker has it.
        :raises ArgumentError: naming each wrong option, and what was expected.
        :raises ParameterError: naming every parameter and step that the definition does not have.
        """
        problems = find_count_problems("max_parallel_steps", self.max_parallel_steps)
        problems += find_list_problems("select_steps", self.select_steps)
        problems += find_mode_problems(self.policy)
        try:
            self.named_parameters()
        except ArgumentError as error:
            problems.append(str(error))
        if problems:
            raise ArgumentError("\n".join(problems))
        if definition is None:
            return
        from airflow_sm_pipelines.definition import resolve_parameters
        from airflow_sm_pipelines.runs.selection import plan_selection

        resolve_parameters(definition, self.named_parameters(definition))
        if self.select_steps or self.from_step:
            plan_selection(definition, steps=self.selected_names, from_step=self.from_step)

    @property
    def selected_names(self) -> list[str]:
        """The steps of ``select_steps`` by name."""
        return [
            str(one["StepName"]) if isinstance(one, Mapping) and set(one) == {"StepName"} else str(one)
            for one in self.select_steps or ()
        ]

    def named_parameters(self, definition: PipelineDefinition | None = None) -> dict[str, Any]:
        """The given parameters by name.

        :param definition: of parameters given as one text, take only those that it has.
        :raises ArgumentError: if they are in none of the forms there are.
        """
        given: Any = self.parameters
        if isinstance(given, str):
            given = _read_text(given)
        found = parse_named_values("parameters", given, members=PARAMETER_MEMBERS)
        if (self.is_one_template or isinstance(self.parameters, str)) and definition is not None:
            known = {parameter.name for parameter in definition.parameters}
            return {name: value for name, value in found.items() if name in known and value is not None}
        return found


def _read_text(text: str) -> Any:
    """The value in a text: JSON, or Python's own notation, which a template makes of a dict."""
    try:
        return parse_literal(text)
    except ValueError:
        raise ArgumentError(
            f"parameters={text!r}: expected values by name; as a text, JSON or a template of a dict."
        ) from None


def plan_start_request(
    calls: SageMakerCalls,
    options: StartOptions,
    *,
    identity: TaskIdentity | None,
    log: Logger,
    outputs: tuple[OutputRequest, ...] = (),
) -> dict[str, Any]:
    """The start call's input without its token.

    :param identity: the task that starts, which names and describes the execution where the options do not; None for
        a command.
    :param outputs: what will be read at the end; refused here if the pipeline has no such step.
    :raises DefinitionError: naming every output of a step that the pipeline does not have, or everything in which this
        start breaks the team's policy.
    :raises PolicyError: if the policy's file is none.
    :raises ArgumentError: if an option is wrong.
    :raises ParameterError: naming every parameter and step that does not fit the deployed definition.
    """
    from airflow_sm_pipelines.client.calls import plan_version_arguments

    options.check()
    request: dict[str, Any] = {"PipelineName": options.pipeline_name, **plan_version_arguments(options.version)}
    display_name, description = options.display_name, options.description
    if identity is not None:
        display_name = display_name or identity.display_name
        description = description or identity.description
    if display_name:
        request["PipelineExecutionDisplayName"] = make_display_name(display_name)
    if description:
        request["PipelineExecutionDescription"] = description[:MAX_DESCRIPTION]
    deployed = _DeployedDefinition(calls, options)
    if outputs:
        _check_outputs(deployed, outputs, log=log)
    if options.parameters:
        request["PipelineParameters"] = _encode_parameters(deployed, options, log=log)
    _check_policy(deployed, options, log=log)
    if options.select_steps or options.from_step:
        request["SelectiveExecutionConfig"] = _plan_selection(deployed, options, log=log)
    for key, value in (("RoleArn", options.role_arn), ("MlflowExperimentName", options.mlflow_experiment_name)):
        if value:
            request[key] = value
    if options.max_parallel_steps is not None:
        request["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": int(options.max_parallel_steps)}
    return request


class _DeployedDefinition:
    """The definition that will be run, asked for at most once."""

    def __init__(self, calls: SageMakerCalls, options: StartOptions) -> None:
        self.calls = calls
        self._options = options
        self._definition: PipelineDefinition | None = None

    def read(self) -> PipelineDefinition:
        """The definition.

        :raises PipelineAccessError: if it may not be read.
        :raises DefinitionError: if it is none.
        """
        from airflow_sm_pipelines.definition import parse_definition

        if self._definition is None:
            name, version = self._options.pipeline_name, self._options.version
            deployed = await_alias(version, lambda: self.calls.describe_pipeline(name, version=version))
            self._definition = parse_definition(deployed.definition_text, name=deployed.name)
        return self._definition


def await_alias(version: object, call: Callable[[], Found]) -> Found:
    """Make a call on a version; again for a while if the version is an alias that is not there.

    Between the two calls that move an alias it points nowhere.

    :param version: a version id, an alias, or None for the latest.
    :raises PipelineNotFoundError: if the alias does not come back.
    """
    is_alias = version is not None and str(version).strip() not in ("", "None") and not str(version).strip().isdigit()
    deadline = time.monotonic() + MISSING_ALIAS_SECONDS
    while True:
        try:
            return call()
        except PipelineNotFoundError:
            if not is_alias or time.monotonic() >= deadline:
                raise
        time.sleep(MISSING_ALIAS_PAUSE)


def describe_recent_starts(calls: SageMakerCalls, request: Mapping[str, Any]) -> str:
    """What to say when it is not known whether a start call has started an execution: which ones are new.

    :param request: the start call's input.
    """
    name = str(request.get("PipelineName"))
    text = "An execution may be running all the same."
    since = datetime.now(timezone.utc) - RECENT
    try:
        items, _ = calls.list_executions_page(PipelineName=name, CreatedAfter=since)
    except PipelineApiError as error:
        return f"{text} Which executions there are could not be asked: {error}"
    minutes = int(RECENT.total_seconds() // 60)
    found = ", ".join(f"{item['PipelineExecutionArn']} ({item['PipelineExecutionStatus']})" for item in items)
    return f"{text} Executions of '{name}' in the last {minutes} minutes: {found or 'none'}."


def _check_outputs(deployed: _DeployedDefinition, outputs: tuple[OutputRequest, ...], *, log: Logger) -> None:
    from airflow_sm_pipelines.client.outputs import check_output_steps

    try:
        definition = deployed.read()
    except (PipelineAccessError, DefinitionError) as error:
        log.warning("Whether the pipeline has the steps of the outputs could not be checked: %s", error)
        return
    check_output_steps(outputs, definition)


def _check_policy(deployed: _DeployedDefinition, options: StartOptions, *, log: Logger) -> None:
    """Hold the deployed definition, with the parameters and the role of this start, to the team's policy."""
    if not options.policy_file or options.policy == "off":
        return
    from airflow_sm_pipelines.definition import resolve_parameters
    from airflow_sm_pipelines.policy import (
        check_definition,
        check_pipeline_role,
        load_policy,
        make_team_rule,
        render_findings,
    )

    team = load_policy(options.policy_file)
    definition = deployed.read()
    given = resolve_parameters(definition, options.named_parameters(definition))
    findings = (
        *check_pipeline_role(options.role_arn, team),
        *check_definition(definition, rules=(make_team_rule(team, given=given),)),
    )
    if findings and options.policy == "warn":
        log.warning("Findings in this start of '%s':\n%s", options.pipeline_name, render_findings(findings))
    elif findings:
        raise DefinitionError(
            f"The policy of the team refuses this start of '{options.pipeline_name}':\n{render_findings(findings)}"
        )


def _plan_selection(deployed: _DeployedDefinition, options: StartOptions, *, log: Logger) -> dict[str, Any]:
    from airflow_sm_pipelines.runs.selection import encode_selection, find_source, plan_selection

    selection = plan_selection(deployed.read(), steps=options.selected_names, from_step=options.from_step or None)
    source = options.source_execution_arn or find_source(deployed.calls, options.pipeline_name, selection)
    log.info("Selected steps: %s; source execution: %s", ", ".join(selection.steps), source or "none needed")
    return encode_selection(selection, source)


def _encode_parameters(deployed: _DeployedDefinition, options: StartOptions, *, log: Logger) -> list[dict[str, str]]:
    from airflow_sm_pipelines.definition import encode_parameters

    given = options.named_parameters()
    try:
        definition = deployed.read()
    except (PipelineAccessError, DefinitionError) as error:
        log.warning("The parameters are sent unchecked, as text: %s", error)
        return [{"Name": name, "Value": str(value)} for name, value in given.items()]
    taken = options.named_parameters(definition)
    if left := [name for name in given if name not in taken]:
        names = ", ".join(map(repr, left))
        log.info("Not sent, since the pipeline has no such parameters or they are null: %s.", names)
    return encode_parameters(definition, taken)
