"""What a migration did with each node of its source, and how people and programs read that. Nothing is left unsaid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.migrate.workflow import Workflow


class Outcome(str, Enum):
    """What became of a node."""

    TRANSLATED = "translated"
    """Into something that does the same."""
    APPROXIMATED = "approximated"
    """Into something that does nearly the same; the reasons say where it differs."""
    FOLDED = "folded"
    """Into nothing: other nodes do its work."""
    AIRFLOW = "airflow"
    """Into an Airflow task, since no pipeline step does it."""
    UNSUPPORTED = "unsupported"
    """Into a task that fails and says so."""
    NEEDS_INPUT = "needs input"
    """Into nothing yet: the source alone does not say enough."""

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether somebody has to do something before it works."""
        return self in (Outcome.UNSUPPORTED, Outcome.NEEDS_INPUT)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in words, with a code that stays: ``ASL-CATCH-001``."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one node of the source.

    :param source: its place there, the same as the ``source`` of the node made of it.
    :param kind: what it is there: ``Task arn:aws:states:::sagemaker:createTrainingJob.sync``.
    :param target: the name of the node made of it; empty where there is none.
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
    """What a reader makes of a source.

    :param origin: what was read, for the report's head: ``the SageMaker jobs of train.json``.
    :param records: one for each node of the source, in its order.
    :param differences: what behaves otherwise than in the source as a whole.
    """

    origin: str
    workflow: Workflow
    records: tuple[Record, ...]
    differences: tuple[Reason, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do before the result works."""
        return not any(record.outcome.is_open for record in self.records)


def render_totals(records: Sequence[Record]) -> str:
    """How many records there are, and of which outcomes: ``7 nodes: 5 translated, 2 approximated.``"""
    totals = ", ".join(f"{count} {outcome}" for outcome, count in count_outcomes(records).items())
    return f"{len(records)} nodes: {totals}."


def count_outcomes(records: Iterable[Record]) -> dict[str, int]:
    """How many records have each outcome, those with none left out."""
    counted = Counter(record.outcome for record in records)
    return {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}
