"""`make conformance`: other projects' own tests, run against the local endpoint, as tables in docs/engine.md.

The tests are run as they are, from checkouts that are given. Nothing about them changes but where AWS is, and how long
they sleep (`waiting_times`). Which of them cannot pass here, and why, is in `expected.toml`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from tests.conformance.outcomes import Outcome, Verdict, load_expectations, read_report, render_counts, render_reasons
from tests.conformance.suites import SUITES, Suite

PAGE = Path("docs/engine.md")
BEGIN, END = "<!-- made by `make conformance`: begin -->", "<!-- made by `make conformance`: end -->"
HERE = Path(__file__).parent
TEST_SECONDS = 3600
"""How long one test may take, as far as the commands' own limit goes."""


def prepare_interpreter(suite: Suite, work: Path) -> Path:
    """Make the interpreter of a project's tests, or take the one that was made before."""
    if not suite.packages:
        return Path(sys.executable)
    folder = work / "environments" / suite.name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", "--python", suite.python, str(folder)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "-p", str(python), *suite.packages], check=True)
    return python


def run_suite(suite: Suite, checkout: Path, work: Path, chosen: list[str]) -> list[Outcome]:
    """Run a project's tests against an endpoint of their own, and judge them.

    :param chosen: what of them to run; all where it is empty.
    :raises RuntimeError: if pytest left no report.
    """
    report, log = work / f"{suite.name}.xml", work / f"{suite.name}.log"
    report.unlink(missing_ok=True)
    python = prepare_interpreter(suite, work)
    endpoint = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "exec", "--ephemeral"]
    plugins = [part for name in (*suite.plugins, "no:cacheprovider") for part in ("-p", name)]
    tests = [str(python), "-m", "pytest", *plugins]
    options = ["--junit-xml", str(report), "-o", "addopts=", "--timeout", str(TEST_SECONDS), "-v", "--tb=short"]
    with log.open("wb") as output:
        subprocess.run(
            [*endpoint, "--region", suite.region, "--", *tests, *options, *(chosen or suite.tests)],
            cwd=checkout / suite.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", "")))},
            stdout=output,
            stderr=output,
            check=False,
        )
    if not report.exists():
        raise RuntimeError(
            f"{suite.title}: pytest left no report. Its last lines, of {log}:\n{log.read_text()[-2000:]}"
        )
    return read_report(report.read_text(), load_expectations(suite.name))


def describe_commit(checkout: Path, given: str | None) -> str:
    """The commit of a checkout, or what the caller says it is."""
    if given:
        return given
    found = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()[:12] or "unknown"


def write_page(tables: str, page: Path = PAGE) -> None:
    """Put the tables in their place in the page."""
    text = page.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n{tables}\n{END}", text))


def parse_arguments() -> argparse.Namespace:
    """What to run, and from where."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    for suite in SUITES:
        parser.add_argument(f"--{suite.name}", metavar="DIR", type=Path, help=f"a checkout of the {suite.title}")
        parser.add_argument(f"--{suite.name}-commit", metavar="SHA", help="its commit, where DIR has no .git")
    parser.add_argument("--work", metavar="DIR", type=Path, default=Path(".local/conformance"))
    parser.add_argument("--tests", nargs="*", default=[], help="only these, as pytest takes them (one checkout)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    return parser.parse_args()


def main() -> int:
    """Run what is given, and print the tables.

    :return: 1 if a test came out wrong.
    """
    arguments = parse_arguments()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for suite in SUITES:
        key = suite.name.replace("-", "_")
        checkout = getattr(arguments, key)
        if checkout is not None:
            commit = describe_commit(checkout, getattr(arguments, f"{key}_commit"))
            rows.append((suite.title, commit, run_suite(suite, checkout.resolve(), work, arguments.tests)))
    tables = f"Run on {datetime.now(timezone.utc):%Y-%m-%d}.\n\n{render_counts(rows)}\n\n{render_reasons(rows)}"
    print(tables)
    if arguments.write:
        write_page(tables)
    return any(outcome.verdict is Verdict.WRONG for _, _, outcomes in rows for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
