"""The operations on experiments, trials and trial components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.context import Operation, OperationContext, Request, Response, without_none
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page, read_all
from airflow_sm_pipelines.engine.registry.experiments import (
    COMPONENT,
    EXPERIMENT,
    TRIAL,
    TRIALS_KEY,
    add_entity,
    change_entity,
    require_entity,
)
from airflow_sm_pipelines.engine.rules.errors import validation_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.engine.store import ResourceRecord

_UPDATABLE = {
    EXPERIMENT: ("DisplayName", "Description"),
    TRIAL: ("DisplayName",),
    COMPONENT: ("DisplayName", "Status", "StartTime", "EndTime"),
}
_MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")
_SUMMARY = ("DisplayName", "CreationTime", "LastModifiedTime")
_COMPONENT_SUMMARY = (*_SUMMARY, "Status", "StartTime", "EndTime", "CreatedBy", "LastModifiedBy")


def experiment_operations() -> dict[str, Operation]:
    """The operations, by name."""
    found: dict[str, Operation] = {
        "ListExperiments": list_experiments,
        "ListTrials": list_trials,
        "ListTrialComponents": list_trial_components,
        "AssociateTrialComponent": associate_trial_component,
        "DisassociateTrialComponent": disassociate_trial_component,
    }
    for kind in (EXPERIMENT, TRIAL, COMPONENT):
        found |= _entity_operations(kind)
    return found


def list_experiments(context: OperationContext, request: Request) -> Response:
    """ListExperiments, newest first by default."""
    records, more = _cut("ListExperiments", request, read_all(context.store, EXPERIMENT))
    return {"ExperimentSummaries": [_summarize(record, _SUMMARY) for record in records], **more}


def list_trials(context: OperationContext, request: Request) -> Response:
    """ListTrials: the trials of one experiment, those with one component, or all."""
    found = read_all(context.store, TRIAL, _family_filter(context, request))
    if request.get("TrialComponentName"):
        component = require_entity(context.store, COMPONENT, request["TrialComponentName"])
        found = [record for record in found if record.name in component.document.get(TRIALS_KEY, ())]
    records, more = _cut("ListTrials", request, found)
    return {"TrialSummaries": [_summarize(record, _SUMMARY) for record in records], **more}


def list_trial_components(context: OperationContext, request: Request) -> Response:
    """ListTrialComponents: the components of one trial, of one experiment, of one source, or all."""
    given = [name for name in ("ExperimentName", "TrialName", "SourceArn") if request.get(name)]
    if len(given) > 1:
        raise validation_error(f"Only one of ExperimentName, TrialName and SourceArn can be given, not {given}.")
    found = read_all(context.store, COMPONENT)
    if request.get("SourceArn"):
        source = request["SourceArn"]
        found = [record for record in found if (record.document.get("Source") or {}).get("SourceArn") == source]
    elif given:
        trials = (
            {require_entity(context.store, TRIAL, request["TrialName"]).name}
            if request.get("TrialName")
            else {record.name for record in read_all(context.store, TRIAL, _family_filter(context, request))}
        )
        found = [record for record in found if trials.intersection(record.document.get(TRIALS_KEY, ()))]
    records, more = _cut("ListTrialComponents", request, found)
    summaries = [
        _summarize(record, _COMPONENT_SUMMARY) | without_none(TrialComponentSource=record.document.get("Source"))
        for record in records
    ]
    return {"TrialComponentSummaries": summaries, **more}


def associate_trial_component(context: OperationContext, request: Request) -> Response:
    """AssociateTrialComponent; a second time changes nothing."""
    return _connect(context, request, is_member=True)


def disassociate_trial_component(context: OperationContext, request: Request) -> Response:
    """DisassociateTrialComponent; if it is not associated, this changes nothing."""
    return _connect(context, request, is_member=False)


def _connect(context: OperationContext, request: Request, *, is_member: bool) -> Response:
    with context.store.transaction():
        component = require_entity(context.store, COMPONENT, request["TrialComponentName"])
        trial = require_entity(context.store, TRIAL, request["TrialName"])
        others = [name for name in component.document.get(TRIALS_KEY, ()) if name != trial.name]
        trials = [*others, trial.name] if is_member else others
        change_entity(context.store, component, {TRIALS_KEY: trials}, now=context.services.clock())
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def _entity_operations(kind: str) -> dict[str, Operation]:
    """The operations that create, describe, update and delete one kind of entity."""
    name_key, arn_key = f"{kind}Name", f"{kind}Arn"

    def create(context: OperationContext, request: Request) -> Response:
        with context.store.transaction():
            family = ""
            if kind == TRIAL:
                family = require_entity(context.store, EXPERIMENT, request["ExperimentName"]).name
            now = context.services.clock()
            record = add_entity(context.store, context.arns, kind, request[name_key], request, now=now, family=family)
        return {arn_key: record.arn}

    def describe(context: OperationContext, request: Request) -> Response:
        document = require_entity(context.store, kind, request[name_key]).public_document
        return document | {"Sources": [document["Source"]]} if document.get("Source") else document

    def update(context: OperationContext, request: Request) -> Response:
        with context.store.transaction():
            record = require_entity(context.store, kind, request[name_key])
            members = {member: request[member] for member in _UPDATABLE[kind] if request.get(member) is not None}
            for member in _MAPS:
                removed = request.get(f"{member}ToRemove") or ()
                if request.get(member) or removed:
                    merged = {**record.document.get(member, {}), **(request.get(member) or {})}
                    members[member] = {key: value for key, value in merged.items() if key not in removed}
            change_entity(context.store, record, members, now=context.services.clock())
        return {arn_key: record.arn}

    def delete(context: OperationContext, request: Request) -> Response:
        with context.store.transaction():
            record = require_entity(context.store, kind, request[name_key])
            _require_unused(context, record)
            context.store.resources.delete(kind, record.name)
            context.store.tags.delete(record.arn)
        return {arn_key: record.arn}

    return {f"Create{kind}": create, f"Describe{kind}": describe, f"Update{kind}": update, f"Delete{kind}": delete}


def _require_unused(context: OperationContext, record: ResourceRecord) -> None:
    """Check that an entity may be deleted.

    Documented: the experiment must have no trials, the trial no components, and the component no trial.

    :raises ServiceError: ValidationException: it may not.
    """
    if record.kind == EXPERIMENT:
        users: Iterable[str] = (trial.name for trial in read_all(context.store, TRIAL, [("family = ?", record.name)]))
    elif record.kind == TRIAL:
        components = read_all(context.store, COMPONENT)
        users = (one.name for one in components if record.name in one.document.get(TRIALS_KEY, ()))
    else:
        users = record.document.get(TRIALS_KEY, ())
    if names := ", ".join(sorted(users)[:5]):
        raise validation_error(f"{record.kind} '{record.name}' cannot be deleted: it is associated with {names}.")


def _family_filter(context: OperationContext, request: Request) -> list[tuple[str, Any]]:
    if not request.get("ExperimentName"):
        return []
    return [("family = ?", require_entity(context.store, EXPERIMENT, request["ExperimentName"]).name)]


def _cut(operation: str, request: Request, records: list[ResourceRecord]) -> tuple[list[ResourceRecord], Response]:
    after, before = request.get("CreatedAfter"), request.get("CreatedBefore")
    found = [
        record
        for record in records
        if (after is None or record.document["CreationTime"] > after)
        and (before is None or record.document["CreationTime"] < before)
    ]
    if request.get("SortBy") == "Name":
        found.sort(key=lambda record: record.name, reverse=request.get("SortOrder") != "Ascending")
    elif request.get("SortOrder") == "Ascending":
        found.reverse()
    return cut_page(operation, request, found)


def _summarize(record: ResourceRecord, members: tuple[str, ...]) -> Response:
    named = {f"{record.kind}Name": record.name, f"{record.kind}Arn": record.arn}
    return named | without_none(**{member: record.document.get(member) for member in members})
