"""Amazon Resource Names: their parts, and what the names and ids in them are. Which ARN a thing gets is elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):(?P<service>[^:]+):(?P<region>[^:]*):(?P<account>[^:]*):(?P<resource>.+)", re.DOTALL
)

_SEPARATOR = re.compile("[/:]")


@dataclass(frozen=True, slots=True)
class Arn:
    """An ARN's parts: ``arn:<partition>:<service>:<region>:<account>:<resource>``.

    :param region: empty for global services.
    :param account: 12 digits; empty where the resource's name alone is unique, as in S3.
    :param resource: such as ``pipeline/train`` or ``function:predict``.
    """

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @property
    def kind(self) -> str:
        """What stands before the resource's first ``/`` or ``:``, such as ``pipeline``, ``role`` or ``function``."""
        return _SEPARATOR.split(self.resource, maxsplit=1)[0]

    @property
    def name(self) -> str:
        """What stands behind the resource's first ``/`` or ``:``; empty where there is none."""
        return self.resource[len(self.kind) + 1 :]

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN; None for a text that is none."""
    match = _ARN.fullmatch(text)
    return None if match is None else Arn(**match.groupdict())


def parse_execution_arn(arn: str) -> tuple[str, str]:
    """The pipeline's name and the execution's id in ``arn:…:pipeline/<name>/execution/<id>``.

    A part that is not there is empty: a pipeline's own ARN gives its name alone.
    """
    found = parse_arn(arn)
    if found is None or found.kind != "pipeline":
        return "", ""
    pipeline, _, rest = found.name.partition("/")
    return pipeline, rest.removeprefix("execution/") if rest.startswith("execution/") else ""


def is_arn(name_or_arn: str) -> bool:
    """Whether a text that is a name or an ARN is meant as an ARN."""
    return name_or_arn.startswith("arn:")


def resource_name_of(name_or_arn: str, *kinds: str) -> str:
    """The name in an ARN: ``train`` of ``arn:…:training-job/train``; any other text is given back.

    :param kinds: take the name only out of ARNs of these kinds, such as ``model-package``; by default of all.
    """
    arn = parse_arn(name_or_arn)
    return arn.name if arn is not None and arn.name and (not kinds or arn.kind in kinds) else name_or_arn


def pipeline_name_of(name_or_arn: str) -> str:
    """The name of a pipeline, from its name, its ARN or the ARN of one of its executions."""
    return parse_execution_arn(name_or_arn)[0] or name_or_arn


def execution_id_of(arn: str) -> str:
    """The id of an execution, from its ARN; a text that is no such ARN is given back."""
    return parse_execution_arn(arn)[1] or arn


def pipeline_arn_of(execution_arn: str) -> str:
    """The ARN of the pipeline of an execution."""
    return execution_arn.partition("/execution/")[0]
