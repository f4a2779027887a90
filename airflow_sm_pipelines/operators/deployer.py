"""Deploys a pipeline: loads, checks, compares, writes what differs, tags, names the version and moves the aliases.

The rules stand in :mod:`~airflow_sm_pipelines.operators.deployment`; here they are put to work, for whichever operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import DefinitionError, PipelineApiError, PipelineNotFoundError
from airflow_sm_pipelines.operators.faults import raise_final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.hooks.pipelines import DeployedPipeline, SageMakerPipelinesHook
    from airflow_sm_pipelines.operators.deployment import PipelineTarget
    from airflow_sm_pipelines.operators.provenance import Provenance
    from airflow_sm_pipelines.operators.source import LoadedDefinition
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


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is deployed now.

    :param action: ``"created"``, ``"updated"`` or ``"unchanged"``.
    """

    pipeline_name: str
    pipeline_arn: str
    version_id: int
    action: str
    definition_hash: str
    aliases: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The deployment as JSON, for XCom."""
        return {
            "pipeline_name": self.pipeline_name,
            "pipeline_arn": self.pipeline_arn,
            "pipeline_version_id": self.version_id,
            "action": self.action,
            "definition_hash": self.definition_hash,
            "aliases": list(self.aliases),
        }


class PipelineDeployer:
    """One deployment.

    :param hook: the connection to call through.
    :param options: what the author says.
    :param provenance: who deploys; goes into the description of a new version.
    :param log: told what changes.
    """

    def __init__(
        self, hook: SageMakerPipelinesHook, options: DeployOptions, *, provenance: Provenance, log: Logger
    ) -> None:
        """Call nothing yet."""
        self._hook = hook
        self._options = options
        self._provenance = provenance
        self._log = log

    def deploy(self) -> Deployment:
        """Bring the pipeline to what its author wants.

        :raises DefinitionError: naming everything that SageMaker or the team would refuse.
        :raises AirflowFailException: if an argument is wrong or missing.
        """
        from airflow_sm_pipelines.definition import definition_hash

        options = self._options
        if options.policy not in POLICY_CHOICES:
            raise_final(f"policy={options.policy!r}: expected one of {', '.join(map(repr, POLICY_CHOICES))}.")
        if options.policy == "apply" and not options.policy_file:
            raise_final("policy='apply' fills in what a team's policy says: name its file with policy_file.")
        target = self._apply_policy(self._with_cost_tags(self._target(self._load())))
        arn, version_id, action, is_new_version = self._write(target)
        self._tag(arn, target, is_new=action == "created")
        if is_new_version:
            self._describe_version(arn, version_id)
        self._point_aliases(arn, version_id)
        self._log.info("Pipeline '%s' %s: version %s, %s", target.name, action, version_id, arn)
        return Deployment(
            pipeline_name=target.name,
            pipeline_arn=arn,
            version_id=version_id,
            action=action,
            definition_hash=definition_hash(target.definition),
            aliases=tuple(options.aliases),
        )

    # --- the definition ---------------------------------------------------------------------------------------------

    def _load(self) -> LoadedDefinition:
        from airflow_sm_pipelines.operators.source import ScriptSettings, load_definition

        options = self._options
        return load_definition(
            options.pipeline,
            folder=options.folder,
            hook=self._hook,
            settings=ScriptSettings(
                config=options.config,
                role_arn=options.role_arn,
                pipeline_name=options.pipeline_name,
                default_bucket=options.default_bucket,
                interpreter=options.interpreter,
                timeout_seconds=options.compile_timeout_seconds,
                working_folder=options.folder if options.is_run_in_folder else None,
            ),
            log=self._log.info,
        )

    def _target(self, loaded: LoadedDefinition) -> PipelineTarget:
        from airflow_sm_pipelines.definition import parse_definition
        from airflow_sm_pipelines.operators.deployment import PipelineTarget

        options = self._options
        name = options.pipeline_name or loaded.name
        if not name:
            raise_final(f"pipeline_name is needed: {loaded.origin} does not name its pipeline.")
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

    def _apply_policy(self, target: PipelineTarget) -> PipelineTarget:
        """Fill in the team's defaults if that is asked for; log what the rules find; refuse what must not be deployed.

        :return: the pipeline to deploy.
        :raises DefinitionError: naming every error that was found.
        :raises PolicyError: when the policy file is none.
        """
        options = self._options
        if options.policy == "off":
            return target
        from airflow_sm_pipelines.operators.source import resolve_path
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
                target = self._with_defaults(target, team)
        findings = (*role_findings, *check_definition(target.definition, rules=rules))
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors and options.policy != "warn":
            refuser = "SageMaker, or the policy of the team," if options.policy_file else "SageMaker"
            raise DefinitionError(f"{refuser} would refuse pipeline '{target.name}':\n{render_findings(errors)}")
        if findings:
            self._log.warning("Findings in pipeline '%s':\n%s", target.name, render_findings(findings))
        return target

    def _with_cost_tags(self, target: PipelineTarget) -> PipelineTarget:
        if self._options.cost_tags is None:
            return target
        from airflow_sm_pipelines.cost import with_cost_tags

        tagged = with_cost_tags(target.definition, {key: str(value) for key, value in self._options.cost_tags.items()})
        return replace(target, definition=tagged, text=json.dumps(tagged.to_json()))

    def _with_defaults(self, target: PipelineTarget, team: TeamPolicy) -> PipelineTarget:
        from airflow_sm_pipelines.definition import diff_definitions, render_changes
        from airflow_sm_pipelines.policy import with_team_defaults

        filled = with_team_defaults(target.definition, team)
        changes = diff_definitions(target.definition, filled)
        if not changes:
            return target
        self._log.info("Filled in from %s:\n%s", team.name, render_changes(changes))
        return replace(target, definition=filled, text=json.dumps(filled.to_json()))

    # --- the calls --------------------------------------------------------------------------------------------------

    def _describe(self, name: str) -> tuple[DeployedPipeline, int] | None:
        """The newest version and its id, as one: what somebody else deploys meanwhile has another id."""
        try:
            versions = self._hook.list_versions(name)
            version_id = versions[0].id if versions else None
            return self._hook.describe_pipeline(name, version=version_id), version_id or 1
        except PipelineNotFoundError:
            return None

    def _write(self, target: PipelineTarget) -> tuple[str, int, str, bool]:
        """ARN, version, action, and whether the version is new."""
        from airflow_sm_pipelines.operators.deployment import is_already_there

        found = self._describe(target.name)
        if found is None:
            try:
                return self._create(target)
            except PipelineApiError as error:
                if not is_already_there(error):
                    raise
                self._log.info("Somebody else created '%s' at the same moment; comparing with that.", target.name)
                found = self._describe(target.name)
                if found is None:
                    raise
        return self._update(target, *found)

    def _create(self, target: PipelineTarget) -> tuple[str, int, str, bool]:
        if target.role_arn is None:
            raise_final(f"role_arn is needed to create pipeline '{target.name}': executions assume that role.")
        request: dict[str, Any] = self._definition_arguments(target)
        request |= {
            "RoleArn": target.role_arn,
            "Tags": [{"Key": key, "Value": value} for key, value in target.tags.items()],
        }
        for key, value in (
            ("PipelineDescription", target.description),
            ("PipelineDisplayName", target.display_name),
            ("ParallelismConfiguration", target.parallelism),
        ):
            if value is not None:
                request[key] = value
        arn = self._hook.create_pipeline(target.name, **request)
        return arn, self._latest_version(target.name), "created", True

    def _update(
        self, target: PipelineTarget, deployed: DeployedPipeline, version_id: int
    ) -> tuple[str, int, str, bool]:
        from airflow_sm_pipelines.operators.deployment import plan_update

        plan = plan_update(target, deployed)
        if plan.is_empty:
            return deployed.arn, version_id, "unchanged", False
        self._log.info("Changes to pipeline '%s':\n%s", target.name, "\n".join(plan.lines))
        arguments = self._definition_arguments(target) if plan.has_definition else {}
        arn, new_id = self._hook.update_pipeline(target.name, **arguments, **plan.request)
        if new_id is None and plan.has_definition:
            new_id = self._latest_version(target.name)
        return arn, new_id or version_id, "updated", plan.has_definition

    def _latest_version(self, name: str) -> int:
        versions = self._hook.list_versions(name)
        return versions[0].id if versions else 1

    def _definition_arguments(self, target: PipelineTarget) -> dict[str, Any]:
        from airflow_sm_pipelines.definition import definition_hash
        from airflow_sm_pipelines.operators.deployment import make_definition_arguments

        bucket = self._options.definition_bucket or self._options.default_bucket
        return make_definition_arguments(self._hook, target, bucket=bucket, digest=definition_hash(target.definition))

    def _tag(self, arn: str, target: PipelineTarget, *, is_new: bool) -> None:
        if is_new or not target.tags:
            return
        present = self._hook.list_tags(arn)
        missing = {key: value for key, value in target.tags.items() if present.get(key) != value}
        if missing:
            self._hook.add_tags(arn, missing)
            self._log.info("Tags: %s", ", ".join(f"{key}={value}" for key, value in missing.items()))

    def _describe_version(self, arn: str, version_id: int) -> None:
        """Write who made a version on it; a role that may not is no reason to fail a deployment that is done."""
        try:
            self._hook.describe_version_as(
                arn,
                version_id,
                display_name=self._options.version_name or self._provenance.version_name,
                description=self._options.version_description or self._provenance.text,
            )
        except PipelineApiError as error:
            self._log.warning("Version %s has no name and description of who made it: %s", version_id, error)

    def _point_aliases(self, arn: str, version_id: int) -> None:
        from airflow_sm_pipelines.operators.deployment import move_aliases, plan_alias_moves

        if not self._options.aliases:
            return
        versions = self._hook.list_versions(arn)
        moves = plan_alias_moves(self._options.aliases, version_id=version_id, versions=versions)
        move_aliases(self._hook, pipeline_arn=arn, version_id=version_id, moves=moves, log=self._log)
