"""Names that SageMaker accepts, made from other names: of DAGs, of tasks, of files."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.arns import is_arn
from airflow_sm_pipelines.exceptions import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DISPLAY_NAME = 82
"""Characters of an execution's display name; source: the API's ``PipelineExecutionName`` shape."""

MAX_PIPELINE_NAME = 256
"""Characters of a pipeline's name; source: the API's ``PipelineName`` shape."""

_PIPELINE_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}")
"""Source: the same shape."""

_DOMAIN_ID = re.compile(r"d-(-*[a-z0-9]){1,61}")
"""Source: the API's ``DomainId`` shape."""


def is_pipeline_name(text: str) -> bool:
    """Whether a pipeline may be called so; source: the API's ``PipelineName`` shape."""
    return len(text) <= MAX_PIPELINE_NAME and _PIPELINE_NAME.fullmatch(text) is not None


def make_display_name(text: str, *, fallback: str = "airflow") -> str:
    """The text as an execution's or a version's display name: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}``."""
    return _make_name(text, max_length=MAX_DISPLAY_NAME, fallback=fallback)


def make_pipeline_name(text: str, *, fallback: str = "airflow") -> str:
    """The text as a pipeline's name: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}``."""
    return _make_name(text, max_length=MAX_PIPELINE_NAME, fallback=fallback)


def find_pipeline_name_problems(value: object, *, name: str = "pipeline_name") -> list[str]:
    """What is wrong with a new pipeline's name, as sentences; nothing where it is not given.

    :param name: what the sentence calls the option.
    """
    if value is None or is_pipeline_name(str(value)):
        return []
    better = make_pipeline_name(str(value), fallback="")
    hint = f" '{better}' would do." if better else ""
    return [f"{name}={value!r} is no pipeline name: expected letters, digits and '-', at most 256 characters.{hint}"]


def check_pipeline_names(request: Mapping[str, object]) -> None:
    """Refuse a request that names a pipeline as none can be called. AWS would answer with a pattern.

    :param request: the API's members; a name may be an ARN.
    :raises ArgumentError: naming the first.
    """
    for member in ("PipelineName", "PipelineNamePrefix"):
        value = request.get(member)
        for problem in [] if is_arn(str(value)) else find_pipeline_name_problems(value, name=member):
            raise ArgumentError(problem)


def parse_domain_id(name: str, value: object) -> str | None:
    """The id of a Studio domain, without which links lead nowhere; None where it is not given, or came out empty.

    :param name: what the sentence calls the option.
    :raises ArgumentError: if it is none.
    """
    if value is None or value == "":
        return None
    if _DOMAIN_ID.fullmatch(str(value)) is None:
        raise ArgumentError(f"{name}={value!r}: expected the id of a Studio domain, such as 'd-abcdefghij12'.")
    return str(value)


def _make_name(text: str, *, max_length: int, fallback: str) -> str:
    """A long text is cut and ends in a digest of the whole, so that two long names stay different."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")
    if not name:
        return fallback
    if len(name) <= max_length:
        return name
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
    return f"{name[: max_length - 9].rstrip('-')}-{digest}"
