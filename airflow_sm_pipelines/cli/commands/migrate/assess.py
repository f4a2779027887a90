"""``migrate assess``: what would become of the workflows below a folder. It writes nothing."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.cli.shared_options import add_json_option
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate import Migration, MigrationPackage, Record

_ENDINGS = (".json", ".asl", ".yaml", ".yml", ".template", ".tf", ".ipynb", ".py")
_SKIPPED = ("node_modules", "__pycache__", "venv", "cdk.out")
_MAX_BYTES = 8 << 20


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "assess",
        help="what would become of the workflows below a folder; nothing is written",
        description="Look through the files below a folder for state machines, for compiled pipelines of "
        "Kubeflow, for Airflow DAGs with SageMaker operators and for answers of Describe calls, and say what would "
        "become of each.",
        epilog="Exit codes: 0 everything would become something that works; 1 something would be left to do, or a file "
        "cannot be read; 2 there is nothing to migrate.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to look")
    add_json_option(parser, "the assessment")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Assess what is there, and say so."""
    import json

    from airflow_sm_pipelines.cli.terminal import say

    if not arguments.folder.is_dir():
        raise MigrationError(f"{arguments.folder} is no folder.")
    rows = list(_assess(arguments.folder))
    if not rows:
        what = "no state machine, no Kubeflow pipeline, no DAG with SageMaker operators, no answer of a Describe call"
        raise MigrationError(f"{arguments.folder} holds {what}.")
    say(json.dumps(rows, indent=2, ensure_ascii=False) if arguments.as_json else _render(rows))
    return 0 if all(row.get("complete") for row in rows) else 1


def _assess(folder: Path) -> Iterator[JsonObject]:
    """A row for each workflow, and for each file that should hold one and cannot be read."""
    from airflow_sm_pipelines.cli.commands.migrate.stepfunctions import read_beside
    from airflow_sm_pipelines.documents import Variables
    from airflow_sm_pipelines.migrate.kubeflow import mentions_pipelines
    from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine

    answers: list[tuple[str, JsonObject]] = []
    for path in _iter_files(folder):
        place, source, variables = path.relative_to(folder).as_posix(), path.read_bytes(), Variables()
        if path.suffix == ".py":
            yield from _assess_dag_file(path, place, source)
            continue
        if mentions_pipelines(source):
            yield from _assess_pipelines(place, source)
            continue
        if b"StartAt" not in source and b"StateMachine" not in source:
            answers += _read_answers(place, source)
            continue
        try:
            held = find_machines(source, name=place, variables=variables, read=partial(read_beside, path))
        except MigrationError as error:
            if "holds no state machine" not in str(error):
                yield {"file": place, "kind": "state machine", "complete": False, "problem": str(error)}
            continue
        for one in held:
            name = make_name(one.name or path.name.split(".")[0])
            read = partial(read_machine, one, name=name, origin=place, variables=variables)
            yield _judge(place, "state machine", read)
    if answers:
        from airflow_sm_pipelines.migrate.jobs import parse_jobs

        where = f"{len(answers)} answers of Describe calls"
        yield _judge(where, "jobs", partial(parse_jobs, answers, name=make_name(folder.name), origin=where))


def _assess_pipelines(place: str, source: bytes) -> Iterator[JsonObject]:
    """A row for each pipeline of Kubeflow in a file."""
    from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline

    kind = "Kubeflow pipeline"
    try:
        held = find_pipelines(source, name=place)
    except MigrationError as error:
        if "holds no pipeline" not in str(error):
            yield {"file": place, "kind": kind, "complete": False, "problem": str(error)}
        return
    for one in held:
        name = make_name(Path(place).name.split(".")[0] if len(held) == 1 or not one.name else one.name)
        yield _judge(place, kind, partial(read_pipeline, one, name=name, origin=place))


def _assess_dag_file(path: Path, place: str, source: bytes) -> Iterator[JsonObject]:
    """Rows for the operators of SageMaker jobs, and for those of pipelines, in a DAG file."""
    from airflow_sm_pipelines.cli.commands.migrate.airflow import make_loader
    from airflow_sm_pipelines.migrate.airflow import mentions_provider, migrate_provider_file
    from airflow_sm_pipelines.migrate.airflow.dag_migration import mentions_jobs, migrate_dag_file

    if mentions_jobs(source):
        make = partial(
            migrate_dag_file, source, file_name=place, name=make_name(path.stem), load=make_loader([path.parent])
        )
        row = _judge_package(place, "Airflow DAG", make)
        if "no task there" not in str(row.get("problem", "")):
            yield row
    if mentions_provider(source):
        try:
            provider = migrate_provider_file(source, name=place)
        except MigrationError as error:
            yield {"file": place, "kind": "pipeline operators", "complete": False, "problem": str(error)}
            return
        if provider.records:
            yield _make_row(place, "pipeline operators", path.stem, provider.records, complete=provider.is_complete)


def _judge(place: str, kind: str, read: Callable[[], Migration]) -> JsonObject:
    from airflow_sm_pipelines.migrate import make_package

    return _judge_package(place, kind, lambda: make_package(read()))


def _judge_package(place: str, kind: str, make: Callable[[], MigrationPackage]) -> JsonObject:
    try:
        package = make()
    except (MigrationError, DefinitionError) as error:
        return {"file": place, "kind": kind, "complete": False, "problem": str(error)}
    pipelines = sum(1 for name in package.files if name.endswith(".definition.json"))
    name, records = package.migration.workflow.name, package.migration.records
    return _make_row(place, kind, name, records, complete=package.is_complete, pipelines=pipelines)


def _make_row(
    place: str, kind: str, name: str, records: Sequence[Record], *, complete: bool, pipelines: int = 0
) -> JsonObject:
    from airflow_sm_pipelines.migrate.report import count_outcomes

    left: list[JsonValue] = [f"{one.source}: {one.action}" for one in records if one.action]
    return {
        "file": place,
        "kind": kind,
        "workflow": name,
        "nodes": len(records),
        "outcomes": cast("JsonObject", count_outcomes(records)),
        "pipelines": pipelines,
        "complete": complete,
        "left": left,
    }


def _iter_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(files):
            path = Path(root) / name
            if name.lower().endswith(_ENDINGS) and path.is_file() and path.stat().st_size <= _MAX_BYTES:
                yield path


def _read_answers(place: str, source: bytes) -> list[tuple[str, JsonObject]]:
    """The file as an answer of a Describe call; nothing if it is another one."""
    from airflow_sm_pipelines.definition.json_text import JsonText
    from airflow_sm_pipelines.migrate.jobs import parse_jobs

    value, problems = JsonText(source).load()
    if problems or not isinstance(value, dict):
        return []
    try:
        parse_jobs([(place, value)], name="jobs", origin=place)
    except MigrationError:
        return []
    return [(place, value)]


def _render(rows: list[JsonObject]) -> str:
    lines = []
    for row in rows:
        head = f"{row['file']}: {row['kind']}"
        if "problem" in row:
            lines.append(f"{head}: {row['problem']}")
            continue
        outcomes = row["outcomes"]
        counted = ", ".join(f"{n} {name}" for name, n in outcomes.items()) if isinstance(outcomes, dict) else ""
        verdict = "works" if row["complete"] else "something is left to do"
        lines.append(f"{head} {row['workflow']}: {verdict}. {row['nodes']} nodes: {counted}.")
        left = row["left"]
        lines += [f"  {one}" for one in left] if isinstance(left, list) else []
    done = sum(1 for row in rows if row.get("complete"))
    return "\n".join([*lines, f"{len(rows)} workflows, {done} of them whole."])
