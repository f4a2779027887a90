"""What a migration did with each node of its source. Every loss and every doubt has a record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.workflow import Workflow


class Outcome(str, Enum):
    """What a node of the source became."""

    TRANSLATED = "translated"
    """Something that does the same."""
    APPROXIMATED = "approximated"
    """Something that does nearly the same; the reasons say where it differs."""
    FOLDED = "folded"
    """Nothing of its own: other nodes do its work."""
    AIRFLOW = "airflow"
    """An Airflow task, because no pipeline step does it."""
    UNSUPPORTED = "unsupported"
    """A task that fails and says what is missing."""
    NEEDS_INPUT = "needs input"
    """Nothing yet: the source does not say enough."""

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether the user must do something before it works."""
        return self in (Outcome.UNSUPPORTED, Outcome.NEEDS_INPUT)


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason in words, with a code that never changes: ``ASL-CATCH-001``."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """What one node of the source became.

    :param source: its place in the source, the same as the ``source`` of the new node.
    :param kind: what it is in the source: ``Task arn:aws:states:::sagemaker:createTrainingJob.sync``.
    :param target: the name of the new node; empty if there is none.
    :param reasons: what is approximated, assumed or missing.
    :param lost: keys of the source that were not used, as paths from the node: ``Parameters.Tags``.
    :param action: what the user must do; empty for nothing.
    """

    source: str
    kind: str
    outcome: Outcome
    target: str = ""
    reasons: tuple[Reason, ...] = ()
    lost: tuple[str, ...] = ()
    action: str = ""

    def to_json(self) -> JsonObject:
        """The record as JSON."""
        return {
            "source": self.source,
            "kind": self.kind,
            "outcome": str(self.outcome),
            "target": self.target or None,
            "reasons": [{"code": one.code, "text": one.text} for one in self.reasons],
            "lost": list(self.lost),
            "action": self.action or None,
        }


@dataclass(frozen=True, slots=True)
class Migration:
    """A source as its reader read it.

    :param origin: what was read, for the report's title: ``the SageMaker jobs of train.json``.
    :param records: one for each node of the source, in the source's order.
    :param differences: what behaves differently from the source as a whole.
    :param files: what stands beside the DAG and is no pipeline, by file name.
    """

    origin: str
    workflow: Workflow
    records: tuple[Record, ...]
    differences: tuple[Reason, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether the result works without anything left to do."""
        return not any(record.outcome.is_open for record in self.records)


def render_totals(records: Sequence[Record]) -> str:
    """The number of records by outcome, as in ``7 nodes: 5 translated, 2 approximated``."""
    totals = ", ".join(f"{count} {outcome}" for outcome, count in count_outcomes(records).items())
    return f"{len(records)} nodes: {totals}."


def count_outcomes(records: Iterable[Record]) -> dict[str, int]:
    """The number of records by outcome, without outcomes that no record has."""
    counted = Counter(record.outcome for record in records)
    return {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}
