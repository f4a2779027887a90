"""Runs other projects' tests against the endpoint, and prints what became of them.

``python -m tests.conformance --sdk-v2 DIR --sdk-v3 DIR --moto DIR --provider DIR``; each option names a checkout of
aws/sagemaker-python-sdk (a tag ``v2.*``, and ``master``), getmoto/moto, and ``providers/amazon`` of apache/airflow or
the provider's source archive from PyPI. ``--write`` puts the table into docs/engine.md. It needs a package index, and
some twenty minutes; the environments of images are kept in the cache directory.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from airflow_sm_pipelines.environments import ensure_environment, find_python
from airflow_sm_pipelines.server import RunningServer, serve
from tests.conformance.expected import EXPECTATIONS
from tests.conformance.provider import run_examples
from tests.conformance.results import Result, Verdict, judge, read_report, write_table
from tests.conformance.suites import PROVIDER, SUITES, Suite

PAGE = Path("docs/engine.md")
BEGIN = "<!-- made by `python -m tests.conformance --write`: begin -->"
END = "<!-- made by conformance: end -->"
FOREIGN = Path(__file__).parent / "foreign"


def main() -> int:
    """Run the suites that are named; 1 if a test is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    for suite in SUITES:
        parser.add_argument(f"--{suite.option}", type=Path, metavar="DIR", help=f"a checkout: {suite.title}")
    parser.add_argument("--provider", type=Path, metavar="DIR", help=f"a checkout: {PROVIDER}")
    parser.add_argument("--only", default="", metavar="TEXT", help="pytest's -k: tests whose name has this text")
    parser.add_argument("--reports", type=Path, metavar="DIR", help="keep pytest's reports there, and read those there")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args()
    results: list[Result] = []
    sources: dict[str, str] = {}
    titles = {suite.option: suite.title for suite in SUITES} | {"provider": PROVIDER}
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-conformance-") as scratch:
        reports = options.reports or Path(scratch)
        reports.mkdir(parents=True, exist_ok=True)
        for suite in SUITES:
            if checkout := getattr(options, suite.option.replace("-", "_")):
                report = reports.absolute() / f"{suite.option}.xml"
                if not report.exists():
                    run_suite(suite, checkout.absolute(), report, only=options.only)
                results += read_report(report, suite.option)
                sources[suite.option] = describe_source(checkout)
        if options.provider:
            results += run_examples(options.provider.absolute(), FOREIGN, Path(scratch))
            sources["provider"] = describe_source(options.provider)
    judged = [judge(result, EXPECTATIONS) for result in results]
    text = f"On {datetime.now(timezone.utc):%Y-%m-%d}:\n\n{write_table(judged, sources, titles)}"
    print(text)
    if options.write:
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")
    return any(one.verdict is Verdict.WRONG for one in judged)


def run_suite(suite: Suite, checkout: Path, report: Path, *, only: str) -> None:
    """Run a suite on an endpoint of its own, and have pytest write its report."""
    version = suite.python if find_python(suite.python, env=os.environ) else None
    python = ensure_environment(suite.requirements, python=version, log=print)
    command = [str(python), "-m", "pytest", "-p", "conformance_connection", "-p", "no:cacheprovider", "-q"]
    command += ["--tb=short", "--timeout=900", f"--junitxml={report}", *(["-k", only] if only else [])]
    with (
        tempfile.TemporaryDirectory(prefix="sm-pipelines-conformance-") as state,
        serve(Path(state) / "state", region=suite.region) as server,
    ):
        # The authors' account has it; where only some tests run, none of them may be one that makes it.
        server.make_bucket(f"sagemaker-{suite.region}-{server.account_id}")
        environment = make_environment(server, suite)
        subprocess.run([*command, *suite.paths], cwd=checkout / suite.folder, env=environment, check=False)


def make_environment(server: RunningServer, suite: Suite) -> dict[str, str]:
    """The variables of a suite's process: AWS is the endpoint, and our plugin can be imported."""
    environment = server.environment()
    # The tests' own packages are called `tests`, as ours is.
    own = str(Path.cwd())
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", own)]
    return {
        **environment,
        **suite.variables,
        "PYTHONPATH": os.pathsep.join([str(FOREIGN), *paths]),
        "AWS_DEFAULT_REGION": suite.region,
        "AWS_REGION": suite.region,
        "TEST_SERVER_MODE_ENDPOINT": server.endpoint_url,
    }


def describe_source(checkout: Path) -> str:
    """The commit of a checkout, or the version of a source archive."""
    if (checkout / "PKG-INFO").exists():
        version = re.search(r"^Version: (\S+)", (checkout / "PKG-INFO").read_text(encoding="utf-8"), re.MULTILINE)
        return f"release {version[1]}" if version else "not known"
    if (checkout / ".git").exists():
        command = ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"]
        return f"`{subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()}`"
    return (
        f"`{(checkout / 'COMMIT').read_text(encoding='utf-8')[:10]}`" if (checkout / "COMMIT").exists() else "not known"
    )


if __name__ == "__main__":
    sys.exit(main())
