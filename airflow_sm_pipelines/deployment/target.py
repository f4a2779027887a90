"""The pipeline that an author wants deployed: loaded, tagged, filled in and checked, before any call that writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.deployment.changes import PipelineTarget
    from airflow_sm_pipelines.deployment.source import LoadedDefinition
    from airflow_sm_pipelines.policy import Finding, TeamPolicy

POLICY_CHOICES = ("enforce", "apply", "warn", "off")


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What an author says about a deployment; the deploy operator describes each.

    :param folder: where relative paths start, and where a script without a folder of its own runs.
    """

    pipeline: Any
    folder: str
    role_arn: str | None = None
    pipeline_name: str | None = None
    config: Mapping[str, Any] | None = None
    interpreter: str | None = None
    aliases: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    version_name: str | None = None
    version_description: str | None = None
    pipeline_display_name: str | None = None
    max_parallel_steps: int | None = None
    default_bucket: str | None = None
    definition_bucket: str | None = None
    policy_file: str | None = None
    policy: str = "enforce"
    cost_tags: Mapping[str, str] | None = None
    compile_timeout_seconds: float = 600
    is_run_in_folder: bool = False


def read_deploy_options(
    operator: Any,
    *,
    pipeline: Any,
    pipeline_name: str | None,
    config: Mapping[str, Any] | None,
    is_run_in_folder: bool = False,
) -> DeployOptions:
    """The options of an operator that deploys; a template that came out empty counts as not given.

    :param operator: has an attribute for each of the options that are not given here.
    """
    return DeployOptions(
        pipeline=pipeline,
        folder=str(Path(operator.dag.fileloc).parent),
        role_arn=operator.role_arn or None,
        pipeline_name=pipeline_name,
        config=config,
        interpreter=operator.interpreter or None,
        aliases=tuple(operator.aliases or ()),
        tags=dict(operator.tags or {}),
        description=operator.description or None,
        version_name=operator.version_name or None,
        version_description=operator.version_description or None,
        pipeline_display_name=operator.pipeline_display_name,
        max_parallel_steps=operator.max_parallel_steps,
        default_bucket=operator.default_bucket or None,
        definition_bucket=operator.definition_bucket or None,
        policy_file=operator.policy_file or None,
        policy=operator.policy,
        cost_tags=operator.cost_tags,
        compile_timeout_seconds=operator.compile_timeout_seconds,
        is_run_in_folder=is_run_in_folder,
    )


def load_target(calls: SageMakerCalls, options: DeployOptions, *, log: Logger) -> PipelineTarget:
    """The pipeline as it is to be deployed.

    :param log: told what a script prints, and what is filled in or found.
    :raises DefinitionError: naming everything that SageMaker or the team would refuse.
    :raises ArgumentError: if an argument is wrong or missing.
    """
    if options.policy not in POLICY_CHOICES:
        raise ArgumentError(f"policy={options.policy!r}: expected one of {', '.join(map(repr, POLICY_CHOICES))}.")
    if options.policy == "apply" and not options.policy_file:
        raise ArgumentError("policy='apply' fills in what a team's policy says: name its file with policy_file.")
    target = _target(_load(calls, options, log), options)
    return _apply_policy(_with_cost_tags(target, options.cost_tags), options, log)


def _load(calls: SageMakerCalls, options: DeployOptions, log: Logger) -> LoadedDefinition:
    from airflow_sm_pipelines.deployment.source import ScriptSettings, load_definition

    return load_definition(
        options.pipeline,
        folder=options.folder,
        calls=calls,
        settings=ScriptSettings(
            config=options.config,
            role_arn=options.role_arn,
            pipeline_name=options.pipeline_name,
            default_bucket=options.default_bucket,
            interpreter=options.interpreter,
            timeout_seconds=options.compile_timeout_seconds,
            working_folder=options.folder if options.is_run_in_folder else None,
        ),
        log=log.info,
    )


def _target(loaded: LoadedDefinition, options: DeployOptions) -> PipelineTarget:
    from airflow_sm_pipelines.definition import parse_definition
    from airflow_sm_pipelines.deployment.changes import PipelineTarget

    name = options.pipeline_name or loaded.name
    if not name:
        raise ArgumentError(f"pipeline_name is needed: {loaded.origin} does not name its pipeline.")
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
        tags={**(loaded.tags or {}), **{key: str(value) for key, value in options.tags.items()}},
    )


def _apply_policy(target: PipelineTarget, options: DeployOptions, log: Logger) -> PipelineTarget:
    """Fill in the team's defaults if that is asked for; log what the rules find; refuse what must not be deployed.

    :return: the pipeline to deploy.
    :raises DefinitionError: naming every error that was found.
    :raises PolicyError: when the policy file is none.
    """
    if options.policy == "off":
        return target
    from airflow_sm_pipelines.deployment.source import resolve_path
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
        team = load_policy(resolve_path(options.policy_file, folder=options.folder))
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


def _with_cost_tags(target: PipelineTarget, cost_tags: Mapping[str, str] | None) -> PipelineTarget:
    if cost_tags is None:
        return target
    from airflow_sm_pipelines.cost import with_cost_tags

    tagged = with_cost_tags(target.definition, {key: str(value) for key, value in cost_tags.items()})
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
