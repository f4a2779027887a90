"""``migrate provider``: the amazon provider's operators for pipelines, in place, as ours."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_json_option
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.migrate.airflow import FileMigration

_SKIPPED = ("node_modules", "__pycache__", "venv")


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "provider",
        help="DAG files that use the amazon provider's operators for pipelines, in place",
        description="Put this package's operators in place of SageMakerStartPipelineOperator and "
        "SageMakerPipelineSensor, argument by argument, and say what behaves differently. The changes are shown as a "
        "diff; --write makes them. All other bytes of the files stay. No code of the files is run.",
        epilog="Exit codes: 0 every task became ours, or may stay; 1 a task could not be changed, and its line is said "
        "(--allow-partial makes this 0); 2 nothing was written: a file cannot be read, or none uses the operators.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="PATH", help="a DAG file, or a folder of them")
    parser.add_argument("--write", action="store_true", help="change the files; else the diff is only shown")
    parser.add_argument("--allow-partial", action="store_true", help="end with 0 although something is left to do")
    add_json_option(parser, "the report, with each file's diff")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Change the files, or show how they would change."""
    from airflow_sm_pipelines.cli.terminal import say, say_json
    from airflow_sm_pipelines.migrate.airflow import mentions_provider, migrate_provider_file

    found: dict[Path, FileMigration] = {}
    for path in _iter_files(arguments.files):
        source = _read(path)
        if mentions_provider(source):
            found[path] = migrate_provider_file(source, name=str(path))
    used = {path: one for path, one in found.items() if one.records}
    if not used:
        names = ", ".join(map(str, arguments.files))
        raise MigrationError(f"{names}: no Python file there uses the amazon provider's operators for pipelines.")
    if arguments.write:
        for path, one in used.items():
            _write(path, one.after)
    if arguments.as_json:
        say_json([_to_json(one, is_written=arguments.write) for one in used.values()])
    else:
        say(*(line for one in used.values() for line in _render(one, is_written=arguments.write)))
    return 0 if arguments.allow_partial or all(one.is_complete for one in used.values()) else 1


def _iter_files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for root, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
            yield from (Path(root) / name for name in sorted(files) if name.endswith(".py"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MigrationError(f"Cannot read {path}: {error.strerror}.") from None


def _write(path: Path, data: bytes) -> None:
    try:
        if path.read_bytes() != data:
            path.write_bytes(data)
    except OSError as error:
        raise MigrationError(f"Cannot write {path}: {error.strerror}.") from None


def _make_diff(one: FileMigration) -> list[str]:
    before, after = (data.decode("utf-8", "replace").splitlines() for data in (one.before, one.after))
    return list(difflib.unified_diff(before, after, one.name, one.name, lineterm=""))


def _to_json(one: FileMigration, *, is_written: bool) -> dict[str, object]:
    return {
        "file": one.name,
        "complete": one.is_complete,
        "written": is_written and one.after != one.before,
        "records": [record.to_json() for record in one.records],
        "diff": "\n".join(_make_diff(one)),
    }


def _render(one: FileMigration, *, is_written: bool) -> Iterator[str]:
    yield from _make_diff(one)
    for record in one.records:
        became = f" is now {record.target}" if record.target else ""
        yield f"{record.source}: {record.kind}{became} ({record.outcome})"
        yield from (f"  {reason.text}" for reason in record.reasons)
    if one.after != one.before:
        yield f"Wrote {one.name}" if is_written else f"Nothing is written to {one.name} yet: --write does so."
