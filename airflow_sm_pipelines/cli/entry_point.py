"""The command itself: it parses the arguments, runs one command, and ends every error with a block on stderr.

Exit codes: 0 is success, 1 an answer that says no (invalid, refused, failed), 2 a command that could not do its
work, 3 changes where ``--exit-code`` asks for them.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.cli.commands import GROUPS, load_commands
from airflow_sm_pipelines.cli.shared_options import USAGE_ERROR, add_subcommands
from airflow_sm_pipelines.cli.terminal import complain
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OPTIONS = re.compile(
    r"(?m)(?:^(?P<given>[a-z]+(?:_[a-z]+)*)=(?=['\"]))"
    r"|(?P<named>\b(?:role_arn|pipeline_name|policy_file)\b)(?= is needed|[.,:;]?$|[.,:;] )"
    r"|(?P<aliases>^aliases(?=: ))"
)
"""An operator's argument where a message names it: at the start of a line with its value, or as what is missing."""

_FIRST_OF_GROUP = {names[0]: group for group, names in GROUPS.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: the arguments; those of the process by default.
    :return: the exit code.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(make_parser())
    parser = make_parser(typed)
    arguments, unknown = parser.parse_known_args(typed, argparse.Namespace(argv=typed))
    if unknown:
        parser.error(_explain_unknown(unknown, arguments))
    try:
        code = cast("Callable[[argparse.Namespace], int]", arguments.run)(arguments)
        sys.stdout.flush()
    except SageMakerPipelinesError as error:
        complain(f"sm-pipelines: {name_flags(str(error))}")
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader, such as 'head', has closed the pipe; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def name_flags(message: str) -> str:
    """The message with the commands' options where it names the operators' arguments: the rules have one wording."""
    return _OPTIONS.sub(
        lambda found: "--alias" if found["aliases"] else _flag(found["given"] or found["named"], bool(found["given"])),
        message,
    )


def _flag(name: str, has_value: bool) -> str:
    return f"--{name.replace('_', '-')}{' ' if has_value else ''}"


def make_parser(typed: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` in what it gives is the function to call.

    :param typed: what is to be parsed; if it begins with a command, the parser has that one only.
    """
    parser = argparse.ArgumentParser(
        prog="sm-pipelines",
        description="Build, deploy, run and watch SageMaker pipelines, on AWS or on this machine.",
        formatter_class=_GroupedHelp,
        epilog="Exit codes: 0 success; 1 the answer is no: invalid, refused, failed; 2 the command could not do its "
        "work; 3 with --exit-code, there are changes. 'sm-pipelines COMMAND --help' shows a command's options.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version, and exit")
    commands = add_subcommands(parser, title="commands", metavar="COMMAND")
    for command in load_commands(typed):
        command.add(commands)
    return parser


def _explain_unknown(unknown: list[str], arguments: argparse.Namespace) -> str:
    """What to say of arguments that the command does not have."""
    pairs = [text for text in unknown if text.partition("=")[0].isidentifier() and "=" in text]
    if pairs == unknown and hasattr(arguments, "parameters"):
        return f"write -p before each parameter: {' '.join(f'-p {pair}' for pair in pairs)}"
    return f"unrecognized arguments: {' '.join(unknown)}"


class _GroupedHelp(argparse.HelpFormatter):
    """Writes a heading above the first command of each group."""

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        if isinstance(action, argparse._SubParsersAction):
            return text.partition("\n")[2]  # the word COMMAND alone says nothing
        group = _FIRST_OF_GROUP.get(action.dest) if type(action).__name__ == "_ChoicesPseudoAction" else None
        return f"\n  {group}\n{text}" if group else text


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for: that takes as long as all the rest of ``--help``."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {_find_version()}")
        parser.exit()


def _find_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airflow-sm-pipelines")
    except PackageNotFoundError:
        return "(not installed)"
