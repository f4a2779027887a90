"""Lineage steps: they make actions, artifacts, contexts, and the associations between them.

Chosen: an association may name an entity of the same step, or an action or a context that exists. The properties of
the step are the maps of its metadata, from names to ARNs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.registry.lineage_entities import ENTITY_KINDS, add_association, add_entity
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError
from airflow_sm_pipelines.engine.rules.resolver import resolve
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue


class LineageExecutor:
    """Performs a Lineage step in one transaction."""

    is_instant = False

    def prepare(self, task: StepTask) -> JsonObject:
        """The entities and associations, resolved."""
        return {name: resolve(value, task.scope) for name, value in task.step.arguments.items()}

    def run(self, task: StepTask, prepared: JsonObject) -> StepOutcome:
        """Make what the step names."""
        task.mark_executing()
        now = task.services.clock()
        made: dict[str, Any] = {}
        try:
            with task.store.transaction():
                for kind in ENTITY_KINDS:
                    for request in _list(prepared.get(f"{kind.name}s")):
                        record = add_entity(task.store, task.arns, kind, request, now=now)
                        name = str(request.get(f"{kind.name}Name") or record.name)
                        made.setdefault(f"{kind.name}Arns", {})[name] = record.arn
                joined: list[JsonValue] = []
                for request in _list(prepared.get("Associations")):
                    ends = {f"{end}Arn": _find_end(task, request, end, made) for end in ("Source", "Destination")}
                    kept = {key: request[key] for key in ("AssociationType",) if key in request}
                    add_association(task.store, {**ends, **kept}, now=now)
                    joined.append({**ends})
        except ServiceError as error:
            raise StepError(f"ClientError: {error.message}") from error
        metadata: JsonObject = {**made, **({"Associations": joined} if joined else {})}
        return StepOutcome(metadata={"Lineage": metadata}, properties=metadata)


def _list(value: JsonValue) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _find_end(task: StepTask, request: Mapping[str, Any], end: str, made: Mapping[str, Mapping[str, str]]) -> str:
    given = request.get(end) or {}
    if given.get("Arn"):
        return str(given["Arn"])
    name, kind = str(given.get("Name")), str(given.get("Type"))
    found = made.get(f"{kind}Arns", {}).get(name)
    if found is None:
        record = task.store.resources.find(kind, name)
        found = record.arn if record is not None else None
    if found is None:
        raise StepError(
            f"ClientError: Lineage step '{task.step.name}': the {end.lower()} of an association is the {kind} "
            f"'{name}', and there is none. Name one of this step, or give its Arn."
        )
    return found
