"""``outputs``: what the steps of an execution have yielded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_connection_options,
    add_execution,
    add_json_option,
    explain_exit_codes,
    open_execution,
    parse_count,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "outputs",
        help="print what the steps of an execution have yielded, as JSON",
        description="Print what each step of an execution has yielded, as JSON: models, metrics, addresses in S3, "
        "packages. Or print chosen values, named as the run operator's 'outputs' names them.",
        epilog="Examples: sm-pipelines outputs train-model; sm-pipelines outputs train-model "
        "Steps.Train.ModelArtifacts.S3ModelArtifacts Steps.Evaluate.PropertyFiles.Metrics#regression.rmse",
    )
    add_execution(parser)
    parser.add_argument(
        "values",
        nargs="*",
        metavar="VALUE",
        help="Steps.STEP.PROPERTY, or Steps.STEP.PropertyFiles.NAME#PATH for a place in a property file",
    )
    parser.add_argument(
        "--max-steps",
        type=parse_count,
        default=1000,
        metavar="N",
        help="without VALUE, of at most so many steps (1000)",
    )
    add_json_option(parser, "the values (the default)")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the outputs of an execution."""
    from airflow_sm_pipelines.cli.terminal import complain, say_json
    from airflow_sm_pipelines.client.outputs import (
        OutputReader,
        check_output_steps,
        parse_output_requests,
        parse_output_text,
    )
    from airflow_sm_pipelines.definition import parse_definition

    wanted = {f"value{number}": parse_output_text(text) for number, text in enumerate(arguments.values)}
    requests = parse_output_requests(wanted)
    calls = open_execution(arguments)
    arn = arguments.execution
    if requests:
        check_output_steps(requests, parse_definition(calls.describe_execution_definition(arn), name=arn))
    reader = OutputReader(calls, calls.describe_report(arn), warn=complain)
    if not requests:
        say_json(reader.read_defaults(max_steps=arguments.max_steps))
        return 0
    found = reader.read(requests)
    say_json({text: found[name] for name, text in zip(wanted, arguments.values, strict=True)})
    return 0
