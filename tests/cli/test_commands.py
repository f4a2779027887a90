"""The commands' modules are the commands: one each, named as it is typed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_sm_pipelines.cli.commands as commands
from airflow_sm_pipelines.cli.entry_point import make_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(commands.__file__).parent


def iter_commands(parser: argparse.ArgumentParser, *typed: str) -> Iterator[tuple[str, ...]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                yield (*typed, name)
                yield from iter_commands(subparser, *typed, name)


def test_each_command_is_a_module_and_each_command_with_subcommands_a_folder() -> None:
    modules = {path.relative_to(FOLDER).with_suffix("").parts for path in FOLDER.rglob("*.py")} - {("__init__",)}
    modules = {parts[:-1] if parts[-1] == "__init__" else parts for parts in modules}
    assert modules == set(iter_commands(make_parser()))


def test_each_command_is_declared_and_run_in_its_module() -> None:
    for typed in iter_commands(make_parser()):
        module = commands
        for name in typed:
            module = getattr(module, name)
        assert callable(module.add)
        assert callable(getattr(module, "run", None)) != (FOLDER.joinpath(*typed)).is_dir()
