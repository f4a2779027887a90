"""``deploy``: a definition or a script, created or updated as a pipeline; nothing is written where nothing differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.deploying import add_deploy_options, check_deployable, deploy_source
from airflow_sm_pipelines.cli.shared_options import add_json_option, add_source, explain_exit_codes, open_calls

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "deploy",
        help="create or update a pipeline, and move aliases",
        description="Create or update a pipeline from a definition or a script, and move aliases to its version. "
        "Nothing is written where nothing differs. 'plan' shows what a deployment would change.",
        epilog="Example: sm-pipelines deploy pipelines/train.py:get_pipeline --role-arn "
        "arn:aws:iam::123456789012:role/Sage --alias staging",
    )
    add_source(parser, "pipeline", metavar="SOURCE")
    parser.add_argument("--description", metavar="TEXT", help="a text for the pipeline")
    parser.add_argument("--max-parallel-steps", metavar="N", help="steps of one execution that may run at once")
    add_json_option(parser, "what was deployed")
    add_deploy_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Deploy the source, and say what came of it."""
    from airflow_sm_pipelines.cli.terminal import open_log, say_json

    check_deployable(arguments)
    deployment = deploy_source(open_calls(arguments), arguments, log=open_log())
    if arguments.as_json:
        say_json(deployment.to_json())
    return 0
