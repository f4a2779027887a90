"""Reads Describe answers into a workflow: a step for each job that the user started, in the order that data passes.

What the documents hold is found by :mod:`described_jobs`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Dependency, Parameter, Step
from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.definition.json_value import (
    JsonObject,
    JsonPath,
    JsonValue,
    copy_object,
    format_path,
    put_value,
)
from airflow_sm_pipelines.definition.parameters import MAX_VALUE_LENGTH
from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.migrate.job_links import Product, find_products, join_parts, link_arguments, separate_outputs
from airflow_sm_pipelines.migrate.job_requests import (
    clean_request,
    find_first_auto_ml_request,
    shorten_name,
)
from airflow_sm_pipelines.migrate.jobs.described_jobs import DescribedJob, parse_described
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record
from airflow_sm_pipelines.migrate.request_fields import iter_field, make_fields
from airflow_sm_pipelines.migrate.workflow import CallNode, CallWait, PipelineStepNode, Workflow
from airflow_sm_pipelines.policy.governed_places import iter_step_governed
from airflow_sm_pipelines.policy.shape_kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue


_BAD_ENDS = ("Failed", "Stopped", "OutOfService")

_DIFFERENCES = (
    Reason(
        "JOB-TAGS-001",
        "Describe answers have no tags. Give those of train.json as train.tags.json, the answer of list-tags.",
    ),
    Reason(
        "JOB-NAMES-001",
        "SageMaker names the jobs, models and endpoint configurations that the steps make.",
    ),
)

_CHANNELS = "InputDataConfig.*.DataSource.S3DataSource.S3Uri"


INPUT_FIELDS = {
    "Processing": make_fields("ProcessingInputs.*.S3Input.S3Uri"),
    "Training": make_fields(_CHANNELS),
    "Tuning": make_fields(f"TrainingJobDefinition.{_CHANNELS}", f"TrainingJobDefinitions.*.{_CHANNELS}"),
    "Transform": make_fields("TransformInput.DataSource.S3DataSource.S3Uri"),
    "AutoML": make_fields(_CHANNELS),
    "Model": make_fields("PrimaryContainer.ModelDataUrl", "Containers.*.ModelDataUrl"),
    "RegisterModel": make_fields("InferenceSpecification.Containers.*.ModelDataUrl"),
}
"""The input addresses in the request of each step type. A test compares every path with botocore's model."""


class ParameterTable:
    """The parameters of a workflow, one for each distinct value of a kind.

    It counts the values of all steps first, so that a value which several steps share is not named after one of them.

    :param steps: the type and the arguments of each step.
    """

    def __init__(self, steps: Sequence[tuple[str, JsonObject]]) -> None:
        self._names = ClaimedNames()
        self._given: dict[tuple[str, JsonValue], Parameter] = {}
        users = Counter(
            found
            for step_type, arguments in steps
            for found in {(kind, value) for kind, _, value in _iter_places(step_type, arguments)}
        )
        self._shared = {found for found, count in users.items() if count > 1}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in the order of their first use."""
        return tuple(self._given.values())

    def replace(self, step_type: str, arguments: JsonObject, *, node: str) -> JsonObject:
        """The arguments with parameters in place of those values."""
        changed = copy_object(arguments)
        for kind, path, value in list(_iter_places(step_type, arguments)):
            parameter = self._given.get((kind, value))
            if parameter is None:
                owner = "" if (kind, value) in self._shared else _to_pascal_case(node)
                place = owner + _find_place(arguments, path) if kind == "Uri" or owner else ""
                name = self._names.claim((place + kind)[-64:], otherwise=kind)
                parameter = Parameter(name, "Integer" if isinstance(value, int) else "String", default=value)
                self._given[kind, value] = parameter
            put_value(changed, path, {"Get": f"Parameters.{parameter.name}"})
        return changed


def _iter_places(step_type: str, arguments: JsonObject) -> Iterator[tuple[str, JsonPath, str | int]]:
    places = list(iter_step_governed(Step("", step_type, arguments=arguments)))
    for kind, governed, type_ in (
        ("InstanceType", Kind.INSTANCE_TYPE, str),
        ("InstanceCount", Kind.INSTANCE_COUNT, int),
    ):
        for place in places:
            if place.kind is governed and isinstance(place.value, type_):
                yield kind, place.path[1:], place.value
    for member in INPUT_FIELDS.get(step_type, ()):
        for path, value in iter_field(arguments, member):
            if isinstance(value, str) and is_s3_uri(value) and len(value) <= MAX_VALUE_LENGTH:
                yield "Uri", path, value


def _find_place(arguments: JsonObject, path: JsonPath) -> str:
    """The name of a value's place: that of its list entry, such as a channel's; ``Model`` or ``Input`` without one."""
    value: JsonValue = arguments
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
            named = value if isinstance(value, dict) else {}
            for member in ("InputName", "ChannelName", "VariantName", "InstanceGroupName", "ContainerHostname"):
                name = named.get(member)
                if isinstance(name, str):
                    return _to_pascal_case(name)
    return "Model" if path[-1] == "ModelDataUrl" else "Input" if path[-1] == "S3Uri" else ""


def _to_pascal_case(name: str) -> str:
    """A name as parameters are spelled: ``churn-train`` becomes ``ChurnTrain``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


@dataclass(slots=True)
class _Draft:
    """The node of one job while it is being made.

    :ivar after: the nodes that it waits for.
    :ivar lost: what of the job is not in the node.
    :ivar is_exact: whether the node does the same as the job did.
    :ivar is_step: whether a pipeline step can do it.
    """

    job: DescribedJob
    node: str
    arguments: JsonObject
    after: tuple[str, ...] = ()
    reasons: list[Reason] = field(default_factory=list)
    lost: tuple[str, ...] = ()
    is_exact: bool = True
    is_step: bool = True

    def approximate(self, code: str, text: str) -> None:
        """Note a reason why the node does not do exactly what the job did."""
        self.reasons.append(Reason(code, text))
        self.is_exact = False


def parse_jobs(documents: Sequence[tuple[str, JsonObject]], *, name: str, origin: str) -> Migration:
    """Read jobs that were started one by one into one workflow.

    :param documents: file names, each with the answer of a Describe call as the AWS CLI prints it, or with an object
        that has several such answers in a list.
    :param name: of the workflow.
    :param origin: what was read, for the report: ``the SageMaker jobs of train.json``.
    :raises MigrationError: an object is no such answer; the message names the document and its keys.
    """
    described = parse_described(documents)
    records: dict[int, Record] = {}
    repeats: dict[int, DescribedJob] = {}
    own = _select_own_jobs(described, records, repeats)
    drafts = _make_drafts(own)
    steps = [(draft.job.kind.step_type, draft.arguments) for draft in drafts if draft.is_step]
    table = ParameterTable(steps)
    nodes: list[PipelineStepNode | CallNode] = []
    for draft in drafts:
        nodes.append(_make_node(draft, table))
        outcome = Outcome.TRANSLATED if draft.is_exact else Outcome.APPROXIMATED
        records[draft.job.index] = Record(
            draft.job.source,
            f"{draft.job.kind.noun} {draft.job.name}",
            outcome if draft.is_step else Outcome.AIRFLOW,
            draft.node,
            tuple(draft.reasons),
            draft.lost,
        )
    _name_starters(described, drafts, records)
    _name_repeats(repeats, drafts, records)
    workflow = Workflow(name, tuple(nodes), table.parameters, description=f"Made of {origin}.")
    differences = _DIFFERENCES[1:] if all("Tags" in job.answer for job in own) else _DIFFERENCES
    return Migration(origin, workflow, tuple(records[index] for index in range(len(described))), differences)


def _select_own_jobs(
    described: list[DescribedJob], records: dict[int, Record], repeats: dict[int, DescribedJob]
) -> list[DescribedJob]:
    """The jobs that need a node, by the time they were made. The others get their records at once.

    :param repeats: gets, for each failed attempt, the next one.
    """
    own: list[DescribedJob] = []
    seen: dict[str, str] = {}
    for job in described:
        kind = f"{job.kind.noun} {job.name}"
        if job.arn in seen:
            reason = Reason("JOB-TWICE-001", f"{seen[job.arn]} holds the same answer.")
            records[job.index] = Record(job.source, kind, Outcome.FOLDED, reasons=(reason,))
            continue
        seen[job.arn] = job.source
        starter = job.starter
        repeat = _find_repeat(job, described) if starter is None else None
        if repeat is not None:
            reason = Reason("JOB-REPEAT-001", f"It ended as {job.status}, and {repeat.name} is its next attempt.")
            records[job.index] = Record(job.source, kind, Outcome.FOLDED, reasons=(reason,))
            repeats[job.index] = repeat
            continue
        if starter is None:
            own.append(job)
            continue
        words, arn = starter
        if arn:
            text, action = (
                f"{words[0].upper()}{words[1:]} {resource_name_of(arn)!r} started it, and will start it again.",
                "",
            )
        else:
            text = "Its name is one that pipelines give to their jobs: a pipeline started it."
            action = "Use that pipeline's definition as it is (describe-pipeline); it needs no migration."
        reason = Reason("JOB-STARTED-001", text)
        records[job.index] = Record(job.source, kind, Outcome.FOLDED, reasons=(reason,), action=action)
    return sorted(own, key=_sort_key)


def _find_repeat(job: DescribedJob, described: Sequence[DescribedJob]) -> DescribedJob | None:
    """The next attempt of a job that ended badly; None for none.

    It is a later job of its kind with the same request, or with the same name but for a number or a time.
    """
    if job.status not in _BAD_ENDS or job.created is None:
        return None
    request = clean_request(job.answer, job.kind, is_described=True).arguments
    later = [
        one
        for one in described
        if one.kind == job.kind
        and one.created is not None
        and one.created > job.created
        and one.starter is None
        and (
            shorten_name(one.name) == shorten_name(job.name)
            or clean_request(one.answer, one.kind, is_described=True).arguments == request
        )
    ]
    return min(later, key=_sort_key, default=None)


def _name_repeats(repeats: dict[int, DescribedJob], drafts: list[_Draft], records: dict[int, Record]) -> None:
    """Name, in the record of a failed attempt, the step that its last repeat became."""
    nodes = {draft.job.arn: draft.node for draft in drafts}
    for index, repeat in repeats.items():
        last = repeat
        while last.index in repeats:
            last = repeats[last.index]
        records[index] = replace(records[index], target=nodes.get(last.arn, ""))


def _sort_key(job: DescribedJob) -> tuple[bool, float, int]:
    return job.created is None, job.created.timestamp() if job.created else 0.0, job.index


def _name_starters(described: list[DescribedJob], drafts: list[_Draft], records: dict[int, Record]) -> None:
    """Name, in the record of a job that another one started, the step that starts it; or say that it is missing."""
    nodes = {draft.job.arn: draft.node for draft in drafts}
    for job in described:
        starter = job.starter
        record = records[job.index]
        if starter is None or not starter[1] or record.reasons[0].code != "JOB-STARTED-001":
            continue
        node = nodes.get(starter[1], "")
        action = "" if node else f"Describe {resource_name_of(starter[1])!r} too, so that it becomes a step."
        records[job.index] = replace(record, target=node, action=action)


def _make_drafts(jobs: list[DescribedJob]) -> list[_Draft]:
    names = ClaimedNames()
    drafts: list[_Draft] = []
    products: list[Product] = []
    short = Counter(shorten_name(job.name) for job in jobs)
    for job in jobs:
        wanted = shorten_name(job.name)
        draft = _make_draft(job, names.claim(wanted if short[wanted] == 1 else f"{wanted}-{job.kind.step_type}"))
        drafts.append(draft)
        request = draft.arguments
        _link(draft, products)
        if not draft.after:
            _guess_order(draft, drafts[:-1])
        place = f"{'Steps' if draft.is_step else 'Tasks'}.{draft.node}"
        products += find_products(request, job.kind, node=draft.node, place=place, job_name=job.name, answer=job.answer)
    return drafts


def _make_draft(job: DescribedJob, node: str) -> _Draft:
    clean = clean_request(job.answer, job.kind, is_described=True)
    draft = _Draft(job, node, clean.arguments, reasons=list(clean.notes), lost=clean.unknown)
    if job.status in _BAD_ENDS:
        text = f"This job ended as {job.status}. The step makes the same request, so it may end the same way."
        draft.reasons.append(Reason("JOB-STATUS-001", text))
    if job.kind.noun == "AutoMLJobV2":
        first = find_first_auto_ml_request(clean.arguments)
        if first is None:
            draft.is_step = False
            text = "An AutoML step uses the first AutoML API, which takes tables only. An Airflow task makes this job."
            draft.reasons.append(Reason("JOB-AUTOML-002", text))
        else:
            draft.arguments, left = first
            draft.lost += left
            draft.approximate(
                "JOB-AUTOML-001", "An AutoML step uses the first AutoML API, so the request is written for that one."
            )
    elif job.kind.noun == "Endpoint":
        draft.arguments["EndpointName"] = job.name
        text = f"The endpoint keeps its name: each run updates {job.name!r} if it exists."
        draft.reasons.append(Reason("JOB-ENDPOINT-001", text))
    elif job.kind.noun == "ModelPackage":
        _adapt_package(draft)
    return draft


def _adapt_package(draft: _Draft) -> None:
    answer = draft.job.answer
    if "ModelPackageGroupName" not in answer:
        draft.arguments["ModelPackageName"] = draft.job.name
        draft.approximate(
            "JOB-PACKAGE-001", "A package outside a group can be made only once: a second run needs another name."
        )
    if answer.get("ModelApprovalStatus") in ("Approved", "Rejected") and "LastModifiedTime" in answer:
        draft.arguments["ModelApprovalStatus"] = "PendingManualApproval"
        text = "The approval was for this one package. The packages of later runs wait for a decision of their own."
        draft.approximate("JOB-APPROVAL-001", text)
        draft.arguments.pop("ApprovalDescription", None)


def _link(draft: _Draft, products: list[Product]) -> None:
    """Put in the references to earlier jobs, and keep the outputs of two executions apart."""
    step_type = draft.job.kind.step_type
    linked, links = link_arguments(draft.arguments, step_type, products)
    for link in links:
        if link.product.doubt:
            draft.approximate("JOB-LINK-002", link.text)
        else:
            draft.reasons.append(Reason("JOB-LINK-001", link.text))
    draft.after = tuple(dict.fromkeys(link.product.node for link in links))
    changed, places = separate_outputs(linked, step_type, node=draft.node, job_name=draft.job.name)
    for place in places:
        draft.approximate("JOB-OUTPUT-001", _explain_output(place))
    draft.arguments = changed


def _explain_output(place: JsonPath) -> str:
    return f"{format_path(place)} held the job's name. It now holds the execution's id, which keeps the runs apart."


def _guess_order(draft: _Draft, earlier: list[_Draft]) -> None:
    """Put a job that uses no other job's values after the jobs that had ended when it was made."""
    if not earlier:
        return
    created = draft.job.created
    if created is None:
        over = earlier[-1:]
        text = "It has no time and uses no value of another job, so it comes after the job before it"
    else:
        over = [one for one in earlier if one.job.ended is not None and one.job.ended <= created]
        text = "It uses no value of another job, so its place is a guess: after the jobs that had ended by then"
    behind = {name for one in over for name in _find_ancestors(one, earlier)}
    draft.after = tuple(one.node for one in over if one.node not in behind)
    if draft.after:
        draft.approximate("JOB-ORDER-001", f"{text}: {', '.join(draft.after)}.")
    else:
        text = "It uses no value of another job, and the jobs before it were still running: it waits for none."
        draft.approximate("JOB-ORDER-002", text)


def _find_ancestors(draft: _Draft, drafts: list[_Draft]) -> set[str]:
    by_node = {one.node: one for one in drafts}
    found: set[str] = set()
    waiting = list(draft.after)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += by_node[node].after
    return found


def _make_node(draft: _Draft, table: ParameterTable) -> PipelineStepNode | CallNode:
    after = tuple(Dependency(node) for node in draft.after)
    kind = draft.job.kind
    if draft.is_step:
        replaced = table.replace(kind.step_type, draft.arguments, node=draft.node)
        return PipelineStepNode(draft.node, draft.job.source, kind.step_type, replaced, after)
    name = join_parts([f"{draft.node[:19]}-", {"Get": "Execution.PipelineExecutionId"}])
    wait = CallWait(
        "describe_auto_ml_job_v2",
        {"AutoMLJobName": "AutoMLJobName"},
        "AutoMLJobStatus",
        success=("Completed",),
        failure=("Failed", "Stopped"),
    )
    arguments: JsonObject = {"AutoMLJobName": name, **draft.arguments}
    return CallNode(draft.node, draft.job.source, "sagemaker", "create_auto_ml_job_v2", arguments, after, wait)
