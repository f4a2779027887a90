"""Counts what becomes of state machines that people have published: ``make migrations CORPUS=FOLDER``.

``tests/data/migrate/field.json`` lists the files by repository, commit and path; their contents are not kept here. A
repository that the folder lacks is cloned into it. Repositories whose name has an odd SHA-256 are the half that nobody
looks at while working on the readers: it is counted by this command only.

Nobody publishes the inputs of machines, so a sample input is made up for each one: a document in which each path of the
input that the machine reads exists, with the value that a choice compares it with, or a word. With the same input
``migrate compare`` runs a machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import posixpath
import re
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.comparison.scripts import Assignment, ScriptWriter, find_choices
from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.migrate import MigrationPackage, Workflow

FILES = Path(__file__).parents[1] / "data" / "migrate" / "field.json"
ROWS = (
    ("repositories", "repositories"),
    ("files", "files"),
    ("no machine", "files that hold none, or are cut off"),
    ("machines", "machines"),
    ("refused", "refused"),
    ("complete", "whole"),
    ("complete with input", "whole with a made-up sample input"),
    ("partly", "something left to do"),
    ("states", "states"),
    ("open", "states left to the user"),
    ("contradicted", "contradicted by the files read back"),
    ("not the same", "other bytes the second time"),
    ("not imported", "DAG files that Airflow does not import"),
    ("crashes", "crashes"),
)


def is_held_back(repository: str) -> bool:
    """Whether a repository belongs to the half that is counted only."""
    return int(hashlib.sha256(repository.encode()).hexdigest(), 16) % 2 == 1


def count(rows: list[Any], folder: Path, *, imports: bool, reasons: dict[str, list[str]] | None = None) -> Counter[str]:
    """Count what becomes of the machines of some repositories.

    :param folder: has each repository as ``owner+name``.
    :param imports: whether Airflow imports each DAG file, too.
    :param reasons: gets for each machine that is not whole why it is not.
    """
    found: Counter[str] = Counter(repositories=len(rows))
    for row in rows:
        repository = get_repository(row["repository"], folder)
        for path in row["paths"]:
            found["files"] += 1
            try:
                packages = list(_read(repository, row["commit"], path, found))
            except Exception as error:  # whatever it is, it is the figure that matters most
                found["crashes"] += 1
                print(f"{row['repository']} {path}: {type(error).__name__}", file=sys.stderr)
                continue
            for package in packages:
                _judge(package, found, imports=imports)
                if reasons is not None and not package.is_complete:
                    reasons[f"{path} {package.migration.workflow.name}"] = list(_iter_reasons(package))
    return found


def get_repository(name: str, folder: Path) -> Path:
    """The clone of a repository; it is made if the folder lacks it."""
    path = folder / name.replace("/", "+")
    if not path.exists():
        subprocess.run(["git", "clone", "--quiet", "--bare", f"https://github.com/{name}", str(path)], check=True)
    return path


def show(repository: Path, commit: str, name: str, *, beside: str = "") -> bytes | None:
    """A file of a commit; None if there is none.

    :param beside: the file that the name is relative to.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(beside), name))
    command = ["git", "-C", str(repository), "show", f"{commit}:{path}"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _read(repository: Path, commit: str, path: str, found: Counter[str]) -> Iterator[MigrationPackage]:
    variables = Variables()
    read = partial(show, repository, commit, beside=path)
    try:
        held = find_machines(show(repository, commit, path) or b"", name=path, variables=variables, read=read)
    except MigrationError:
        found["no machine"] += 1
        return
    for one in held:
        found["machines"] += 1
        name = make_name(one.name or Path(path).name.split(".")[0])
        read_one = partial(read_machine, one, name=name, origin=path, variables=variables)
        try:
            made = [make_package(read_one()) for _ in range(2)]
        except (MigrationError, DefinitionError):
            found["refused"] += 1
            continue
        found["not the same"] += made[0].files != made[1].files
        sample = make_sample_input(made[0].migration.workflow)
        found["complete with input"] += make_package(read_one(sample=sample)).is_complete
        yield made[0]


def make_sample_input(workflow: Workflow) -> Any:
    """An input in which each path that a machine reads exists."""
    made = ScriptWriter(find_choices(workflow, {}), {}, {}, {}).make_input(Assignment())
    return made if isinstance(made, dict) else {}


def _iter_reasons(package: MigrationPackage) -> Iterator[str]:
    """Why a machine is not whole: the reasons of its records, without names and without what only follows from them."""
    for record in package.migration.records:
        for reason in record.reasons if record.outcome.is_open else ():
            if reason.code == "ASL-STATE-001" and not reason.text.startswith(("It is part of", "A value is read of")):
                yield re.sub(r"'[^']*'|^.*(?= lead back to)|(?<=lead back to )[^,]+", "...", reason.text)
    for findings in package.findings.values():
        yield from (finding.rule for finding in findings)


def _judge(package: MigrationPackage, found: Counter[str], *, imports: bool) -> None:
    found["complete" if package.is_complete else "partly"] += 1
    found["contradicted"] += bool(package.contradictions)
    found["states"] += len(package.migration.records)
    found["open"] += sum(record.outcome.is_open for record in package.migration.records)
    if imports:
        found["not imported"] += not _is_imported(package)


def _is_imported(package: MigrationPackage) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in package.files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        try:
            runpy.run_path(str(Path(folder, next(iter(package.files)))))
        except Exception as error:  # a DAG file may fail in any way
            print(f"{package.migration.workflow.name}: {type(error).__name__}: {error}", file=sys.stderr)
            return False
    return True


def main() -> None:
    """Count both halves, and print them as the table of docs/migration.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the repositories are, or are cloned to")
    parser.add_argument("--no-import", action="store_true", help="do not have Airflow import the DAG files")
    parser.add_argument("--reasons", action="store_true", help="count why machines of the first half are not whole")
    arguments = parser.parse_args()
    rows = json.loads(FILES.read_text(encoding="utf-8"))
    halves = [[row for row in rows if is_held_back(row["repository"]) is odd] for odd in (False, True)]
    reasons: dict[str, list[str]] = {}
    count_half = partial(count, folder=arguments.folder, imports=not arguments.no_import)
    counted = [count_half(halves[0], reasons=reasons), count_half(halves[1])]
    print("| | worked with | counted only |\n|---|---|---|")
    for key, text in ROWS:
        print(f"| {text} | {' | '.join(f'{half[key]:,}' for half in counted)} |")
    if arguments.reasons:
        print_reasons(list(reasons.values()))


def print_reasons(machines: list[list[str]]) -> None:
    """A table of reasons: for how many machines each is the first one, and for how many it is one."""
    first, every = Counter(one[0] for one in machines if one), Counter(text for one in machines for text in set(one))
    print("\n| why a machine is not whole | the first reason | a reason |\n|---|---|---|")
    for text, number in every.most_common():
        print(f"| {text} | {first[text]} | {number} |")


if __name__ == "__main__":
    main()
