"""Options that several commands share, each declared once, and the connection that ``--profile`` and ``--region`` name.

An option that only one command has stands in that command's module.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.client.session_calls import SessionCalls

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SOURCE_HELP = (
    "a file that holds a definition: the definition itself or a template of it, a saved answer of DescribePipeline, "
    "'terraform show -json' or 'terraform console', a CloudFormation or CDK template (FILE#NAME names one of several "
    "pipelines), or a folder of them; 'script.py:function', 'script.py' or the same of a notebook; the ARN of a "
    "pipeline or an execution; or - for standard input"
)
PIPELINE_HELP = "the pipeline's name or ARN"

USAGE_ERROR = 2
"""The exit code of a command that could not do its work."""

CHANGED = 3
"""The exit code of ``--exit-code`` when there are changes. 1 always means that the answer is no."""

DEFAULT_PORT = 4610
"""Where ``local serve`` answers: fixed, so that what points to it may be written down."""


class UnreadableSourceError(SageMakerPipelinesError):
    """Something a command was told to read or write, but cannot; its message says what to do."""


def add_command(commands: Commands, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command whose description is its summary."""
    return commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")


def explain_exit_codes(
    parser: argparse.ArgumentParser, *, own: str | None = None, no: str | None = None, changes: bool = False
) -> None:
    """Begin the end of a command's help with what its exit codes mean.

    :param own: whose exit code the command ends with, where it runs another one.
    :param no: what 1 means; None where the command never ends with it.
    :param changes: whether the command has ``--exit-code``.
    """
    codes = [f"that of {own}" if own else "0 done", *([f"1 {no}"] if no else []), f"{USAGE_ERROR} it could not be done"]
    if changes:
        codes.append(f"with --exit-code, {CHANGED} there are changes")
    parser.epilog = " ".join(filter(None, [f"Exit codes: {'; '.join(codes)}.", parser.epilog]))


def add_subcommands(parser: argparse.ArgumentParser, *, title: str, metavar: str) -> Commands:
    """Add the subcommands of a command. The command alone shows its help, as one that could not do its work."""

    def show_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return USAGE_ERROR

    parser.set_defaults(run=show_help)
    return parser.add_subparsers(title=title, metavar=metavar)


class _ModuleSource(argparse.Action):
    """Takes ``pipelines.abalone.pipeline`` for the script that it is, run and imported from the working directory."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        path = Path(*str(values).split("."))
        script = path / "__init__.py" if (path / "__init__.py").is_file() else path.with_name(f"{path.name}.py")
        setattr(namespace, self.dest, f"{script}:get_pipeline")
        if namespace.working_dir is None:
            namespace.working_dir = "."


def add_source(parser: argparse.ArgumentParser, name: str, *, metavar: str, help_text: str = SOURCE_HELP) -> None:
    """Add the argument that names a pipeline, or ``--module-name`` in its place, as AWS's project template has it."""
    group = parser.add_mutually_exclusive_group(required=True)
    # A default would replace what --module-name has set.
    group.add_argument(name, nargs="?", default=argparse.SUPPRESS, metavar=metavar, help=help_text)
    group.add_argument(
        "--module-name",
        "--module",
        action=_ModuleSource,
        dest=name,
        metavar="MODULE",
        help="the get_pipeline of a module of this directory instead, such as pipelines.abalone.pipeline",
    )


def add_json_option(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup, what: str) -> None:
    """Add ``--json``.

    :param what: what is written as JSON.
    """
    parser.add_argument("--json", action="store_true", dest="as_json", help=f"write {what} as JSON")


def add_exit_code_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--exit-code``, which means the same in every command: end with :data:`CHANGED` when there are changes."""
    parser.add_argument("--exit-code", action="store_true", help=f"end with {CHANGED} when there are changes")


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--output``."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to standard output")


def add_connection_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--profile`` and ``--region``; :func:`open_calls` reads them."""
    parser.add_argument("--profile", help="the AWS profile")
    parser.add_argument(
        "--region", help="the region; by default that of an ARN, AWS_REGION, AWS_DEFAULT_REGION, or the profile's"
    )


def open_calls(arguments: argparse.Namespace, *, arn: str | None = None) -> SessionCalls:
    """The calls to AWS, or to the local endpoint that AWS_ENDPOINT_URL names, with the profile and region given.

    :param arn: what the command is about. An ARN with a region decides the region; a name decides nothing.
    :raises PipelineAccessError: if there is no such profile, or no region.
    :raises ArgumentError: if ``--region`` is another region than the ARN's.
    """
    from botocore.exceptions import ProfileNotFound

    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.exceptions import PipelineAccessError

    try:
        return SessionCalls.open(profile=arguments.profile, region=_resolve_region(arguments.region, arn))
    except ProfileNotFound:
        # boto3 looks at AWS_PROFILE even to list the profiles there are.
        raise PipelineAccessError(
            f"There is no AWS profile {os.environ.get('AWS_PROFILE')!r}, which AWS_PROFILE names. Unset "
            "AWS_PROFILE, or name another profile.",
            code="ProfileNotFound",
        ) from None


EXECUTION_HELP = "the execution's ARN; or a pipeline's name or ARN, for its newest execution"


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names an execution; :func:`open_execution` reads it."""
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)


def open_execution(arguments: argparse.Namespace) -> SessionCalls:
    """The calls for an execution, in its own region. ``arguments.execution`` is its ARN afterwards.

    :raises ArgumentError: if the text names neither an execution nor a pipeline, the pipeline has no execution, or
        ``--region`` is another region.
    :raises PipelineAccessError: if there is no such profile.
    """
    named = str(arguments.execution)
    arguments.execution, calls = find_execution(named, lambda: open_calls(arguments, arn=named))
    return calls


def find_execution(named: str, open_calls: Callable[[], SessionCalls]) -> tuple[str, SessionCalls]:
    """The ARN of an execution that is named by it, or by its pipeline, and the calls that know it.

    :param open_calls: gives the calls, once the name is known to be one.
    :raises ArgumentError: as :func:`open_execution`.
    """
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.client.valid_names import is_pipeline_name
    from airflow_sm_pipelines.definition.arns import parse_execution_arn
    from airflow_sm_pipelines.exceptions import ArgumentError

    pipeline, execution = parse_execution_arn(named)
    if not pipeline and not is_pipeline_name(named):
        raise ArgumentError(
            f"{named!r} names neither an execution nor a pipeline. Expected a pipeline's name or ARN, or "
            "arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME/execution/ID, as 'sm-pipelines run' prints it."
        )
    calls = open_calls()
    if not execution:
        newest = next(calls.list_executions(named), None)
        if newest is None:
            raise ArgumentError(f"Pipeline '{pipeline or named}' has no executions yet.")
        complain(f"The newest execution: {newest.arn}")
        return newest.arn, calls
    return named, calls


def _resolve_region(given: str | None, arn: str | None) -> str | None:
    from airflow_sm_pipelines.definition.arns import parse_arn
    from airflow_sm_pipelines.exceptions import ArgumentError

    found = parse_arn(arn or "")
    if found is None or not found.region:
        return given
    if given not in (None, "", found.region):
        raise ArgumentError(f"--region {given}: but {arn} is in {found.region}. Leave --region out.")
    return found.region


def add_parameter_option(parser: argparse.ArgumentParser, *, help_text: str) -> None:
    """Add ``--parameter``, which may be given again and again."""
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help=help_text,
    )


def add_policy_options(parser: argparse.ArgumentParser, *, modes: Sequence[str] = ("enforce", "apply")) -> None:
    """Add ``--policy-file`` and ``--policy``.

    :param modes: what a command knows to do with a policy; the deploy options check it.
    """
    group = parser.add_argument_group("for a team's policy")
    group.add_argument(
        "--policy-file", metavar="FILE", help="a TOML file with the team's rules: networks, keys, tags, limits"
    )
    group.add_argument(
        "--policy",
        default="enforce",
        metavar=f"{{{','.join(modes)}}}",
        help="enforce (the default) refuses errors; apply first fills the policy's network, keys, limits and tags into "
        "every job that has none" + ("; warn only shows findings; off does not look" if "warn" in modes else ""),
    )


def add_script_options(parser: argparse.ArgumentParser) -> None:
    """Add what a pipeline script is compiled with; the names are those of the deploy options."""
    group = parser.add_argument_group("for pipeline scripts")
    group.add_argument("--role-arn", metavar="ARN", help="the execution role; the function gets it too")
    group.add_argument("--pipeline-name", metavar="NAME", help="the pipeline's name; the function gets it too")
    group.add_argument(
        "--default-bucket", metavar="BUCKET", help="the bucket that the SDK's session and the function get"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="a JSON object: arguments of the function by name")
    group.add_argument(
        "--kwargs", metavar="DICT", help="the same as JSON text or a Python dict, as the project template has it"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="one argument of the function, JSON or text; beats --config",
    )
    group.add_argument("--interpreter", metavar="PYTHON", help="a Python that has the SDK; uv makes one by default")
    group.add_argument(
        "--requirements",
        action="append",
        metavar="REQUIREMENT",
        help="what the script needs, such as 'sagemaker>=2.257,<3', or a requirements file; for a script that does not "
        "say it",
    )
    group.add_argument(
        "--script-args",
        type=shlex.split,
        default=[],
        metavar="ARGUMENTS",
        help="the command line of a script that reads one, such as --script-args='--bucket b --threshold 0.9'",
    )
    group.add_argument(
        "--script-env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable of the script"
    )
    group.add_argument(
        "--working-dir", metavar="DIR", help="where the script runs and imports from; its own folder by default"
    )
    group.add_argument(
        "--verbose", action="store_true", help="show what uv, the SDK and other packages print, also on success"
    )
    group.add_argument(
        "--timeout",
        type=parse_amount,
        default=600,
        metavar="SECONDS",
        dest="compile_timeout_seconds",
        help="for the script (600)",
    )
    group.add_argument(
        "--no-cache",
        action="store_false",
        dest="cache",
        help="build the script anew, whatever earlier builds there are",
    )
    add_connection_options(group)


def add_variable_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--var``, which may be given again and again."""
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="variables",
        help="a value for ${NAME} in a template, or for a parameter or a resource of a CloudFormation template; what "
        "is not given counts as unknown",
    )


def add_progress_options(parser: argparse.ArgumentParser) -> None:
    """Add how an execution is shown while it runs."""
    parser.add_argument(
        "--interval", type=parse_amount, metavar="SECONDS", help="between two checks (5; 0.3 on this machine)"
    )
    parser.add_argument(
        "--log-lines",
        type=parse_count,
        default=20,
        metavar="N",
        help="last log lines to show of a failed step's job (20)",
    )
    add_json_option(parser, "the execution, at its end,")


def add_state_option(parser: argparse.ArgumentParser) -> None:
    """Add which local endpoint's state is meant."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="the state directory of the endpoint; SM_PIPELINES_STATE_DIR or ~/.local/state/airflow-sm-pipelines/local "
        "by default",
    )


def add_strict_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--strict``."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with 1 also where a run that succeeded relied on something that may differ on AWS",
    )


def add_endpoint_options(parser: argparse.ArgumentParser, *, port: int, port_help: str) -> None:
    """Add where a local endpoint answers and keeps its state."""
    state = parser.add_mutually_exclusive_group()
    state.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="where the endpoint keeps buckets, pipelines, executions and logs; SM_PIPELINES_STATE_DIR or "
        "~/.local/state/airflow-sm-pipelines/local by default",
    )
    state.add_argument("--ephemeral", action="store_true", help="keep nothing: a fresh directory, removed at the end")
    parser.add_argument("--port", type=parse_port, default=port, metavar="N", help=port_help)
    parser.add_argument(
        "--region", help="the endpoint's region; AWS_REGION, AWS_DEFAULT_REGION or us-east-1 by default"
    )
    parser.add_argument(
        "--allow-user",
        dest="users",
        type=parse_user,
        action="append",
        default=[],
        metavar="USER",
        help="another user of this machine, by name or number, who may call the endpoint and so run code as you; may "
        "be repeated. Without it, yours and root's processes may (Linux), and who has the endpoint's key",
    )
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--require-key",
        action="store_true",
        help="answer only requests signed with the endpoint's key, which 'local env' and 'local exec' set",
    )
    keys.add_argument(
        "--accept-any-key",
        action="store_true",
        help="where the system does not tell users apart (macOS): answer whatever key a request is signed with, and so "
        "every user of this machine",
    )


def make_endpoint_arguments(*, state_dir: Path | None = None, **options: Any) -> argparse.Namespace:
    """What :func:`add_endpoint_options` gives where nothing was typed, for a command that has not all of them."""
    parser = argparse.ArgumentParser()
    add_endpoint_options(parser, port=0, port_help="")
    return parser.parse_args([], argparse.Namespace(state_dir=state_dir, argv=[], **options))


def parse_user(text: str) -> int:
    """The number of a user of this machine.

    :param text: the user's name or number.
    :raises ArgumentTypeError: if there is no such user.
    """
    import argparse
    import pwd

    try:
        return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"this machine has no user called {text!r}") from None


def parse_port(text: str) -> int:
    """The number of a port.

    :raises ArgumentTypeError: if it is none.
    """
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: expected a number from 0 to 65535")


def parse_count(text: str) -> int:
    """How many of something: a whole number, or zero.

    :raises ArgumentTypeError: if it is none. A negative one must not pass: of "the newest to keep" it would keep none.
    """
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")


def parse_amount(text: str) -> float:
    """How much of something, such as seconds, days or dollars: a number from zero on.

    :raises ArgumentTypeError: if it is none, or not finite.
    """
    with suppress(ValueError):
        if 0 <= (found := float(text)) < math.inf:
            return found
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
