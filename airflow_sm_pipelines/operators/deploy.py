"""The operator that brings a pipeline definition to SageMaker, and makes a version only when something changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import DefinitionError, PipelineApiError, PipelineNotFoundError
from airflow_sm_pipelines.links.console import SageMakerPipelineLink
from airflow_sm_pipelines.operators.aws_arguments import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.operators.faults import failing_fast, raise_final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.hooks.pipelines import DeployedPipeline, SageMakerPipelinesHook
    from airflow_sm_pipelines.operators.deployment import PipelineTarget
    from airflow_sm_pipelines.operators.source import LoadedDefinition
    from airflow_sm_pipelines.policy import Finding, TeamPolicy

POLICY_CHOICES = ("enforce", "apply", "warn", "off")


class SageMakerDeployPipelineOperator(SageMakerPipelinesOperator):
    """Deploy a SageMaker pipeline: create it, update it, or leave it alone when nothing changed.

    The definition is checked as a whole before any call, and compared with the deployed one in canonical form; what
    changed is in the log. A changed definition makes a new version; a changed role or description does not.

    **XComs.** ``multiple_outputs`` is on: ``pipeline_name``, ``pipeline_arn``, ``pipeline_version_id`` (a number),
    ``action`` (``"created"``, ``"updated"``, ``"unchanged"``), ``definition_hash`` and ``aliases`` are XComs of
    their own, so ``deploy.output["pipeline_name"]`` resolves, and the return value is a dict of them.

    :param pipeline: ``"script.py:function"`` (compiled with the SageMaker SDK in an interpreter of its own), the
        path of a JSON file, ``"s3://bucket/key"``, JSON text, or a dict. Relative paths start at the DAG file's folder.
    :param role_arn: the role that executions assume; needed to create a pipeline, kept where not given.
    :param pipeline_name: needed for everything but a script, which may name its pipeline itself.
    :param config: handed to the script's function as ``config``; JSON.
    :param interpreter: path of a Python that has the SDK, instead of one made from the script's requirements.
    :param aliases: aliases to point to this version; taken from the versions that hold them.
    :param tags: added to the pipeline, or changed; other tags stay.
    :param description: of the pipeline; the script's where not given.
    :param pipeline_display_name: shown in Studio.
    :param max_parallel_steps: steps of one execution that may run at once; the script's, else the deployed one, is
        kept.
    :param default_bucket: the script's bucket; SageMaker's default bucket where not given.
    :param definition_bucket: where a definition of 100 KB and more goes; ``default_bucket``'s rule where not given.
    :param policy_file: a TOML file with the team's rules, checked besides what SageMaker itself demands. Relative
        paths start at the DAG file's folder.
    :param policy: ``"enforce"`` refuses a definition that SageMaker or the team would refuse, with all findings and
        before any write; ``"apply"`` first fills the team's network, keys, limits and tags into the jobs that have
        none; ``"warn"`` only logs the findings, ``"off"`` does not look.
    :param cost_tags: tags for every job that the steps start, the same each time, as ``{"team": "forecasting"}``.
        Added with them are the pipeline, the execution, the step, the DAG and its run, as expressions, so that no run
        makes a version; give the Run operator ``COST_PARAMETERS`` for the last two. An empty dict adds only these.
    :param compile_timeout_seconds: how long the script may run, its environment already made.
    :param studio_domain_id: ``d-…``: lets the link lead to the pipeline itself instead of to Studio.
    """

    template_fields: Sequence[str] = (
        "pipeline",
        "role_arn",
        "pipeline_name",
        "config",
        "interpreter",
        "aliases",
        "tags",
        "description",
        "default_bucket",
        "definition_bucket",
        "policy_file",
        "cost_tags",
        *AWS_TEMPLATE_FIELDS,
    )
    template_fields_renderers = {"config": "json", "tags": "json", "cost_tags": "json"}
    operator_extra_links = (SageMakerPipelineLink(),)
    ui_color = "#e8f3ef"

    def __init__(
        self,
        *,
        pipeline: str | Mapping[str, Any],
        role_arn: str | None = None,
        pipeline_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        interpreter: str | None = None,
        aliases: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        pipeline_display_name: str | None = None,
        max_parallel_steps: int | None = None,
        default_bucket: str | None = None,
        definition_bucket: str | None = None,
        policy_file: str | None = None,
        policy: str = "enforce",
        cost_tags: Mapping[str, str] | None = None,
        compile_timeout_seconds: float = 600,
        studio_domain_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Hold the arguments; they are checked when the task runs."""
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.role_arn = role_arn
        self.pipeline_name = pipeline_name
        self.config = config
        self.interpreter = interpreter
        self.aliases = aliases
        self.tags = tags
        self.description = description
        self.pipeline_display_name = pipeline_display_name
        self.max_parallel_steps = max_parallel_steps
        self.default_bucket = default_bucket
        self.definition_bucket = definition_bucket
        self.policy_file = policy_file
        self.policy = policy
        self.cost_tags = cost_tags
        self.compile_timeout_seconds = compile_timeout_seconds
        self.studio_domain_id = studio_domain_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Load, check, compare, write what differs, move the aliases, publish."""
        from airflow_sm_pipelines.definition import definition_hash
        from airflow_sm_pipelines.operators.link_addresses import resolve_pipeline_links

        if self.policy not in POLICY_CHOICES:
            raise_final(f"policy={self.policy!r}: expected one of {', '.join(map(repr, POLICY_CHOICES))}.")
        if self.policy == "apply" and not self.policy_file:
            raise_final("policy='apply' fills in what a team's policy says: name its file with policy_file.")
        hook = self.make_hook()
        with failing_fast():
            target = self._apply_policy(self._with_cost_tags(self._target(self._load(hook))))
            deployed = self._describe(hook, target.name)
            arn, version_id, action = self._write(hook, target, deployed)
            self._tag(hook, arn, target, is_new=action == "created")
            self._point_aliases(hook, arn, version_id)
        result = {
            "pipeline_name": target.name,
            "pipeline_arn": arn,
            "pipeline_version_id": version_id,
            "action": action,
            "definition_hash": definition_hash(target.definition),
            "aliases": list(self.aliases or ()),
        }
        links = resolve_pipeline_links(hook, pipeline=arn, execution_arn=None, studio_domain_id=self.studio_domain_id)
        self.publish_links(context["ti"], links)
        self.log.info("Pipeline '%s' %s: version %s, %s", target.name, action, version_id, arn)
        return result

    def _load(self, hook: SageMakerPipelinesHook) -> LoadedDefinition:
        from airflow_sm_pipelines.operators.source import ScriptSettings, load_definition

        return load_definition(
            self.pipeline,
            folder=str(Path(self.dag.fileloc).parent),
            hook=hook,
            settings=ScriptSettings(
                config=self.config,
                role_arn=self.role_arn or None,
                pipeline_name=self.pipeline_name or None,
                default_bucket=self.default_bucket or None,
                interpreter=self.interpreter or None,
                timeout_seconds=self.compile_timeout_seconds,
            ),
            log=self.log.info,
        )

    def _target(self, loaded: LoadedDefinition) -> PipelineTarget:
        from airflow_sm_pipelines.definition import parse_definition
        from airflow_sm_pipelines.operators.deployment import PipelineTarget

        name = self.pipeline_name or loaded.name
        if not name:
            raise_final(f"pipeline_name is needed: {loaded.origin} does not name its pipeline.")
        parallelism = loaded.parallelism
        if self.max_parallel_steps is not None:
            parallelism = {"MaxParallelExecutionSteps": int(self.max_parallel_steps)}
        return PipelineTarget(
            name=name,
            text=loaded.text,
            definition=parse_definition(loaded.text, name=loaded.origin),
            role_arn=self.role_arn or None,
            description=self.description or loaded.description,
            display_name=self.pipeline_display_name,
            parallelism=parallelism,
            tags={**(loaded.tags or {}), **{key: str(value) for key, value in (self.tags or {}).items()}},
        )

    def _apply_policy(self, target: PipelineTarget) -> PipelineTarget:
        """Fill in the team's defaults if that is asked for; log what the rules find; refuse what must not be deployed.

        :return: the pipeline to deploy.
        :raises DefinitionError: naming every error that was found.
        :raises PolicyError: when the policy file is none.
        """
        if self.policy == "off":
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
        if self.policy_file:
            team = load_policy(resolve_path(self.policy_file, folder=str(Path(self.dag.fileloc).parent)))
            rules = (*DEFAULT_RULES, make_team_rule(team))
            role_findings = check_pipeline_role(target.role_arn, team)
            if self.policy == "apply":
                target = self._with_defaults(target, team)
        findings = (*role_findings, *check_definition(target.definition, rules=rules))
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors and self.policy != "warn":
            refuser = "SageMaker, or the policy of the team," if self.policy_file else "SageMaker"
            raise DefinitionError(f"{refuser} would refuse pipeline '{target.name}':\n{render_findings(errors)}")
        if findings:
            self.log.warning("Findings in pipeline '%s':\n%s", target.name, render_findings(findings))
        return target

    def _with_cost_tags(self, target: PipelineTarget) -> PipelineTarget:
        if self.cost_tags is None:
            return target
        from airflow_sm_pipelines.cost import with_cost_tags

        tagged = with_cost_tags(target.definition, {key: str(value) for key, value in self.cost_tags.items()})
        return replace(target, definition=tagged, text=json.dumps(tagged.to_json()))

    def _with_defaults(self, target: PipelineTarget, team: TeamPolicy) -> PipelineTarget:
        from airflow_sm_pipelines.definition import diff_definitions, render_changes
        from airflow_sm_pipelines.policy import with_team_defaults

        filled = with_team_defaults(target.definition, team)
        changes = diff_definitions(target.definition, filled)
        if not changes:
            return target
        self.log.info("Filled in from %s:\n%s", team.name, render_changes(changes))
        return replace(target, definition=filled, text=json.dumps(filled.to_json()))

    def _describe(self, hook: SageMakerPipelinesHook, name: str) -> DeployedPipeline | None:
        try:
            return hook.describe_pipeline(name)
        except PipelineNotFoundError:
            return None

    def _write(
        self, hook: SageMakerPipelinesHook, target: PipelineTarget, deployed: DeployedPipeline | None
    ) -> tuple[str, int, str]:
        from airflow_sm_pipelines.operators.deployment import is_already_there

        if deployed is None:
            try:
                return self._create(hook, target)
            except PipelineApiError as error:
                if not is_already_there(error):
                    raise
                self.log.info("Somebody else created '%s' at the same moment; comparing with that.", target.name)
                deployed = hook.describe_pipeline(target.name)
        return self._update(hook, target, deployed)

    def _create(self, hook: SageMakerPipelinesHook, target: PipelineTarget) -> tuple[str, int, str]:
        if target.role_arn is None:
            raise_final(f"role_arn is needed to create pipeline '{target.name}': executions assume that role.")
        request: dict[str, Any] = self._definition_arguments(hook, target)
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
        arn = hook.create_pipeline(target.name, **request)
        return arn, self._latest_version(hook, target.name), "created"

    def _update(
        self, hook: SageMakerPipelinesHook, target: PipelineTarget, deployed: DeployedPipeline
    ) -> tuple[str, int, str]:
        from airflow_sm_pipelines.operators.deployment import plan_update

        plan = plan_update(target, deployed)
        if plan.is_empty:
            return deployed.arn, self._latest_version(hook, target.name), "unchanged"
        self.log.info("Changes to pipeline '%s':\n%s", target.name, "\n".join(plan.lines))
        arguments = self._definition_arguments(hook, target) if plan.has_definition else {}
        arn, version_id = hook.update_pipeline(target.name, **arguments, **plan.request)
        if version_id is None:
            version_id = self._latest_version(hook, target.name)
        return arn, version_id, "updated"

    def _latest_version(self, hook: SageMakerPipelinesHook, name: str) -> int:
        versions = hook.list_versions(name)
        return versions[0].id if versions else 1

    def _definition_arguments(self, hook: SageMakerPipelinesHook, target: PipelineTarget) -> dict[str, Any]:
        from airflow_sm_pipelines.definition import definition_hash
        from airflow_sm_pipelines.operators.deployment import make_definition_arguments

        bucket = self.definition_bucket or self.default_bucket or None
        return make_definition_arguments(hook, target, bucket=bucket, digest=definition_hash(target.definition))

    def _tag(self, hook: SageMakerPipelinesHook, arn: str, target: PipelineTarget, *, is_new: bool) -> None:
        if is_new or not target.tags:
            return
        present = hook.list_tags(arn)
        missing = {key: value for key, value in target.tags.items() if present.get(key) != value}
        if missing:
            hook.add_tags(arn, missing)
            self.log.info("Tags: %s", ", ".join(f"{key}={value}" for key, value in missing.items()))

    def _point_aliases(self, hook: SageMakerPipelinesHook, arn: str, version_id: int) -> None:
        from airflow_sm_pipelines.operators.deployment import move_aliases, plan_alias_moves

        if not self.aliases:
            return
        versions = hook.list_versions(arn)
        moves = plan_alias_moves(self.aliases, version_id=version_id, versions=versions)
        move_aliases(hook, pipeline_arn=arn, version_id=version_id, moves=moves, log=self.log)
