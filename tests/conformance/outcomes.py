"""What came of other projects' tests: pytest's report read, judged by our lists, and told as a table."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterable

EXPECTED = Path(__file__).with_name("expected.toml")
"""Which tests cannot pass here, and why: our list, by project."""


class Verdict(str, Enum):
    """What a test's end says of the endpoint."""

    RIGHT = "right"
    WRONG = "wrong"
    REFUSED = "refused"
    NOT_DECIDABLE = "not decidable here"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one test.

    :param test: ``<module>::<name>``, as pytest's report has them.
    :param reason: why it is not right; empty where it is.
    """

    test: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Why tests do not pass here.

    :param test: the beginning of the tests' names.
    :param text: what their failure must say, so that another failure of the same test is wrong.
    """

    test: str
    verdict: Verdict
    text: str
    reason: str


def load_expectations(suite: str, path: Path = EXPECTED) -> tuple[Expectation, ...]:
    """Our list for one project.

    :raises ValueError: if a verdict is not one, or says that a failure is right.
    """
    found = []
    for row in parse_toml(path.read_text()).get(suite, ()):
        verdict = Verdict(row["verdict"])
        if verdict is Verdict.RIGHT:
            raise ValueError(f"{path.name}: {row['test']} is listed as right, and only failures are listed")
        found.append(Expectation(row["test"], verdict, row["text"], row["reason"]))
    return tuple(found)


def read_report(report: str, expectations: Iterable[Expectation]) -> list[Outcome]:
    """Judge each test of a report.

    :param report: what ``pytest --junit-xml`` wrote.
    """
    known = tuple(expectations)
    cases = ElementTree.fromstring(report).iter("testcase")  # noqa: S314 -- pytest wrote it just now
    return [judge(case, known) for case in cases]


def judge(case: ElementTree.Element, expectations: tuple[Expectation, ...]) -> Outcome:
    """Judge one test: a failure that is not listed with its text is wrong."""
    module = case.get("classname", "").rpartition(".")[2]
    test = f"{module}::{case.get('name', '')}"
    bad = [part for part in case if part.tag in ("failure", "error", "skipped")]
    if not bad:
        return Outcome(test, Verdict.RIGHT)
    if all(part.tag == "skipped" for part in bad):
        return Outcome(test, Verdict.NOT_DECIDABLE, f"skips itself: {bad[0].get('message', '')}")
    said = "\n".join(f"{part.get('message', '')}\n{part.text or ''}" for part in case)
    for expected in expectations:
        if test.startswith(expected.test) and expected.text in said:
            return Outcome(test, expected.verdict, expected.reason)
    return Outcome(test, Verdict.WRONG, " ".join(bad[0].get("message", "").split())[:200])


def render_counts(rows: Iterable[tuple[str, str, list[Outcome]]]) -> str:
    """A table of numbers, a project in each row.

    :param rows: for each project its title, the commit, and its outcomes.
    """
    lines = [
        f"| tests of | commit | {' | '.join(verdict.value for verdict in Verdict)} |",
        "|---|---|" + "---|" * len(Verdict),
    ]
    for title, commit, outcomes in rows:
        counts = Counter(outcome.verdict for outcome in outcomes)
        lines.append(f"| {title} | {commit} | {' | '.join(str(counts[verdict]) for verdict in Verdict)} |")
    return "\n".join(lines)


def render_reasons(rows: Iterable[tuple[str, str, list[Outcome]]]) -> str:
    """A table of the tests that are not right, those of one project with the same reason together."""
    lines = ["| tests of | verdict | tests | reason |", "|---|---|---|---|"]
    for title, _, outcomes in rows:
        groups: dict[tuple[Verdict, str], list[str]] = {}
        for outcome in outcomes:
            if outcome.verdict is not Verdict.RIGHT:
                groups.setdefault((outcome.verdict, outcome.reason), []).append(outcome.test)
        for (verdict, reason), tests in sorted(groups.items()):
            names = ", ".join(f"`{test.rpartition('::')[2]}`" for test in tests)
            lines.append(f"| {title} | {verdict.value} | {names} | {reason.replace('|', '/')} |")
    return "\n".join(lines)
