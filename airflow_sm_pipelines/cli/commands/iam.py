"""``iam``: the policies that a pipeline's roles need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    SOURCE_HELP,
    add_script_options,
    add_variable_option,
    explain_exit_codes,
    open_calls,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.policy.iam_policies import Account


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "iam",
        help="write the IAM policies that a pipeline's roles need",
        description="Write an IAM policy as JSON. 'execution': the least that the executions' role needs, read from "
        "the definition. 'airflow': what Airflow's role calls for one pipeline. 'require-vpc' and 'require-isolation': "
        "the guards of AWS's guide, which deny jobs without a network or isolation. Nothing is asked of AWS.",
        epilog="Example: sm-pipelines iam execution pipeline.json --role-arn arn:aws:iam::123456789012:role/Sage "
        "--region us-east-1",
    )
    parser.add_argument(
        "role", choices=("execution", "airflow", "require-vpc", "require-isolation"), help="which policy to write"
    )
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=f"for 'execution': {SOURCE_HELP}")
    parser.add_argument(
        "--for",
        dest="uses",
        metavar="USES",
        default="deploy,run,stop,delete",
        help="for 'airflow': what it does with the pipeline: deploy, run, stop, delete, with commas; all by default",
    )
    add_variable_option(parser)
    add_script_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write one policy as JSON; what could not be put in it goes to standard error."""
    from airflow_sm_pipelines.cli.terminal import say_json

    say_json(_make(arguments))
    return 0


def _make(arguments: argparse.Namespace) -> JsonObject:
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_source
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.definition.problems import list_names
    from airflow_sm_pipelines.policy import iam_policies

    if arguments.role == "require-vpc":
        return iam_policies.make_vpc_guard()
    if arguments.role == "require-isolation":
        return iam_policies.make_isolation_guard()
    account = _find_account(arguments)
    if arguments.role == "airflow":
        if not arguments.pipeline_name:
            raise UnreadableSourceError("The Airflow role is for one pipeline: name it with --pipeline-name.")
        return iam_policies.make_airflow_role_policy(
            account,
            pipeline_name=arguments.pipeline_name,
            execution_role_arn=arguments.role_arn,
            bucket=arguments.default_bucket,
            uses=_read_uses(arguments.uses),
        )
    if arguments.source is None:
        raise UnreadableSourceError("The execution role's policy is read from a definition: name it after 'execution'.")
    source = read_source(arguments.source, arguments)
    refuse_unused_variables(arguments)
    if source.held is not None and source.held.unknown:
        # In a policy, '${bucket}' would be a variable of IAM.
        raise UnreadableSourceError(
            f"{source.name}: a policy needs every address, but some values are unknown here: "
            f"{list_names(source.held.unknown)}. Give each with --var NAME=VALUE."
        )
    definition, _ = source.parse()
    made = iam_policies.make_execution_role_policy(definition, account, role_arn=arguments.role_arn)
    for sentence in made.unknown:
        complain(f"note: {sentence}")
    return made.document


def _read_uses(text: str) -> list[str]:
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError
    from airflow_sm_pipelines.policy.iam_policies import AIRFLOW_USES

    uses = [use.strip() for use in text.split(",")]
    if unknown := [use for use in uses if use not in AIRFLOW_USES]:
        raise UnreadableSourceError(f"--for {unknown[0]}: expected some of {', '.join(AIRFLOW_USES)}.")
    return uses


def _find_account(arguments: argparse.Namespace) -> Account:
    """The account and partition of the role's ARN, and the region; AWS is not asked."""
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError
    from airflow_sm_pipelines.definition.arns import parse_arn
    from airflow_sm_pipelines.policy.iam_policies import Account

    role = parse_arn(arguments.role_arn or "")
    if role is None or (role.service, role.kind) != ("iam", "role") or len(role.account) != 12 or not role.name:
        raise UnreadableSourceError("Name the execution role with --role-arn arn:aws:iam::ACCOUNT:role/NAME.")
    return Account(role.account, open_calls(arguments).conn_region_name, role.partition)
