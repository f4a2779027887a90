"""The parts of Amazon Resource Names. Making ARNs does not belong here."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):(?P<service>[^:]+):(?P<region>[^:]*):(?P<account>[^:]*):(?P<resource>.+)", re.DOTALL
)


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
        """What stands before the resource's first ``/``, such as ``pipeline`` or ``role``."""
        return self.resource.partition("/")[0]

    @property
    def name(self) -> str:
        """What stands behind the resource's first ``/``; empty where there is none."""
        return self.resource.partition("/")[2]


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
