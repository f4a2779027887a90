"""Old versions and pipelines: what changed between two versions, and which pipelines to delete.

Which version an alias points to is decided in :mod:`~airflow_sm_pipelines.deployment.aliases`.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.exceptions import PipelineNotFoundError, PipelineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_sm_pipelines.client.calls import PipelineSummary, SageMakerCalls
    from airflow_sm_pipelines.definition.diff import Change

_STAMP = re.compile(r"^\d{4}-?\d{2}-?\d{2}[T-]?\d{2}-?\d{2}(-?\d{2})?Z?$")


def diff_versions(
    calls: SageMakerCalls, name: str, *, old: str | int | None, new: str | int | None
) -> tuple[Change, ...]:
    """What changed in the definition from one version to another; each an id, an alias, or None for the latest."""
    from airflow_sm_pipelines.definition import diff_definitions, parse_definition

    texts = [calls.describe_pipeline(name, version=version).definition_text for version in (old, new)]
    before, after = (
        parse_definition(text, name=f"{name} version {version or 'latest'}")
        for text, version in zip(texts, (old, new), strict=True)
    )
    return diff_definitions(before, after)


def plan_prune(
    pipelines: Iterable[PipelineSummary], *, prefix: str, keep: int, older_than: timedelta | None, now: datetime
) -> list[PipelineSummary]:
    """Which pipelines named ``<prefix>-<timestamp>`` to delete: all but the newest, if they are old enough.

    The age counts from the last execution, or from the creation of a pipeline that never ran. Pure.

    :param prefix: the name without its timestamp (``20261123T041500``, ``2026-11-23-04-15-00``, ...).
    :param keep: how many of the newest to keep, whatever their age.
    :param older_than: keep younger ones as well; None for any age.
    """
    stamped = [one for one in pipelines if is_stamped(one.name, prefix)]
    stamped.sort(key=lambda one: one.name, reverse=True)
    found = []
    for one in stamped[max(keep, 0) :]:
        used = one.last_execution or one.created
        if older_than is None or (used is not None and now - used > older_than):
            found.append(one)
    return found


def is_stamped(name: str, prefix: str) -> bool:
    """Whether a pipeline's name is the prefix and a timestamp."""
    return name.startswith(f"{prefix}-") and _STAMP.match(name[len(prefix) + 1 :]) is not None


def prune(
    calls: SageMakerCalls,
    prefix: str,
    *,
    keep: int,
    older_than: timedelta | None,
    is_dry_run: bool,
    log: Callable[[str], None],
) -> list[str]:
    """Delete old pipelines named ``<prefix>-<timestamp>``, but none with a running execution.

    :return: the names, deleted or, in a dry run, to be deleted.
    """
    chosen = plan_prune(
        calls.list_pipelines(prefix=prefix),
        prefix=prefix,
        keep=keep,
        older_than=older_than,
        now=datetime.now(timezone.utc),
    )
    done = []
    for one in chosen:
        if next((run for run in calls.list_executions(one.name) if not run.is_terminal), None) is not None:
            log(f"Pipeline '{one.name}' is running, so it stays.")
            continue
        if not is_dry_run:
            delete(calls, one.name)
        log(f"Pipeline '{one.name}' {'would be' if is_dry_run else 'was'} deleted.")
        done.append(one.name)
    return done


def delete(calls: SageMakerCalls, name: str) -> bool:
    """Delete a pipeline with all its versions; False if there was none.

    A call without a clear answer may have been carried out. So it is made again, with the same token, until the
    pipeline is gone.
    """
    token = ""
    for pause in (*calls.answer_pauses, None):
        try:
            arn = calls.describe_pipeline(name).arn
            token = token or make_token("delete", arn, datetime.now(timezone.utc).isoformat())
            calls.delete_pipeline(name, token=token)
            return True
        except PipelineNotFoundError:
            return bool(token)
        except PipelineUnavailableError:
            if pause is None or not token:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")
