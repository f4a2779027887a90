"""What became of other projects' tests: reads pytest's reports, compares them with what is expected, writes tables."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class Verdict(str, Enum):
    """What a test says of the endpoint."""

    RIGHT = "right"
    WRONG = "wrong"
    REFUSED = "refused"
    """It asks for what is refused here by name."""
    UNDECIDED = "not decidable here"
    """It needs what this machine lacks, or does not test the endpoint."""
    THEIRS = "the test is wrong"
    """It expects what SageMaker is known not to do."""


@dataclass(frozen=True)
class Result:
    """One test's end.

    :param text: why it failed or was skipped.
    """

    suite: str
    test: str
    is_passed: bool
    text: str = ""
    is_skipped: bool = False


@dataclass(frozen=True)
class Expectation:
    """A test that is known not to pass, and why.

    :param test: of its name, as a shell's pattern.
    :param words: a regular expression that its failure must hold: it may not fail for another reason.
    """

    suite: str
    test: str
    verdict: Verdict
    words: str
    reason: str


@dataclass(frozen=True)
class Judged:
    """A result, and what it means."""

    result: Result
    verdict: Verdict
    reason: str = ""


def read_report(path: Path, suite: str) -> list[Result]:
    """Read the report that pytest writes with ``--junitxml``."""
    # The file is one that pytest wrote a moment ago.
    return [_read_case(case, suite) for case in ET.parse(path).iter("testcase")]  # noqa: S314


def _read_case(case: ET.Element, suite: str) -> Result:
    name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '')}"
    ends = [child for child in case if child.tag in {"failure", "error", "skipped"}]
    texts = [f"{end.get('message', '')}\n{end.text or ''}" for end in ends]
    texts += [found.get("value", "") for found in case.iter("property")]
    return Result(suite, name, not ends, "\n".join(texts), any(end.tag == "skipped" for end in ends))


def judge(result: Result, expectations: Iterable[Expectation]) -> Judged:
    """Say what a result means: what passes is right, and what fails as nobody expects is wrong."""
    if result.is_passed:
        return Judged(result, Verdict.RIGHT)
    if result.is_skipped:
        return Judged(result, Verdict.UNDECIDED, "the project itself skips it")
    for expected in expectations:
        if (
            expected.suite == result.suite
            and fnmatchcase(result.test, expected.test)
            and re.search(expected.words, result.text)
        ):
            return Judged(result, expected.verdict, expected.reason)
    return Judged(result, Verdict.WRONG, _shorten(result.text))


def _shorten(text: str) -> str:
    errors = re.findall(r"^E +(\S.*)$", text, re.MULTILINE) or [text.strip()]
    return errors[0][:200]


def write_table(judged: Sequence[Judged], sources: dict[str, str], titles: dict[str, str]) -> str:
    """Make a Markdown table of counts by suite, and one of all that is not right.

    :param sources: by suite, which version of it ran.
    :param titles: by suite, its name in the table.
    """
    lines = [
        f"| tests | version | {' | '.join(verdict.value for verdict in Verdict)} |",
        f"|---|---|{'---|' * len(Verdict)}",
    ]
    for suite, source in sources.items():
        counts = Counter(one.verdict for one in judged if one.result.suite == suite)
        lines.append(f"| {titles[suite]} | {source} | {' | '.join(str(counts[verdict]) for verdict in Verdict)} |")
    lines += ["", "| test | verdict | why |", "|---|---|---|"]
    others: dict[tuple[str, str, str], list[str]] = {}
    for one in judged:
        if one.verdict is not Verdict.RIGHT:
            name = re.sub(r"\[.*", "", one.result.test.partition("::")[2])
            others.setdefault((one.result.suite, one.verdict.value, one.reason), []).append(name)
    for (suite, verdict, reason), names in others.items():
        tests = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
        why = reason.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {suite}: {tests} | {verdict} | {why} |")
    return "\n".join(lines)
