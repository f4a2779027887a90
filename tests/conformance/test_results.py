"""What is expected of other projects' tests: a failure counts as expected in the expected words only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.results import Expectation, Result, Verdict, judge, read_report, write_table

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = Expectation("suite", "test_a::*", Verdict.REFUSED, "no Spark", "Spark is not here")
REPORT = """<testsuites><testsuite>
<testcase classname="tests.integ.test_a" name="test_right" />
<testcase classname="tests.integ.test_a" name="test_refused"><properties><property name="reasons"
  value="ClientError: no Spark" /></properties><failure message="assert 1 == 2">E   assert 1 == 2</failure></testcase>
<testcase classname="tests.integ.test_a" name="test_wrong[x]"><failure message="">E   assert 3 == 4</failure>
</testcase>
<testcase classname="tests.integ.test_b" name="test_skipped"><skipped message="not today" /></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    path = tmp_path / "report.xml"
    path.write_text(REPORT, encoding="utf-8")
    return read_report(path, "suite")


def test_a_failure_is_expected_in_its_own_words_only(results: list[Result]) -> None:
    verdicts = {result.test: judge(result, [EXPECTED]).verdict for result in results}
    assert verdicts == {
        "test_a::test_right": Verdict.RIGHT,
        "test_a::test_refused": Verdict.REFUSED,
        "test_a::test_wrong[x]": Verdict.WRONG,
        "test_b::test_skipped": Verdict.UNDECIDED,
    }


def test_the_table_counts_all_and_names_what_is_not_right(results: list[Result]) -> None:
    table = write_table([judge(one, [EXPECTED]) for one in results], {"suite": "`abc`"}, {"suite": "The suite"})
    assert "| The suite | `abc` | 1 | 1 | 1 | 1 | 0 |" in table
    assert "| suite: `test_refused` | refused | Spark is not here |" in table
    assert "| suite: `test_wrong` | wrong | assert 3 == 4 |" in table
