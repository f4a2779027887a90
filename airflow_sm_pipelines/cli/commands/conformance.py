"""``conformance``: where an AWS account and the local endpoint differ, found by small probes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_connection_options, add_json_option, parse_amount
from airflow_sm_pipelines.exceptions import ArgumentError, PriceError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.account_probes import Probe, ProbedAccount
    from airflow_sm_pipelines.account_probes.probes import ProbeAnswers
    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.client.session_calls import SessionCalls

DIFFERS = 1
"""The exit code where an answer differs, or something could not be cleaned up."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "conformance",
        help="find where an AWS account and the local endpoint differ",
        description="Ask an AWS account and an endpoint on this machine the same small questions about rules that AWS "
        "does not document, and print where their answers differ. What is made is tagged and named after the run, and "
        "removed at the end, also after Ctrl-C. Most questions need no job. The cost is said before anything is made.",
        epilog="Exit codes: 0 all answers are equal; 1 some differ, or something is left; 2 it could not be run. "
        "Example: sm-pipelines conformance --role-arn arn:aws:iam::111122223333:role/SageMaker --no-jobs",
    )
    parser.add_argument("--role-arn", metavar="ARN", help="the execution role of the pipelines and jobs in the account")
    parser.add_argument(
        "--budget",
        type=parse_amount,
        default=1.0,
        metavar="USD",
        help="run nothing that could cost more than this (1.00)",
    )
    parser.add_argument("--prices", type=Path, metavar="FILE", help="a TOML file of hourly prices; AWS's list without")
    parser.add_argument("--no-jobs", action="store_true", help="only the probes without a job, which cost nothing")
    parser.add_argument(
        "--probe", action="append", default=[], metavar="NAME", dest="probes", help="only this probe; may be repeated"
    )
    parser.add_argument("--list", action="store_true", dest="only_list", help="list the probes, and end")
    parser.add_argument("--clean-up", metavar="RUN", help="remove what a run that was killed has left, and end")
    add_json_option(parser, "the answers")
    add_connection_options(parser)
    parser.set_defaults(run=run, quiet=True)


def run(arguments: argparse.Namespace) -> int:
    """Compare, and say where the answers differ.

    :raises ArgumentError: if the cost is above the budget, or an argument is missing or wrong.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment

    enter_local_environment(arguments)
    from airflow_sm_pipelines.account_probes import make_run_id
    from airflow_sm_pipelines.cli.shared_options import open_calls
    from airflow_sm_pipelines.cli.terminal import say

    probes = _choose(arguments)
    if arguments.only_list:
        say(*(f"{probe.name:20} {probe.instance_minutes:4g} min  {probe.question}" for probe in probes))
        return 0
    calls = open_calls(arguments)
    if arguments.clean_up:
        return _clean_up(_open_account(calls, arguments.clean_up, role_arn=""))
    if not arguments.role_arn:
        raise ArgumentError("--role-arn is needed: the execution role of the pipelines.")
    run_id = make_run_id()
    say(
        _explain_cost(calls, probes, arguments),
        f"Run {run_id}. If it is killed: sm-pipelines conformance --clean-up {run_id}",
    )
    return _compare(_open_account(calls, run_id, role_arn=arguments.role_arn), probes, arguments)


def _choose(arguments: argparse.Namespace) -> list[Probe]:
    from airflow_sm_pipelines.account_probes import PROBES
    from airflow_sm_pipelines.definition.problems import suggest

    names = [probe.name for probe in PROBES]
    for name in arguments.probes:
        if name not in names:
            raise ArgumentError(f"There is no probe {name!r}.{suggest(name, names)}")
    return [
        probe
        for probe in PROBES
        if (not arguments.probes or probe.name in arguments.probes)
        and not (arguments.no_jobs and probe.instance_minutes)
    ]


def _open_account(calls: SessionCalls, run_id: str, *, role_arn: str) -> ProbedAccount:
    from airflow_sm_pipelines.account_probes import ProbedAccount
    from airflow_sm_pipelines.loopback import is_loopback_url

    is_local = is_loopback_url(calls.conn.meta.endpoint_url)
    return ProbedAccount(calls, run_id, role_arn=role_arn, poll_seconds=0.1 if is_local else 5.0)


def _explain_cost(calls: SessionCalls, probes: list[Probe], arguments: argparse.Namespace) -> str:
    """What the run costs at most.

    :raises ArgumentError: more than the budget.
    """
    from airflow_sm_pipelines.account_probes.probes import INSTANCE_TYPE, estimate_price
    from airflow_sm_pipelines.client.costs import CostCalls
    from airflow_sm_pipelines.cost import load_prices
    from airflow_sm_pipelines.loopback import is_loopback_url

    minutes = sum(probe.instance_minutes for probe in probes)
    if not minutes:
        return f"{len(probes)} probes without a job: no cost but for requests."
    if arguments.prices is None and is_loopback_url(calls.conn.meta.endpoint_url):
        return f"{len(probes)} probes on the endpoint of this machine: no cost."
    prices = load_prices(arguments.prices) if arguments.prices else CostCalls(calls).fetch_prices([INSTANCE_TYPE])
    price = estimate_price(probes, prices, INSTANCE_TYPE)
    if price is None:
        raise PriceError(f"The prices have none for {INSTANCE_TYPE}. Give one with --prices, or take --no-jobs.")
    text = f"{len(probes)} probes with {minutes:g} minutes of {INSTANCE_TYPE}: {price:.4f} {prices.currency} at most."
    if price > arguments.budget:
        raise ArgumentError(f"{text} That is above --budget {arguments.budget:g}. Raise it, or take --no-jobs.")
    return text


def _compare(aws: ProbedAccount, probes: list[Probe], arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.account_probes import ProbedAccount
    from airflow_sm_pipelines.account_probes.probes import compare
    from airflow_sm_pipelines.cli.local_session import handled_signals, open_endpoint
    from airflow_sm_pipelines.cli.shared_options import make_endpoint_arguments
    from airflow_sm_pipelines.cli.terminal import say, say_json
    from airflow_sm_pipelines.client.session_calls import SessionCalls

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    findings: list[ProbeAnswers] = []
    left: list[str] = []
    endpoint = make_endpoint_arguments(ephemeral=True, region=aws.sagemaker.meta.region_name)
    with open_endpoint(endpoint) as server:
        role = f"arn:aws:iam::{server.account_id}:role/Conformance"
        local = ProbedAccount(
            SessionCalls.at_endpoint(server.environment()), aws.run_id, role_arn=role, poll_seconds=0.1
        )
        try:
            with handled_signals(interrupt, signal.SIGTERM, signal.SIGHUP):
                for finding in compare(probes, aws, local):
                    findings.append(finding)
                    if not arguments.as_json:
                        say(*_render(finding))
        finally:
            left = aws.clean_up()
            say(*(f"Left: {line}" for line in left))
    different = [finding for finding in findings if not finding.is_equal]
    if arguments.as_json:
        say_json({one.probe.name: {"equal": one.is_equal, "aws": one.aws, "local": one.local} for one in findings})
    else:
        say(f"{len(findings)} probes: {len(findings) - len(different)} equal, {len(different)} different.")
    return DIFFERS if different or left else 0


def _clean_up(account: ProbedAccount) -> int:
    from airflow_sm_pipelines.cli.terminal import say

    left = account.clean_up()
    say(*(f"Left: {line}" for line in left), *([] if left else ["Nothing is left."]))
    return DIFFERS if left else 0


def _render(finding: ProbeAnswers) -> list[str]:
    probe = finding.probe
    if finding.is_equal:
        return [f"  equal   {probe.name}"]
    return [
        f"DIFFERENT {probe.name}: {probe.question}",
        f"      AWS: {json.dumps(finding.aws)}",
        f"    local: {json.dumps(finding.local)}",
    ]
