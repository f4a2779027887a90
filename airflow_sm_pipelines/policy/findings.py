"""What a rule finds, and its text for a terminal or a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import JsonPath, format_path

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(str, Enum):
    """How much a finding weighs."""

    ERROR = "error"
    """SageMaker refuses this, when the pipeline is made or when the step starts; or the team's policy does."""
    WARNING = "warning"
    """This works, or may work, but is probably not what its author meant."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    :param rule: the rule's name, as ``step-arguments``.
    :param path: the place in the document, as ``Steps[2].Arguments.RoleArn``.
    :param message: what was found and what was expected.
    :param fix: what to do; empty where the message says it all.
    :param place: the path as keys and indexes, to find the line with.
    """

    rule: str
    severity: Severity
    path: str
    message: str
    fix: str = ""
    place: JsonPath = field(default=(), repr=False, compare=False)


def find(rule: str, severity: Severity, place: JsonPath, message: str, fix: str = "") -> Finding:
    """Make a finding at a place."""
    return Finding(rule, severity, format_path(place), message, fix, place)


def render_findings(findings: Iterable[Finding]) -> str:
    """Write findings for a terminal or a log, one a line, errors first; ``No findings.`` for none."""
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    if not ordered:
        return "No findings."
    return "\n".join(
        f"{finding.severity}: {finding.path}: {' '.join(filter(None, (finding.message, finding.fix)))} [{finding.rule}]"
        for finding in ordered
    )
