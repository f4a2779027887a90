"""The help of all commands: each argument has one, all have the same form, and what it says of the command is true."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines import cli
from airflow_sm_pipelines.cli.entry_point import make_parser
from airflow_sm_pipelines.cli.shared_options import parse_amount, parse_count, parse_port
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.runs.start_request import StartOptions
from tests.test_page_commands import check, split

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = (
    *("Airflow", "API", "ARN", "ASL", "AWS", "boto3", "CDK", "CloudFormation", "CloudWatch", "Ctrl", "DAG", "Docker"),
    *("ECR", "GB", "IAM", "JSON", "KB", "KFP", "Kubeflow", "Lambda", "Linux", "macOS", "MLflow", "MWAA"),
    *("Python", "S3", "SageMaker", "SAM", "SDK", "SVG", "TOML", "v2", "v3", "VPC", "YAML"),
)
SPELLED = {name.lower(): name for name in NAMES}
"""How a name is spelled in a sentence, by its small letters."""

NOT_PROSE = re.compile(
    r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*'"
    r"|Examples?: .*|In fish: \S+( \S+)*"
    r"|\w+://\S*|(?<!\w)~?[\w.]*/[\w./:{}-]+|\w+[.:][\w./:-]*\w|(?<!\w)\.\w+|\$\{\w+\}|(?<!\w)--?[\w-]+|\w+_\w+"
)
"""What is no sentence in a text of the help: commands, paths, options, endings of files, variables."""

WORD = re.compile(r"[A-Za-z]+\d?")
SOUND = re.compile(r"[A-Z]?[a-z]+|[A-Z]|([A-Z][a-z]+){2,}")
"""A word in small letters, a first one, or the name of a class or a call."""


def iter_parsers(
    parser: argparse.ArgumentParser, *typed: str
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield typed, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                yield from iter_parsers(subparser, *typed, name)


PARSERS = dict(iter_parsers(make_parser()))
"""The parser of each command, by what is typed; that of all commands by nothing."""

SUBCOMMANDS = [
    (" ".join(typed), action)
    for typed, parser in PARSERS.items()
    for action in parser._actions
    if isinstance(action, argparse._SubParsersAction)
]
SUMMARIES = [
    (f"{place} {one.dest}", one.help or "") for place, action in SUBCOMMANDS for one in action._choices_actions
]
ARGUMENTS = [
    (" ".join([*typed, *(action.option_strings or [action.dest])]), action)
    for typed, parser in PARSERS.items()
    for action in parser._actions
    if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
]
"""Each argument of each command, with its command and its name."""


def metavars(action: argparse.Action) -> tuple[str, ...]:
    return action.metavar if isinstance(action.metavar, tuple) else (action.metavar or "",)


def test_each_command_and_argument_has_a_help_of_the_same_form() -> None:
    for typed, parser in PARSERS.items():
        for text in (parser.description or "", parser.epilog or "None."):
            assert text[:1].isupper(), typed
        assert (parser.description or "").endswith("."), typed
    for place, text in [*SUMMARIES, *((place, action.help or "") for place, action in ARGUMENTS)]:
        first = text.split(" ", 1)[0]
        assert first[:1].islower() or first in NAMES or "." in first, f"{place} {text!r}"
        assert not text.endswith("."), f"{place} {text!r}"


def test_words_of_the_help_are_in_small_letters_and_names_as_their_owners_spell_them() -> None:
    """A word in capitals stands for an argument of some command."""
    stand_ins = {word for _, action in ARGUMENTS for name in metavars(action) for word in WORD.findall(name)}
    stand_ins |= {"PROFILE", "REGION", "SHELL", "PATH", "SM", "PIPELINES", "LOCK", "NAME"}
    texts = [*SUMMARIES, *((place, action.help) for place, action in ARGUMENTS)]
    texts += [(" ".join(typed), text) for typed, one in PARSERS.items() for text in (one.description, one.epilog)]
    for place, text in texts:
        for word in WORD.findall(NOT_PROSE.sub(" ", text or "")):
            plain = word.removesuffix("s") if word[:-1].isupper() else word
            assert SPELLED.get(plain.lower(), plain) == plain, f"{place}: {word}"
            assert plain in NAMES or plain in stand_ins or SOUND.fullmatch(plain), f"{place}: {word}"


def test_an_option_is_in_small_letters_and_what_stands_for_an_argument_in_capitals() -> None:
    for place, action in [*SUBCOMMANDS, *ARGUMENTS]:
        assert place == place.lower()
        for name in metavars(action):
            is_choices = name.startswith("{")
            letters = re.sub(r"s3://|\.py", "", name)
            assert is_choices or (letters == letters.upper() and "XX" not in letters), f"{place} {name}"
        # What takes a value and has no such name is shown by the option's own.
        if action.metavar is None and action.nargs != 0 and not action.choices:
            assert action.option_strings, place


TEXT_PATHS = {"policy_file", "working_dir"}
"""Files and folders that are options of the operators too, which take texts."""

ONE_TEXT = {"alias", "kwargs", "uses", "prices", "wheels", "max_parallel_steps"}
"""Plurals whose value is one word all the same; the others are lists."""


def test_the_name_of_a_value_tells_how_it_is_read() -> None:
    for place, action in ARGUMENTS:
        name, read = metavars(action)[0], action.type
        if name in ("FILE", "DIR", "FOLDER") and action.dest not in TEXT_PATHS:
            assert read is Path, place
        elif name in ("SECONDS", "DAYS", "USD"):
            assert read is parse_amount, place
        elif name in ("N", "MB") and action.dest != "max_parallel_steps":
            assert read in (parse_count, parse_port), place
        elif name in ("NAME", "ARN", "STEP", "TEXT", "NAME=VALUE", "KEY=VALUE"):
            assert read is None, place
        elif action.metavar is None:
            assert read in (None, Path), place
        if "=" in name or "may be repeated" in (action.help or ""):
            assert isinstance(action, argparse._AppendAction), place
        if action.dest.endswith("s") and action.nargs != 0 and read in (None, Path) and action.dest not in ONE_TEXT:
            assert isinstance(action, argparse._AppendAction) or action.nargs in ("+", "*", argparse.REMAINDER), place


IN_WORDS = {"0": "a free one", ".": "this folder", "deploy,run,stop,delete": "all by default", "": ""}
FOUND_LATER = {"algo-1"}
"""Defaults that the command finds while it works."""


def test_the_default_that_a_help_names_is_the_real_one() -> None:
    for place, action in ARGUMENTS:
        text, default = action.help or "", action.default
        if (
            isinstance(default, (str, int, float, Path))
            and not isinstance(default, bool)
            and default != argparse.SUPPRESS
        ):
            named = IN_WORDS.get(str(default), str(default))
            assert re.search(rf"\({re.escape(named)}0?\)|{re.escape(named)} \(the default\)|{named}$", text), place
        for named in re.findall(r"\(([\w-]*\d[\w.]*|[a-z]+[-_][a-z]+)\)", text):
            assert named in FOUND_LATER or str(default) in (named, named.removesuffix("0")), place
        if action.choices is not None and default is not None:
            assert default in action.choices, place


COMMANDS = [
    (" ".join(typed), parser)
    for typed, parser in PARSERS.items()
    if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
]
"""Each command that does something."""

PRINTS_NO_ANSWER = {
    *("compile", "iam", "shape"),  # what they print is JSON
    *("graph", "init", "lock", "dags serve", "dags test"),  # pictures, files, other programs
    *("local backup", "local env", "local exec", "local open", "local profile", "local restore", "local run"),
    *("local serve", "local shell"),
}


@pytest.mark.parametrize(("place", "parser"), COMMANDS, ids=[place for place, _ in COMMANDS])
def test_a_command_says_what_its_exit_codes_mean_and_what_it_prints_is_there_as_json(
    place: str, parser: argparse.ArgumentParser
) -> None:
    assert "Exit codes: " in (parser.epilog or "")
    options = {option for action in parser._actions for option in action.option_strings}
    assert ("--json" in options) is (place not in PRINTS_NO_ANSWER)


@lru_cache
def words_of(path: Path) -> frozenset[str]:
    """The attributes that a module reads, and its texts but for those that declare arguments."""
    tree = ast.parse(path.read_text())
    declared = {
        id(part)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for part in ast.walk(call)
    }
    read = {one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute) and id(one) not in declared}
    texts = {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and id(one) not in declared}
    return frozenset(read | {text for text in texts if isinstance(text, str)})


def test_each_argument_is_read_by_its_command() -> None:
    shared = {word for path in Path(cli.__file__).parent.glob("*.py") for word in words_of(path)}
    shared |= {one.name for options in (DeployOptions, StartOptions) for one in fields(options)}
    for typed, parser in PARSERS.items():
        run = parser.get_default("run")
        own = words_of(Path(sys.modules[run.__module__].__file__ or ""))
        for action in parser._actions:
            is_told_only = isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
            # An option that names the default changes nothing.
            if typed and not is_told_only and not (action.nargs == 0 and "(the default)" in (action.help or "")):
                assert action.dest in own | shared, f"{' '.join(typed)} {action.dest}"


@pytest.mark.parametrize(
    "example",
    [
        example
        for parser in PARSERS.values()
        for listed in re.findall(r"(?:Examples?|Then|In fish): (.*)", parser.epilog or "")
        for example in re.findall(r"sm-pipelines .*?(?=;|\. |\)\"|$)", listed)
    ],
)
def test_an_example_is_understood(example: str) -> None:
    check(split(example), is_whole=True)
