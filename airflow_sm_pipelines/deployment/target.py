"""The pipeline as it is to be deployed: loaded, tagged, filled in and checked, before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.valid_names import find_pipeline_name_problems
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError
from airflow_sm_pipelines.option_reader import TAG_MEMBERS, parse_named_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.deployment.options import DeployOptions
    from airflow_sm_pipelines.deployment.source import LoadedDefinition
    from airflow_sm_pipelines.policy import Finding, TeamPolicy


@dataclass(frozen=True, slots=True)
class PipelineTarget:
    """The pipeline as its author wants it. What is None stays as it is deployed.

    :param text: the definition, JSON text.
    :param parallelism: ``{"MaxParallelExecutionSteps": n}``.
    :param tags: added or changed; the pipeline's other tags stay.
    """

    name: str
    text: str
    definition: PipelineDefinition
    role_arn: str | None
    description: str | None
    display_name: str | None
    parallelism: Mapping[str, Any] | None
    tags: Mapping[str, str]


def load_target(
    calls: SageMakerCalls, options: DeployOptions, *, log: Logger, script_log: Callable[[str], None] | None = None
) -> PipelineTarget:
    """The pipeline as it is to be deployed.

    :param log: told what is filled in or found.
    :param script_log: told what a script prints; ``log`` where not given.
    :raises DefinitionError: naming everything that SageMaker or the team would refuse.
    :raises ArgumentError: if an option is wrong or missing.
    """
    from airflow_sm_pipelines.deployment.source import load_definition

    options.check()
    # What packages print goes with the script's own lines where a caller keeps those for itself.
    chatter = None if script_log is not None else log.debug
    loaded = load_definition(calls, options, log=script_log or log.info, chatter=chatter)
    target = _target(loaded, options)
    return _apply_policy(_with_cost_tags(target, options.cost_tags), options, log)


def _target(loaded: LoadedDefinition, options: DeployOptions) -> PipelineTarget:
    from airflow_sm_pipelines.definition import parse_definition

    name = options.pipeline_name or loaded.name
    if not name:
        raise ArgumentError(f"pipeline_name is needed: {loaded.origin} does not name its pipeline.")
    if problems := find_pipeline_name_problems(name, name=f"{loaded.origin}: name"):
        raise ArgumentError(problems[0])
    parallelism = loaded.parallelism
    if options.max_parallel_steps is not None:
        parallelism = {"MaxParallelExecutionSteps": int(options.max_parallel_steps)}
    return PipelineTarget(
        name=name,
        text=loaded.text,
        definition=parse_definition(loaded.text, name=loaded.origin),
        role_arn=options.role_arn,
        description=options.description or loaded.description,
        display_name=options.pipeline_display_name,
        parallelism=parallelism,
        tags={**(loaded.tags or {}), **_parse_tags("tags", options.tags)},
    )


def _apply_policy(target: PipelineTarget, options: DeployOptions, log: Logger) -> PipelineTarget:
    """Fill in the team's defaults if the options ask for it, log what the rules find, and refuse errors.

    :return: the pipeline to deploy.
    :raises DefinitionError: naming every error that was found.
    :raises PolicyError: when the policy file is no policy.
    """
    if options.policy == "off":
        return target
    from airflow_sm_pipelines.policy import (
        DEFAULT_RULES,
        Severity,
        check_definition,
        check_pipeline_role,
        load_policy,
        make_team_rule,
        render_findings,
    )

    rules = DEFAULT_RULES
    role_findings: tuple[Finding, ...] = ()
    if options.policy_file:
        team = load_policy(options.resolve_path(options.policy_file))
        rules = (*DEFAULT_RULES, make_team_rule(team))
        role_findings = check_pipeline_role(target.role_arn, team)
        if options.policy == "apply":
            target = _with_defaults(target, team, log)
    findings = (*role_findings, *check_definition(target.definition, rules=rules))
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors and options.policy != "warn":
        refuser = "SageMaker, or the policy of the team," if options.policy_file else "SageMaker"
        raise DefinitionError(f"{refuser} would refuse pipeline '{target.name}':\n{render_findings(errors)}")
    if findings:
        log.warning("Findings in pipeline '%s':\n%s", target.name, render_findings(findings))
    return target


def _parse_tags(option: str, given: object) -> dict[str, str]:
    return {key: str(value) for key, value in parse_named_values(option, given, members=TAG_MEMBERS).items()}


def _with_cost_tags(target: PipelineTarget, cost_tags: object) -> PipelineTarget:
    if cost_tags is None:
        return target
    from airflow_sm_pipelines.cost import with_cost_tags

    tagged = with_cost_tags(target.definition, _parse_tags("cost_tags", cost_tags))
    return replace(target, definition=tagged, text=json.dumps(tagged.to_json()))


def _with_defaults(target: PipelineTarget, team: TeamPolicy, log: Logger) -> PipelineTarget:
    from airflow_sm_pipelines.definition import diff_definitions, render_changes
    from airflow_sm_pipelines.policy import with_team_defaults

    filled = with_team_defaults(target.definition, team)
    changes = diff_definitions(target.definition, filled)
    if not changes:
        return target
    log.info("Filled in from %s:\n%s", team.name, render_changes(changes))
    return replace(target, definition=filled, text=json.dumps(filled.to_json()))
