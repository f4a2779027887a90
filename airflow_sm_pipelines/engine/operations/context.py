"""What every operation gets, and what operations share: finding what a request names, idempotency, paging."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_sm_pipelines.definition.arns import execution_id_of, is_arn, pipeline_name_of
from airflow_sm_pipelines.engine.rules.errors import conflict, not_found, validation_error
from airflow_sm_pipelines.engine.store.database import Page
from airflow_sm_pipelines.engine.store.documents import encode_document, to_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinitions
    from airflow_sm_pipelines.engine.driver.runner import Runner
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, PipelineRecord, Store, VersionRecord

Request: TypeAlias = Mapping[str, Any]
Response: TypeAlias = dict[str, Any]

_DEFAULT_PAGE = 100
"""The page size of list calls without MaxResults; that of the service is not documented."""


@dataclass(frozen=True, slots=True)
class OperationContext:
    """The parts of the engine that operations work with."""

    store: Store
    services: EngineServices
    arns: ArnFactory
    runner: Runner
    definitions: ParsedDefinitions


Operation: TypeAlias = Callable[[OperationContext, Request], Response]


def require_pipeline(context: OperationContext, name_or_arn: str) -> PipelineRecord:
    """The pipeline of this name or ARN.

    :raises ServiceError: ResourceNotFound.
    """
    name = pipeline_name_of(name_or_arn)
    record = context.store.pipelines.find(name)
    if record is None or (is_arn(name_or_arn) and name_or_arn != record.arn):
        arn = name_or_arn if is_arn(name_or_arn) else context.arns.pipeline(name)
        raise not_found(f"Pipeline '{arn}' does not exist.")
    return record


def require_execution(context: OperationContext, arn: str) -> ExecutionRecord:
    """The execution of this ARN.

    :raises ServiceError: ResourceNotFound.
    """
    record = context.store.executions.find(execution_id_of(arn))
    if record is None or record.arn != arn:
        raise not_found(f"Pipeline execution '{arn}' does not exist.")
    return record


def select_version(
    context: OperationContext, pipeline: PipelineRecord, *, version: int | None, alias: str | None
) -> VersionRecord:
    """The version that a request names by number or alias; the newest if it names none.

    :raises ServiceError: ValidationException: it names both; ResourceNotFound: there is no such version.
    """
    if version is not None and alias is not None:
        raise validation_error("PipelineVersionId and PipelineVersionAlias cannot be specified together.")
    if alias is not None:
        version = context.store.pipelines.alias_version(pipeline.name, alias)
        if version is None:
            raise not_found(f"Pipeline '{pipeline.arn}' has no version with the alias '{alias}'.")
    if version is None:
        return context.store.pipelines.latest_version(pipeline.name)
    record = context.store.pipelines.find_version(pipeline.name, version)
    if record is None:
        raise not_found(f"Pipeline '{pipeline.arn}' has no version {version}.")
    return record


def perform_once(
    context: OperationContext,
    operation: str,
    request: Request,
    perform: Callable[[], Response],
    *,
    pipeline: str | None = None,
) -> Response:
    """Perform a request in a transaction, and only once if it has a ClientRequestToken.

    The answer is recorded in the same transaction, so a crash leaves both or neither. The same token gets it again.

    :param pipeline: the answer is kept until this pipeline is deleted.
    :raises ServiceError: ConflictException: the token came with another request before.
    """
    token = request.get("ClientRequestToken")
    if not token:
        with context.store.transaction():
            return perform()
    rest = {key: value for key, value in request.items() if key != "ClientRequestToken"}
    fingerprint = _digest(rest)
    with context.store.transaction():
        known = context.store.request_tokens.find(operation, token)
        if known is not None:
            if known[0] != fingerprint:
                raise conflict(f"The client request token '{token}' has been used with different request parameters.")
            return known[1]
        response = perform()
        context.store.request_tokens.add(
            operation, token, fingerprint=fingerprint, response=response, pipeline=pipeline
        )
        return response


@dataclass(frozen=True, slots=True)
class Paging:
    """The page of a list request, and how to write the token for the next page."""

    page: Page
    fingerprint: str

    def next_token(self, after: tuple[Any, Any] | None) -> Response:
        """The ``NextToken`` member of the answer; nothing on the last page."""
        if after is None:
            return {}
        text = json.dumps([self.fingerprint, *after])
        return {"NextToken": base64.urlsafe_b64encode(text.encode()).decode()}


def read_paging(
    operation: str,
    request: Request,
    *,
    columns: Mapping[str, str],
    default_sort: str,
    tie_column: str,
    default_order: str = "Descending",
) -> Paging:
    """The page that a list request asks for.

    :param columns: the database column of each ``SortBy`` value.
    :raises ServiceError: ValidationException: the token does not come from this list with the same filters.
    """
    rest = {key: value for key, value in request.items() if key not in ("NextToken", "MaxResults")}
    fingerprint = _digest([operation, rest])[:16]
    token = request.get("NextToken")
    after: tuple[Any, Any] | None = None
    if token:
        try:
            mark, sort_value, tie_value = json.loads(base64.urlsafe_b64decode(token.encode()))
        except (ValueError, binascii.Error, TypeError) as error:
            raise validation_error("Invalid pagination token.") from error
        if mark != fingerprint:
            raise validation_error("Invalid pagination token: it belongs to another request.")
        after = (sort_value, tie_value)
    page = Page(
        sort_column=columns[request.get("SortBy") or default_sort],
        tie_column=tie_column,
        is_descending=(request.get("SortOrder") or default_order) == "Descending",
        limit=request.get("MaxResults") or _DEFAULT_PAGE,
        after=after,
    )
    return Paging(page, fingerprint)


def time_filters(request: Request, bounds: Sequence[tuple[str, str]]) -> list[tuple[str, Any]]:
    """The SQL filters for time members of a request.

    :param bounds: members of the request and their SQL conditions, such as ``("CreatedAfter", "created_ms > ?")``.
    """
    return [
        (condition, to_ms(request[member])) for member, condition in bounds if isinstance(request.get(member), datetime)
    ]


def without_none(**members: Any) -> Response:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _digest(value: Any) -> str:
    canonical = json.dumps(json.loads(encode_document(value)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
