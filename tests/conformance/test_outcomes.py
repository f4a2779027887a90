"""How the ends of other projects' tests are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.outcomes import (
    Expectation,
    Outcome,
    Verdict,
    load_expectations,
    read_report,
    render_counts,
    render_reasons,
)
from tests.conformance.suites import SUITES, Suite

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """<testsuites><testsuite>
<testcase classname="tests.integ.test_a" name="test_good"/>
<testcase classname="tests.integ.test_a" name="test_spark">
  <failure message="boom">PySpark is not served</failure></testcase>
<testcase classname="tests.integ.test_a" name="test_docker"><error message="setup">no docker found</error></testcase>
<testcase classname="tests.integ.test_a" name="test_skipped"><skipped message="other region"/></testcase>
</testsuite></testsuites>"""
LISTED = (
    Expectation("test_a::test_spark", Verdict.REFUSED, "PySpark is not served", "Spark has no image here"),
    Expectation("test_a::test_docker", Verdict.NOT_DECIDABLE, "no docker", "needs Docker"),
)


def test_each_end_has_its_verdict() -> None:
    assert [(outcome.test, outcome.verdict.value) for outcome in read_report(REPORT, LISTED)] == [
        ("test_a::test_good", "right"),
        ("test_a::test_spark", "refused"),
        ("test_a::test_docker", "not decidable here"),
        ("test_a::test_skipped", "not decidable here"),
    ]


def test_a_failure_that_says_something_else_than_its_list_is_wrong() -> None:
    other = REPORT.replace("PySpark is not served", "the endpoint answered 500")
    assert read_report(other, LISTED)[1] == Outcome("test_a::test_spark", Verdict.WRONG, "boom")


def test_a_list_cannot_call_a_failure_right(tmp_path: Path) -> None:
    listed = tmp_path / "expected.toml"
    listed.write_text('[[moto]]\ntest = "a"\nverdict = "right"\ntext = "b"\nreason = "c"\n')
    with pytest.raises(ValueError, match="only failures are listed"):
        load_expectations("moto", listed)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_listed_failure_says_what_it_must_contain(suite: Suite) -> None:
    for expected in load_expectations(suite.name):
        assert expected.text
        assert expected.reason


def test_the_tables_count_all_and_name_what_is_not_right() -> None:
    rows = [("SDK", "abc", read_report(REPORT, LISTED))]
    assert render_counts(rows).splitlines()[-1] == "| SDK | abc | 1 | 0 | 1 | 2 |"
    reasons = render_reasons(rows)
    assert "| SDK | refused | `test_spark` | Spark has no image here |" in reasons
    assert "test_good" not in reasons
