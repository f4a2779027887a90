"""Deploys a pipeline: compares, writes what differs, tags, names the version and moves the aliases.

What changes is decided in :mod:`~airflow_sm_pipelines.deployment.changes`, what to deploy is loaded by
:mod:`~airflow_sm_pipelines.deployment.target`; this module makes the calls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.deployment.target import PipelineTarget, load_target
from airflow_sm_pipelines.exceptions import (
    ArgumentError,
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PipelineUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import DeployedPipeline, SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.deployment.options import DeployOptions
    from airflow_sm_pipelines.deployment.provenance import CommandProvenance, Provenance
    from airflow_sm_pipelines.planning.generated_names import NamesOnly

MAX_LOOKS = 5
"""How often a deployment looks again at a pipeline that somebody else writes at the same moment."""

MAX_UNCLEAR_WRITES = 2
"""How often a write without a clear answer is followed by another look, and made again if it was not carried out."""

LOOK_PAUSE_SECONDS = 0.5
"""Seconds between two such looks."""

_MAX_LINES = 5
"""Changes that the log lists; a command shows all of them."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The result of a deployment.

    :param action: ``"created"``, ``"updated"`` or ``"unchanged"``.
    """

    pipeline_name: str
    pipeline_arn: str
    version_id: int
    action: str
    definition_hash: str
    aliases: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The deployment as JSON."""
        return {
            "pipeline_name": self.pipeline_name,
            "pipeline_arn": self.pipeline_arn,
            "pipeline_version_id": self.version_id,
            "action": self.action,
            "definition_hash": self.definition_hash,
            "aliases": list(self.aliases),
        }


@dataclass(frozen=True, slots=True)
class _UnclearWrite:
    """A write whose answer was lost.

    :param action: what the deployment did, if it was carried out.
    :param version_id: the newest version before; 0 where there was no pipeline.
    """

    action: str
    version_id: int


class PipelineDeployer:
    """Carries out one deployment.

    :param calls: the connection to call through.
    :param options: what to deploy, and how.
    :param provenance: who deploys; a new version's description says it.
    :param log: told what changes.
    :param script_log: told what a pipeline script prints; ``log`` where not given.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        options: DeployOptions,
        *,
        provenance: Provenance | CommandProvenance,
        log: Logger,
        script_log: Callable[[str], None] | None = None,
    ) -> None:
        self._calls = calls
        self._options = options
        self._provenance = provenance
        self._log = log
        self._script_log = script_log

    def deploy(self, *, check: Callable[[PipelineDefinition], None] | None = None) -> Deployment:
        """Create or update the pipeline where it differs from the options, and move the aliases.

        :param check: called with the definition before anything is written; what it raises ends the deployment.
        :raises DefinitionError: naming everything that SageMaker or the team would refuse.
        :raises ArgumentError: if an option is wrong or missing.
        """
        from airflow_sm_pipelines.definition import definition_hash

        options = self._options
        if options.aliases:
            self._calls.require_aliases()  # before anything is written
        target = load_target(self._calls, options, log=self._log, script_log=self._script_log)
        if check is not None:
            check(target.definition)
        arn, version_id, action, is_new_version = self._write(target)
        self._tag(arn, target, is_new=action == "created")
        if is_new_version:
            self._label_version(arn, version_id)
        self._point_aliases(arn, version_id)
        aliases = f", aliases {', '.join(options.aliases)}" if options.aliases else ""
        self._log.info("Pipeline '%s' %s: version %s%s, %s", target.name, action, version_id, aliases, arn)
        return Deployment(
            pipeline_name=target.name,
            pipeline_arn=arn,
            version_id=version_id,
            action=action,
            definition_hash=definition_hash(target.definition),
            aliases=tuple(options.aliases),
        )

    # --- the calls --------------------------------------------------------------------------------------------------

    def _describe(self, name: str) -> tuple[DeployedPipeline, int] | None:
        """The newest version with its id, so that a version that somebody else deploys meanwhile is not mixed in."""
        try:
            versions = self._calls.list_versions(name)
            version_id = versions[0].id if versions else None
            return self._calls.describe_pipeline(name, version=version_id), version_id or 1
        except PipelineNotFoundError:
            return None

    def _write(self, target: PipelineTarget) -> tuple[str, int, str, bool]:
        """Create or update; the ARN, the version, the action, and whether the version is new.

        What is there may change between the look and the write, so a refusal that another look settles is followed by
        one. So is a write without a clear answer: it may have been carried out.
        """
        unclear: _UnclearWrite | None = None
        for left in range(MAX_LOOKS, -1, -1):
            found = self._describe(target.name)
            if unclear is not None and found is not None and (done := self._settle(target, found, unclear)):
                return done
            try:
                return self._create(target) if found is None else self._update(target, *found)
            except PipelineUnavailableError as error:
                if left <= MAX_LOOKS - MAX_UNCLEAR_WRITES:
                    raise
                unclear = unclear or _UnclearWrite(*(("created", 0) if found is None else ("updated", found[1])))
                self._log.warning("Looking whether '%s' was written: %s", target.name, error)
            except PipelineApiError as error:
                if not left or not _may_settle(error, is_creation=found is None):
                    raise
                self._log.info("Somebody else writes '%s' at the same moment; comparing again: %s", target.name, error)
            time.sleep(LOOK_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    def _settle(
        self, target: PipelineTarget, found: tuple[DeployedPipeline, int], unclear: _UnclearWrite
    ) -> tuple[str, int, str, bool] | None:
        """The result of a write whose answer was lost; None if it was not carried out."""
        from airflow_sm_pipelines.deployment.changes import plan_update

        deployed, version_id = found
        own = self._find_version(target, after=unclear.version_id)
        if own is not None:
            return deployed.arn, own, unclear.action, True
        if plan_update(target, deployed).is_empty:
            return deployed.arn, version_id, unclear.action, False
        return None

    def _create(self, target: PipelineTarget) -> tuple[str, int, str, bool]:
        if target.role_arn is None:
            raise ArgumentError(
                f"role_arn is needed to create pipeline '{target.name}': executions assume that role. On a local "
                "endpoint any role's ARN will do."
            )
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
        arn = self._calls.create_pipeline(target.name, **request)
        return arn, self._own_version(target), "created", True

    def _update(
        self, target: PipelineTarget, deployed: DeployedPipeline, version_id: int
    ) -> tuple[str, int, str, bool]:
        from airflow_sm_pipelines.deployment.changes import plan_update

        plan = plan_update(target, deployed)
        if plan.is_empty:
            return deployed.arn, version_id, "unchanged", False
        if plan.has_definition and (names_only := self._find_names_only(target, deployed)) is not None:
            self._log.info("%s", names_only)
        hidden = len(plan.lines) - _MAX_LINES
        lines = plan.lines if hidden <= 0 else (*plan.lines[:_MAX_LINES], f"... and {hidden} more")
        self._log.info("Changes to pipeline '%s':\n%s", target.name, "\n".join(lines))
        arguments = self._definition_arguments(target) if plan.has_definition else {}
        arn, new_id = self._calls.update_pipeline(target.name, **arguments, **plan.request)
        if new_id is None and plan.has_definition:
            new_id = self._own_version(target)
        if hidden > 0 and plan.has_definition:
            self._log.info("All changes: sm-pipelines versions %s --diff %s %s", target.name, version_id, new_id)
        return arn, new_id or version_id, "updated", plan.has_definition

    def _find_names_only(self, target: PipelineTarget, deployed: DeployedPipeline) -> NamesOnly | None:
        from airflow_sm_pipelines.definition import inspect_definition
        from airflow_sm_pipelines.deployment.names_only import find_names_only

        old = inspect_definition(deployed.definition_text)[0]
        return None if old is None else find_names_only(self._calls, old, target.definition)

    def _own_version(self, target: PipelineTarget) -> int:
        """The newest version whose definition is the one that was written; others may have added newer ones.

        :raises PipelineUnavailableError: if no version has it.
        """
        for _ in range(MAX_LOOKS):
            version_id = self._find_version(target)
            if version_id is not None:
                return version_id
            time.sleep(LOOK_PAUSE_SECONDS)
        raise PipelineUnavailableError(
            f"Pipeline '{target.name}' was written, but no version of it has the definition.", code="VersionNotFound"
        )

    def _find_version(self, target: PipelineTarget, *, after: int = 0) -> int | None:
        """The newest version with the target's definition; None if none of those after ``after`` has it."""
        from airflow_sm_pipelines.definition import definition_hash, inspect_definition

        wanted = definition_hash(target.definition)
        for version in self._calls.list_versions(target.name):
            if version.id <= after:
                return None
            deployed = self._calls.describe_pipeline(target.name, version=version.id)
            found = inspect_definition(deployed.definition_text)[0]
            if found is not None and definition_hash(found) == wanted:
                return version.id
        return None

    def _definition_arguments(self, target: PipelineTarget) -> dict[str, Any]:
        from airflow_sm_pipelines.definition import definition_hash
        from airflow_sm_pipelines.deployment.changes import write_definition

        bucket = self._options.definition_bucket or self._options.default_bucket
        return write_definition(self._calls, target, bucket=bucket, digest=definition_hash(target.definition))

    def _tag(self, arn: str, target: PipelineTarget, *, is_new: bool) -> None:
        if is_new or not target.tags:
            return
        present = self._calls.list_tags(arn)
        missing = {key: value for key, value in target.tags.items() if present.get(key) != value}
        if missing:
            self._calls.add_tags(arn, missing)
            present = self._calls.list_tags(arn)
            lost = [key for key, value in missing.items() if present.get(key) != value]
            if lost:
                self._log.warning("The tags %s do not show yet, or somebody else has changed them.", ", ".join(lost))
            self._log.info("Tags: %s", ", ".join(f"{key}={value}" for key, value in missing.items()))

    def _label_version(self, arn: str, version_id: int) -> None:
        """Write on a version who made it. Where the role may not, the deployment is done all the same."""
        try:
            self._calls.update_version_labels(
                arn,
                version_id,
                display_name=self._options.version_name or self._provenance.version_name,
                description=self._options.version_description or self._provenance.text,
            )
        except PipelineApiError as error:
            self._log.warning("Version %s has no name and description of who made it: %s", version_id, error)

    def _point_aliases(self, arn: str, version_id: int) -> None:
        from airflow_sm_pipelines.deployment.aliases import move_aliases

        if self._options.aliases:
            move_aliases(
                self._calls, pipeline_arn=arn, version_id=version_id, aliases=self._options.aliases, log=self._log
            )


def _may_settle(error: PipelineApiError, *, is_creation: bool) -> bool:
    """Whether another look may settle a refused write."""
    from airflow_sm_pipelines.deployment.changes import is_already_there

    if is_creation:
        return is_already_there(error)
    return isinstance(error, (PipelineConflictError, PipelineNotFoundError))
