"""The arguments of every command, and the end of every error: one block on stderr and an exit code.

Exit codes: 0 is success, 1 an answer that says no (invalid, different), 2 a command that could not do its work.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.cli.migrate_options import add_migrate_command
from airflow_sm_pipelines.cli.options import SOURCE_HELP, add_compile_options, add_policy_options
from airflow_sm_pipelines.cli.rehearse_options import add_rehearse_command
from airflow_sm_pipelines.cli.version_options import add_version_commands
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USAGE_ERROR = 2

DEFAULT_PORT = 4610
"""Where ``local serve`` answers: fixed, so that what points to it may be written down."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: the arguments; those of the process by default.
    :return: the exit code.
    """
    arguments = make_parser().parse_args(argv)
    try:
        code = cast("Callable[[argparse.Namespace], int]", arguments.run)(arguments)
        sys.stdout.flush()
    except SageMakerPipelinesError as error:
        print(f"sm-pipelines: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read us has read enough; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` in what it gives is the function to call."""
    parser = argparse.ArgumentParser(
        prog="sm-pipelines",
        description="Build, check and compare SageMaker pipelines, and run them on this machine.",
        epilog="Exit codes: 0 success; 1 an invalid or different definition; 2 the command could not do its work.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_compile(commands)
    _add_validate(commands)
    _add_diff(commands)
    _add_plan(commands)
    _add_graph(commands)
    _add_run(commands)
    _add_watch(commands)
    _add_cost(commands)
    _add_iam(commands)
    add_version_commands(commands)
    add_migrate_command(commands)
    _add_local(commands)
    return parser


def _add_compile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compile",
        help="turn an SDK script into a pipeline definition",
        description="Run a function that returns a SageMaker SDK Pipeline, in an interpreter of its own, and write the "
        "pipeline's definition as JSON. What the SDK prints goes to standard error.",
        epilog="The SDK may call AWS (the caller's identity, S3 for step code). To keep it on this machine, run "
        "'sm-pipelines local exec -- sm-pipelines compile ...'.",
    )
    parser.add_argument("reference", metavar="SCRIPT:FUNCTION", help="for example pipelines/train.py:get_pipeline")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    add_policy_options(parser)
    add_compile_options(parser)
    parser.set_defaults(run=_run_compile)


def _add_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "validate",
        help="say what SageMaker would refuse in a definition",
        description="Check definitions as SageMaker would, and more: structure, references, cycles, the limits of the "
        "service, and the arguments of steps against the API. Nothing is sent anywhere.",
        epilog="Exit codes: 0 valid, warnings allowed; 1 at least one error; 2 a definition could not be read.",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument("--json", action="store_true", dest="as_json", help="write the findings as JSON")
    parser.add_argument("--strict", action="store_true", help="let warnings count as errors")
    add_policy_options(parser)
    add_compile_options(parser)
    parser.set_defaults(run=_run_validate)


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "diff",
        help="say what changed between two definitions",
        description="Compare two definitions by what they mean: parameters, steps and their arguments by name. "
        "Key order, white space and other spellings of the same are no change.",
    )
    parser.add_argument("old", metavar="OLD", help=SOURCE_HELP)
    parser.add_argument("new", metavar="NEW", help="the same")
    parser.add_argument("--exit-code", action="store_true", help="end with 1 when there are changes")
    parser.add_argument("--json", action="store_true", dest="as_json", help="write the changes as JSON")
    add_compile_options(parser)
    parser.set_defaults(run=_run_diff)


def _add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "plan",
        help="say what deploying a definition would do",
        description="Compare a definition with the deployed one, hold it against SageMaker's limits and the team's "
        "policy, and forecast which steps would take a cached result, and which field keeps the others from it. "
        "Nothing is written.",
        epilog="Exit codes: 0 can be deployed; 1 would be refused; 2 a definition could not be read; with --exit-code, "
        "3 can be deployed and would change something.",
    )
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    deployed = parser.add_mutually_exclusive_group()
    deployed.add_argument(
        "--deployed",
        metavar="SOURCE",
        help="the deployed definition, so that nothing is asked of AWS; DescribePipeline's of --pipeline-name (or of "
        "the script's own name) by default",
    )
    deployed.add_argument("--new", action="store_true", help="plan as if the pipeline did not exist")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", dest="as_json", help="write the plan as JSON")
    shape.add_argument("--markdown", action="store_true", help="write it as a comment for a pull request")
    parser.add_argument("--exit-code", action="store_true", help="end with 3 when something would change")
    add_policy_options(parser)
    add_compile_options(parser)
    parser.set_defaults(run=_run_plan)


def _add_graph(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "graph",
        help="draw a pipeline, or an execution of one",
        description="Draw a pipeline as text, Mermaid or SVG. With --execution: how its steps fared and how long they "
        "took, and as a Gantt chart.",
    )
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help=f"{SOURCE_HELP}; the execution's own definition by default"
    )
    parser.add_argument("--execution", metavar="ARN", help="an execution, whose steps are asked of AWS")
    parser.add_argument(
        "--format",
        choices=("text", "mermaid", "svg", "gantt"),
        help="what to write; by the ending of --output by default (.svg, .mmd), else text",
    )
    parser.add_argument("--title", help="what stands at the top of the picture; the pipeline's name by default")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    add_compile_options(parser)
    parser.set_defaults(run=_run_graph)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="start an execution, and see it to its end",
        description="Start one execution of a deployed pipeline, or deploy a definition or a pipeline script first; "
        "then show its steps until it ends: live on a terminal, as plain lines elsewhere.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it was not started. Ctrl-C stops "
        "watching, not the execution. Example: sm-pipelines local exec -- sm-pipelines run "
        "pipelines/train.py:get_pipeline --role-arn arn:aws:iam::123456789012:role/Sage -p MaxDepth=4",
    )
    parser.add_argument("pipeline", metavar="PIPELINE", help=f"a deployed pipeline's name or ARN; or {SOURCE_HELP}")
    parser.add_argument(
        "-p", action="append", default=[], metavar="NAME=VALUE", dest="parameters", help="a pipeline parameter"
    )
    parser.add_argument("--version", metavar="VERSION", help="a version id or alias of a deployed pipeline")
    parser.add_argument("--no-follow", action="store_true", help="start it, print its ARN, and leave")
    _add_follow_options(parser)
    add_compile_options(parser)
    parser.set_defaults(run=_run_run)


def _add_watch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "watch",
        help="see an execution to its end",
        description="Show the steps of an execution until it ends: live on a terminal, as plain lines elsewhere.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it cannot be watched.",
    )
    parser.add_argument("execution", metavar="ARN", help="the execution")
    _add_follow_options(parser)
    parser.add_argument("--region", help="the region; AWS_REGION or the profile's by default")
    parser.add_argument("--profile", help="the AWS profile")
    parser.set_defaults(run=_run_watch)


def _add_follow_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="between two looks (5; 0.3 on this machine)")
    parser.add_argument(
        "--log-lines", type=int, default=20, metavar="N", help="last log lines to show of a failed step's job (20)"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="write the execution as JSON at its end")


def _add_cost(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "cost",
        help="say what an execution cost",
        description="Estimate what the instances of an execution cost, from its jobs and a table of prices; or, a day "
        "later, ask Cost Explorer what was billed under the execution's tag.",
        epilog="Cost Explorer itself costs money for each request, and knows only tags that were activated as cost "
        "allocation tags and were on the jobs: deploy with cost_tags.",
    )
    parser.add_argument("execution", metavar="ARN", help="the execution")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prices", type=Path, metavar="FILE", help="estimate, with this TOML file of hourly prices")
    source.add_argument(
        "--list-prices", action="store_true", help="estimate, with the prices of AWS's public price list"
    )
    source.add_argument("--billed", action="store_true", help="ask Cost Explorer")
    parser.add_argument(
        "--tag-key", default="sm-pipelines:execution", metavar="KEY", help="the tag that holds the execution's id"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="write the costs as JSON")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="also draw the steps' costs into this SVG file")
    parser.add_argument("--region", help="the region; AWS_REGION or the profile's by default")
    parser.add_argument("--profile", help="the AWS profile")
    parser.set_defaults(run=_run_cost)


def _add_iam(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "iam",
        help="write the IAM policies that a pipeline's roles need",
        description="Write an IAM policy as JSON. 'execution': the least that the executions' role needs, read from "
        "the definition. 'airflow': what Airflow's role calls for one pipeline. 'require-vpc' and 'require-isolation': "
        "the guards of AWS's guide, which deny jobs without a network or isolation. Nothing is asked of AWS.",
        epilog="Example: sm-pipelines iam execution pipeline.json --role-arn arn:aws:iam::123456789012:role/Sage "
        "--region us-east-1",
    )
    parser.add_argument("role", choices=("execution", "airflow", "require-vpc", "require-isolation"))
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=f"for 'execution': {SOURCE_HELP}")
    add_compile_options(parser)
    parser.set_defaults(run=_run_iam)


def _add_local(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "local",
        help="run pipelines on this machine",
        description="SageMaker on loopback: an endpoint that runs pipelines with real processes on this machine. "
        "Nothing reaches AWS.",
    )
    locals_ = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    execute = locals_.add_parser(
        "exec",
        help="run one command with AWS pointing to a local endpoint",
        usage="%(prog)s [options] -- COMMAND ...",
        description="Start the endpoint, run the command with AWS pointing to it in that command's environment only, "
        "and stop. Ends with the command's exit code.",
        epilog="Example: sm-pipelines local exec -- airflow dags test train_model",
    )
    _add_endpoint_options(execute, port=0, port_help="the endpoint's port (a free one)")
    execute.add_argument(
        "--progress",
        action="store_true",
        help="show the executions while the command runs, below its output; for commands that ask no questions",
    )
    execute.add_argument("--quiet", action="store_true", help="say nothing but errors")
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    execute.set_defaults(run=_run_exec)
    script = locals_.add_parser(
        "run",
        help="run a script of the SDK's local mode, without Docker or with it",
        usage="%(prog)s [options] SCRIPT [ARGUMENT ...]",
        description="Run a script that builds and starts pipelines with the SDK's LocalPipelineSession, as it stands. "
        "Its pipelines run on the local endpoint; with --docker, in containers, by the SDK as it is.",
        epilog="Example: sm-pipelines local run pipelines/train.py",
    )
    _add_endpoint_options(script, port=0, port_help="the endpoint's port (a free one)")
    script.add_argument("--quiet", action="store_true", help="do not say where the endpoint is")
    script.add_argument("--docker", action="store_true", help="let the SDK start containers, with your own AWS account")
    script.add_argument("--interpreter", metavar="PYTHON", help="a Python that has the SDK; uv makes one by default")
    script.add_argument("script", type=Path, metavar="SCRIPT", help="a Python file")
    script.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the script's own arguments")
    script.set_defaults(run=_run_script)
    add_rehearse_command(locals_)
    serve = locals_.add_parser(
        "serve",
        help="keep a local endpoint running",
        description="Run the endpoint until Ctrl-C, and say how to point AWS to it.",
    )
    _add_endpoint_options(serve, port=DEFAULT_PORT, port_help=f"the port ({DEFAULT_PORT}); 0 takes a free one")
    serve.set_defaults(run=_run_serve)


def _add_endpoint_options(parser: argparse.ArgumentParser, *, port: int, port_help: str) -> None:
    state = parser.add_mutually_exclusive_group()
    state.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="where the endpoint keeps buckets, pipelines, executions and logs; SM_PIPELINES_STATE_DIR or "
        "~/.local/state/airflow-sm-pipelines by default",
    )
    state.add_argument("--ephemeral", action="store_true", help="keep nothing: a fresh directory, removed at the end")
    parser.add_argument("--port", type=_port, default=port, metavar="N", help=port_help)
    parser.add_argument("--region", help="the endpoint's region; AWS_REGION or us-east-1 by default")


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: expected a number from 0 to 65535")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airflow-sm-pipelines")
    except PackageNotFoundError:
        return "(not installed)"


def _run_compile(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.definitions import run_compile

    return run_compile(arguments)


def _run_validate(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.definitions import run_validate

    return run_validate(arguments)


def _run_diff(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.definitions import run_diff

    return run_diff(arguments)


def _run_plan(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.plans import run_plan

    return run_plan(arguments)


def _run_graph(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.pictures import run_graph

    return run_graph(arguments)


def _run_run(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.runs import run_run

    return run_run(arguments)


def _run_watch(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.runs import run_watch

    return run_watch(arguments)


def _run_cost(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.costs import run_cost

    return run_cost(arguments)


def _run_iam(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.access import run_iam

    return run_iam(arguments)


def _run_exec(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.local import run_exec

    return run_exec(arguments)


def _run_script(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.local_run import run_script

    return run_script(arguments)


def _run_serve(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.local import run_serve

    return run_serve(arguments)
