"""QualityCheck and ClarifyCheck steps: they compute a baseline, and check it against an earlier one.

Source: developer guide, "Baseline calculation, drift detection and lifecycle with ClarifyCheck and QualityCheck steps".
The analysis itself is a processing job (``jobs/programs/*_analyzer.py``).

Choices where the service's behaviour is not documented: a check without a baseline fails, and so does a check whose
report cannot be read. The end of a failed check's text is ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.definition.cache_identity import select_cache_fields
from airflow_sm_pipelines.definition.s3_uri import join_s3_uri, parse_s3_uri
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.jobs.stand_in_table import explain_registration
from airflow_sm_pipelines.engine.registry.models import PACKAGE
from airflow_sm_pipelines.engine.rules.cache_key import make_cache_key
from airflow_sm_pipelines.engine.rules.errors import ResolutionError, StepError
from airflow_sm_pipelines.engine.rules.job_documents import PROCESSING, with_name, with_text_values, without_nulls
from airflow_sm_pipelines.engine.rules.resolver import resolve
from airflow_sm_pipelines.engine.steps.job import (
    find_cached,
    may_use_cache,
    outcome_of_job,
    tag_execution,
    with_default_role,
)
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask
from airflow_sm_pipelines.engine.store.database import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

_BASELINES = {
    "constraints": "/opt/ml/processing/baseline/constraints",
    "statistics": "/opt/ml/processing/baseline/stats",
}


@dataclass(frozen=True, slots=True)
class CheckKind:
    """A type of check that the engine computes.

    :param files: the file that the analysis writes for each part of a baseline.
    :param registered_as: the member of a model package's ``DriftCheckBaselines`` that holds such a baseline.
    :param registered_parts: the member in it for each part.
    """

    files: Mapping[str, str]
    registered_as: str
    registered_parts: Mapping[str, str]


_QUALITY_FILES = {"statistics": "statistics.json", "constraints": "constraints.json"}
_QUALITY_PARTS = {"statistics": "Statistics", "constraints": "Constraints"}
CHECK_KINDS: Mapping[tuple[str, str], CheckKind] = {
    ("QualityCheck", "DATA_QUALITY"): CheckKind(_QUALITY_FILES, "ModelDataQuality", _QUALITY_PARTS),
    ("QualityCheck", "MODEL_QUALITY"): CheckKind(_QUALITY_FILES, "ModelQuality", _QUALITY_PARTS),
    ("ClarifyCheck", "DATA_BIAS"): CheckKind(
        {"constraints": "analysis.json"}, "Bias", {"constraints": "PreTrainingConstraints"}
    ),
}
"""By step type and ``CheckType``. Other checks need the endpoint of a model, or a stand-in."""


@dataclass(frozen=True, slots=True)
class Check:
    """A resolved step.

    :param type: its ``CheckType``.
    :param request: the processing job's request.
    :param baseline: the S3 addresses of the parts of the earlier baseline, as far as it has them.
    :param output_uri: where the job writes its files.
    :param cache_fields: the members of the step that decide about caching.
    """

    type: str
    kind: CheckKind
    request: dict[str, Any]
    baseline: dict[str, str]
    output_uri: str
    group: str
    is_skipped: bool
    is_strict: bool
    is_registered: bool
    cache_fields: JsonObject = field(default_factory=dict)

    @property
    def calculated(self) -> dict[str, str]:
        """The S3 addresses of the new baseline's parts."""
        return {part: join_s3_uri(self.output_uri, file) for part, file in self.kind.files.items()}

    @property
    def report_uri(self) -> str:
        """The S3 address of the report of violations."""
        return join_s3_uri(self.output_uri, "constraint_violations.json")

    def properties(self) -> dict[str, str]:
        """The properties of the step. With ``RegisterNewBaseline``, later checks use the new baseline (documented)."""
        used = self.calculated if self.is_registered else self.baseline
        return {
            f"{prefix}{part.capitalize()}": uri
            for prefix, uris in (("CalculatedBaseline", self.calculated), ("BaselineUsedForDriftCheck", used))
            for part, uri in uris.items()
        }


class CheckExecutor:
    """Performs the check steps whose ``CheckType`` the engine computes."""

    is_instant = False

    def prepare(self, task: StepTask) -> Check:
        """The resolved check, with its baseline."""
        attributes = resolve(task.step.attributes, task.scope)
        arguments = task.resolve_arguments(task.new_scope({"ProcessingJobName": task.new_name}))
        if not isinstance(attributes, dict):
            raise StepError(f"The attributes of step '{task.step.name}' are not an object.")
        kind = CHECK_KINDS.get((task.step.type, str(attributes.get("CheckType"))))
        if kind is None:
            computed = " and ".join(check for step_type, check in CHECK_KINDS if step_type == task.step.type)
            raise StepError(
                f"A {task.step.type} of type {attributes.get('CheckType')} has no local meaning: only {computed} "
                "is computed here. "
                + explain_registration(task.services.stand_ins, step=task.step.name, type=task.step.type)
            )
        request = with_default_role(task, PROCESSING, with_text_values(arguments, task.step.arguments))
        task.check_request(PROCESSING.create_operation, with_name(PROCESSING, request, task.new_name))
        fields = select_cache_fields(task.step.type, arguments, attributes)
        check = replace(_plan_check(task, kind, attributes, without_nulls(request)), cache_fields=fields)
        task.check_request(PROCESSING.create_operation, {**check.request, PROCESSING.name_key: task.new_name})
        return check

    def run(self, task: StepTask, prepared: Check) -> StepOutcome:
        """Run the job, and read its report."""
        if not task.has_resource:
            if task.stop.is_set():
                return StepOutcome(status=StepStatus.STOPPED)
            cache_key = _make_key(task, prepared) if may_use_cache(task) else None
            cached = find_cached(task, cache_key)
            if cached is not None:
                return cached
            with task.store.transaction():
                record = task.jobs.create(PROCESSING, task.new_name, prepared.request)
                tag_execution(task, record.arn)
                task.mark_executing(
                    metadata=_metadata(task, prepared, record.arn),
                    resource=(record.kind, record.name),
                    cache_key=cache_key,
                )
        else:
            task.mark_executing()
        outcome = outcome_of_job(task.jobs.run(PROCESSING, task.new_name, task.stop))
        if outcome.status is not StepStatus.SUCCEEDED:
            return outcome
        arn = task.arns.make(PROCESSING.resource, task.new_name)
        metadata, properties = _metadata(task, prepared, arn), prepared.properties()
        outcome = replace(outcome, metadata=metadata, properties={**properties})
        if prepared.is_skipped:
            return outcome
        violations = _read_violations(task, prepared.report_uri)
        if not violations:
            return outcome
        metadata = _metadata(task, prepared, arn, report=prepared.report_uri)
        if not prepared.is_strict:
            return replace(outcome, metadata=metadata)
        first = violations[0]
        # The beginning is the service's (assertions of aws/sagemaker-python-sdk, tests/integ/sagemaker/workflow).
        reason = (
            f"ClientError: {task.step.type.removesuffix('Check')} check failed. See violation report "
            f"{prepared.report_uri}: {len(violations)} violations. The first: {_name_subject(first)}: "
            f"{first.get('constraint_check_type')}: {first.get('description')}"
        )
        return replace(outcome, status=StepStatus.FAILED, failure_reason=reason, metadata=metadata)


def _make_key(task: StepTask, check: Check) -> str:
    """The cache key of a check. The baseline in use is part of it, even if a model package group gives it."""
    baseline: JsonObject = {**check.baseline}
    return make_cache_key(task.step.type, check.cache_fields, baseline)


def _plan_check(task: StepTask, kind: CheckKind, attributes: JsonObject, request: dict[str, Any]) -> Check:
    group = str(attributes.get("ModelPackageGroupName") or "")
    supplied = {part: attributes.get(f"SuppliedBaseline{part.capitalize()}") for part in kind.files}
    baseline = {part: str(uri) for part, uri in supplied.items() if uri} or _find_registered(task, kind, group)
    is_skipped = _is_true(attributes.get("SkipCheck"))
    environment = request.get("Environment") or {}
    if not is_skipped:
        if "constraints" not in baseline:
            where = f"the latest approved model of group '{group}'" if group else "a model package group"
            raise StepError(
                "ClientError: there is no baseline to check against: none is supplied, and none comes from "
                f"{where}. Set SkipCheck for the first run."
            )
        inputs = [
            {
                "InputName": f"baseline_{name}",
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": _BASELINES[name],
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for name, uri in baseline.items()
        ]
        paths = {f"baseline_{name}": f"{_BASELINES[name]}/{uri.rpartition('/')[2]}" for name, uri in baseline.items()}
        environment = {**environment, **paths}
        request = {**request, "ProcessingInputs": [*(request.get("ProcessingInputs") or ()), *inputs]}
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    uris = [entry["S3Output"]["S3Uri"] for entry in outputs if entry.get("S3Output")]
    if not uris:
        raise StepError(f"ClientError: step '{task.step.name}' has no output for its results.")
    return Check(
        type=str(attributes.get("CheckType")),
        kind=kind,
        request={**request, "Environment": environment},
        baseline=baseline,
        output_uri=str(uris[0]),
        group=group,
        is_skipped=is_skipped,
        # The SDKs write null where nothing is said, which is true as well (the same tests).
        is_strict=attributes.get("FailOnViolation") is None or _is_true(attributes["FailOnViolation"]),
        is_registered=_is_true(attributes.get("RegisterNewBaseline")),
    )


def _find_registered(task: StepTask, kind: CheckKind, group: str) -> dict[str, str]:
    """The addresses of the baseline of a group's latest approved model package; empty if there is none."""
    if not group:
        return {}
    page = Page(sort_column="version", tie_column="seq", is_descending=True, limit=1)
    name = resource_name_of(group, "model-package-group")
    records, _ = task.store.resources.page(PACKAGE, [("family = ?", name), ("status = ?", "Approved")], page)
    baselines = (records[0].document.get("DriftCheckBaselines") or {}) if records else {}
    registered = baselines.get(kind.registered_as) or {}
    found = {part: registered.get(member) for part, member in kind.registered_parts.items()}
    return {part: source["S3Uri"] for part, source in found.items() if source}


def _metadata(task: StepTask, check: Check, arn: str, *, report: str | None = None) -> JsonObject:
    members: dict[str, JsonValue] = {
        "CheckType": check.type,
        "CheckJobArn": arn,
        "SkipCheck": check.is_skipped,
        "RegisterNewBaseline": check.is_registered,
        **check.properties(),
    }
    if check.group:
        members["ModelPackageGroupName"] = check.group
    if report:
        members["ViolationReport"] = report
    return {task.step.type: members}


def _read_violations(task: StepTask, uri: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(task.services.read_object(parse_s3_uri(uri)))["violations"]
    except (ResolutionError, LookupError, TypeError, ValueError) as error:
        raise StepError(f"ClientError: the report of violations {uri} cannot be read: {error}") from error
    return found


def _name_subject(violation: dict[str, Any]) -> str:
    """The subject of a violation: a feature, a metric, or a metric of a facet."""
    members = ("facet", "facet_value", "metric_name") if "facet" in violation else ("feature_name", "metric_name")
    return " ".join(str(violation[member]) for member in members if violation.get(member))


def _is_true(value: JsonValue) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
