"""Reads Describe answers into a workflow: a step for each job that the user started, in the order that data passes.

It first finds the answers in the documents: which call each one answers, when its job ran, and who started it.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, cast

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
from airflow_sm_pipelines.definition.problems import list_names
from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.documents.values import iter_notebook_outputs, read_value_text
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate.job_links import Product, find_products, join_parts, link_arguments, separate_outputs
from airflow_sm_pipelines.migrate.job_requests import (
    REQUEST_KINDS,
    RequestKind,
    clean_request,
    find_first_auto_ml_request,
    shorten_name,
)
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record
from airflow_sm_pipelines.migrate.request_fields import iter_field, make_fields
from airflow_sm_pipelines.migrate.workflow import CallNode, CallWait, PipelineStepNode, Workflow
from airflow_sm_pipelines.policy.governed_places import iter_step_governed
from airflow_sm_pipelines.policy.shape_kinds import Kind
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue


_BAD_ENDS = ("Failed", "Stopped", "OutOfService")

_DIFFERENCES = (
    Reason(
        "JOB-TAGS-001",
        "Describe answers have no tags, so the steps have none. Add those that policies or bills need (list-tags).",
    ),
    Reason(
        "JOB-NAMES-001",
        "SageMaker names the jobs, models and endpoint configurations that the steps make.",
    ),
)


_ENDS = ("TrainingEndTime", "ProcessingEndTime", "TransformEndTime", "HyperParameterTuningEndTime", "EndTime")
_STARTERS = {
    "TuningJobArn": "the tuning job",
    "AutoMLJobArn": "the AutoML job",
    "LabelingJobArn": "the labeling job",
    "MonitoringScheduleArn": "the monitoring schedule",
    "TrainingJobArn": "the training job whose rules it checked",
}
_OF_PIPELINE = re.compile(r"pipelines-[a-z0-9]{12}-")


@dataclass(frozen=True, slots=True)
class DescribedJob:
    """One Describe answer.

    :param source: the document; if it holds several answers, also the place in it.
    :param index: its position among all answers.
    :param created: aware; None if the answer does not say.
    :param ended: aware; when the result existed. A thing that is made at once ended when it was created.
    """

    source: str
    index: int
    kind: RequestKind
    answer: JsonObject
    created: datetime | None
    ended: datetime | None

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.answer[self.kind.name_member])

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return str(self.answer[self.kind.arn_member])

    @property
    def status(self) -> str:
        """The job's status; empty for a thing that has none."""
        for member in (f"{self.kind.noun}Status", f"{self.kind.noun.removesuffix('V2')}Status"):
            status = self.answer.get(member)
            if isinstance(status, str):
                return status
        return ""

    @property
    def starter(self) -> tuple[str, str] | None:
        """What started it, in words and by ARN; None if the user did."""
        for member, words in _STARTERS.items():
            arn = self.answer.get(member)
            if member != self.kind.arn_member and isinstance(arn, str) and arn:
                return words, arn
        return ("a pipeline", "") if _OF_PIPELINE.match(self.name) else None


def parse_described(documents: Sequence[tuple[str, JsonObject]]) -> list[DescribedJob]:
    """Every answer in the documents, in their order.

    :raises MigrationError: there is none, or an object answers no Describe call.
    """
    found: list[DescribedJob] = []
    for file, document in documents:
        for source, answer in _iter_answers(file, document):
            kind = _find_kind(source, answer)
            created = _read_time(answer.get("CreationTime"))
            ended = next((time for time in (_read_time(answer.get(member)) for member in _ENDS) if time), created)
            found.append(DescribedJob(source, len(found), kind, answer, created, ended))
    if not found:
        raise MigrationError("There is no job to migrate: give at least one document with a Describe answer.")
    return found


def find_answers(text: str, *, name: str) -> JsonObject | None:
    """The answers of Describe calls in a text, as :func:`parse_jobs` takes them.

    :param text: an answer, a list of them, or what has printed some among other text: a notebook, a log. They may be
        JSON, or dicts as Python prints them.
    :param name: of the file.
    :return: None where there is none.
    """
    try:
        document = read_value_text(text, name=name)
        value = None if document is None else document.values[0]
    except (DefinitionError, IndexError):
        value = None
    if isinstance(value, list):
        return {"answers": value} if value else None
    texts = [text]
    if isinstance(value, dict):
        if not isinstance(value.get("cells"), list):
            return value
        texts = list(iter_notebook_outputs(value))
    found = [answer for one in texts for answer in _iter_printed(one)]
    return {"printed": cast("list[JsonValue]", found)} if found else None


def _iter_printed(text: str) -> Iterator[JsonObject]:
    """Each answer that a text has printed."""
    start = text.find("{")
    while start >= 0:
        end = _find_end(text, start)
        value = None
        if end is not None and any(kind.arn_member in text[start:end] for kind in REQUEST_KINDS):
            with suppress(DefinitionError):
                document = read_value_text(text[start:end], name="printed.txt")
                value = None if document is None else document.values[0]
        if isinstance(value, dict) and any(kind.arn_member in value for kind in REQUEST_KINDS):
            yield value
            start = text.find("{", end)
        else:
            start = text.find("{", start + 1)


def _find_end(text: str, start: int) -> int | None:
    """The end of the object that begins at a brace; None if it does not end within a megabyte."""
    depth, quote, index = 0, "", start
    while index < min(len(text), start + 1_000_000):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if not depth:
                return index + 1
        index += 1
    return None


def _iter_answers(file: str, document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    if any(kind.arn_member in document for kind in REQUEST_KINDS):
        yield file, document
        return
    lists = {key: value for key, value in document.items() if isinstance(value, list) and value}
    if not lists:
        raise MigrationError(_explain_unknown(file, document))
    for key, entries in lists.items():
        for index, entry in enumerate(entries):
            place = f"{file}: {key}[{index}]"
            if not isinstance(entry, dict):
                raise MigrationError(f"{place}: expected the answer of a Describe call, found {entry!r:.60}.")
            yield place, entry


def _find_kind(source: str, answer: JsonObject) -> RequestKind:
    for kind in REQUEST_KINDS:
        if not {kind.name_member, kind.arn_member} <= answer.keys():
            continue
        if kind.noun == "AutoMLJobV2" and "AutoMLJobInputDataConfig" not in answer:
            continue
        create = load_service_model().get_request_shape(f"Create{kind.noun}")
        if answer.keys() & create.members.keys() - {kind.name_member, "ModelPackageGroupName", "ModelApprovalStatus"}:
            return kind
        raise MigrationError(
            f"{source}: this names the {kind.noun} {answer[kind.name_member]!r} but does not say what it does, like an "
            f"entry of a List answer. Expected the answer of Describe{kind.noun}: describe it by its name."
        )
    raise MigrationError(_explain_unknown(source, answer))


def _explain_unknown(source: str, answer: JsonObject) -> str:
    nouns = ", ".join(kind.noun for kind in REQUEST_KINDS)
    return (
        f"{source}: expected the answer of a SageMaker Describe call, with a name and an ARN, "
        f"found an object with the keys {list_names(answer)}. Known kinds: {nouns}."
    )


_PRINTED_TIME = re.compile(r"datetime\.datetime\((\d+(?:, ?\d+){2,6})\b")


def _read_time(value: JsonValue | None) -> datetime | None:
    """A time as the AWS CLI prints it: ISO text, or seconds or milliseconds if it is configured so."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        seconds = value / 1000 if value > 1e11 else value
        return datetime.fromtimestamp(seconds, tz=timezone.utc)
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return _read_time(float(value))
    printed = _PRINTED_TIME.match(value)
    if printed is not None:
        # Its zone is an object of Python; without one, times of one file still compare.
        year, month, day, hour, minute, second, *_ = [*map(int, printed[1].split(",")), 0, 0, 0, 0]
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    # Python 3.10 reads neither a Z nor a fraction of one digit.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?", value.strip())
    if match is None:
        return None
    base, fraction, zone = match.groups()
    if zone in (None, "Z"):
        zone = "+00:00"
    elif ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    return datetime.fromisoformat(f"{base}.{(fraction or '0')[:6]:0<6}{zone}" if base.count(":") == 2 else base + zone)


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
    own = _select_own_jobs(described, records)
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
    workflow = Workflow(name, tuple(nodes), table.parameters, description=f"Made of {origin}.")
    return Migration(origin, workflow, tuple(records[index] for index in range(len(described))), _DIFFERENCES)


def _select_own_jobs(described: list[DescribedJob], records: dict[int, Record]) -> list[DescribedJob]:
    """The jobs that need a node, by the time they were made. The others get their records at once."""
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
