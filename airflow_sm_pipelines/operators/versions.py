"""The operators on deployed versions: promote, roll back, prune, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import parse_arguments, parse_count_or_none, parse_flag, refuse_template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_sm_pipelines.deployment.aliases import Promotion


class _AliasOperator(SageMakerPipelinesOperator):
    """An operator that moves one alias."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Move the alias, and give the versions that it pointed to before and points to now."""
        return self.move(context).to_json()

    def move(self, context: Context) -> Promotion:
        """Move the alias."""
        raise NotImplementedError


class SageMakerPromotePipelineOperator(_AliasOperator):
    """Point an alias to a version of a pipeline, if that version has proven itself.

    The version that had the alias gets ``<alias>-previous``, for a rollback. If a call fails half-way, every alias goes
    back to where it was. XComs: ``pipeline_name``, ``alias``, ``pipeline_version_id``, ``previous_version_id``,
    ``is_moved``.

    :param pipeline_name: name or ARN of the pipeline.
    :param version: a version id, or another alias, such as the one it was tested under.
    :param alias: the alias to move: ``"prod"``.
    :param require_success: refuse, without retries, a version whose last execution did not succeed, or that never ran.
    """

    custom_operator_name = "SM promote pipeline"
    template_fields: Sequence[str] = ("pipeline_name", "version", "alias", "require_success", *AWS_TEMPLATE_FIELDS)

    def __init__(
        self, *, pipeline_name: str, version: str | int, alias: str, require_success: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline_name = pipeline_name
        self.version = version
        self.alias = alias
        self.require_success = require_success

    def move(self, context: Context) -> Promotion:
        """Move the alias, if the version may have it."""
        from airflow_sm_pipelines.deployment.aliases import promote

        parse_arguments(self, {"require_success": (parse_flag, True)})
        return promote(
            self.make_hook(),
            self.pipeline_name,
            version=self.version,
            alias=self.alias,
            is_success_required=self.require_success,
            log=self.log,
        )


class SageMakerRollBackPipelineOperator(_AliasOperator):
    """Point an alias back to the version that had it before the last promotion.

    The alias and ``<alias>-previous`` change places, so that a second rollback undoes the first. A retry finishes what
    its first attempt began (Airflow 3.3); a clear rolls back anew. The XComs are those of a promotion.

    :param pipeline_name: name or ARN of the pipeline.
    :param alias: the alias to move.
    :param version: point the alias to this version id or alias instead.
    """

    custom_operator_name = "SM roll back pipeline"
    template_fields: Sequence[str] = ("pipeline_name", "alias", "version", *AWS_TEMPLATE_FIELDS)

    def __init__(self, *, pipeline_name: str, alias: str, version: str | int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline_name = pipeline_name
        self.alias = alias
        self.version = version

    def move(self, context: Context) -> Promotion:
        """Move the alias back, or finish what an earlier attempt began."""
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
        from airflow_sm_pipelines.deployment.aliases import roll_back

        return roll_back(
            self.make_hook(),
            self.pipeline_name,
            alias=self.alias,
            version=self.version or None,
            memory=TaskStateStore(context),
            log=self.log,
        )


class SageMakerPrunePipelinesOperator(SageMakerPipelinesOperator):
    """Delete old pipelines of a team that gives each deployment a name of its own: ``<prefix>-<timestamp>``.

    Pipelines with other names, and those with a running execution, stay. XCom: the names of the deleted pipelines.

    :param prefix: the name without its timestamp.
    :param keep: how many of the newest pipelines stay, whatever their age.
    :param older_than: delete only pipelines that have not run for so long, or, if they never ran, were created so long
        ago.
    :param dry_run: only name the pipelines.
    """

    custom_operator_name = "SM prune pipelines"
    template_fields: Sequence[str] = ("prefix", "keep", "is_dry_run", *AWS_TEMPLATE_FIELDS)

    def __init__(
        self,
        *,
        prefix: str,
        keep: int = 10,
        older_than: timedelta | None = None,
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix
        self.keep = keep
        self.older_than = older_than
        self.is_dry_run = dry_run

    @failing_fast()
    def execute(self, context: Context) -> list[str]:
        """Delete the pipelines, one after the other."""
        from airflow_sm_pipelines.deployment.lifecycle import prune

        if not self.prefix:
            raise ArgumentError("prefix is empty: it must name the pipelines of one team.")
        refuse_template("older_than", self.older_than)
        parse_arguments(self, {"keep": (parse_count_or_none, 10)})
        return prune(
            self.make_hook(),
            self.prefix,
            keep=self.keep,
            older_than=self.older_than,
            is_dry_run=parse_flag("dry_run", self.is_dry_run) or False,
            log=self.log.info,
        )


class SageMakerDeletePipelineOperator(SageMakerPipelinesOperator):
    """Delete a pipeline with all its versions, if it exists.

    XCom: whether it existed.

    :param pipeline_name: name of the pipeline.
    """

    custom_operator_name = "SM delete pipeline"
    template_fields: Sequence[str] = ("pipeline_name", *AWS_TEMPLATE_FIELDS)

    def __init__(self, *, pipeline_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline_name = pipeline_name

    @failing_fast()
    def execute(self, context: Context) -> bool:
        """Delete the pipeline."""
        from airflow_sm_pipelines.deployment.lifecycle import delete

        was_there = delete(self.make_hook(), self.pipeline_name)
        self.log.info("Pipeline '%s' %s.", self.pipeline_name, "was deleted" if was_there else "is not there")
        return was_there
