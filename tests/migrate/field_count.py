"""Counts what becomes of state machines that people have published: ``make migrations CORPUS=FOLDER``.

``tests/data/migrate/field.json`` lists the files by repository, commit and path; their contents are not kept here. A
repository that the folder lacks is cloned into it. Repositories whose name has an odd SHA-256 are the half that nobody
looks at while working on the readers: it is counted by this command only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import posixpath
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.migrate import MigrationPackage

FILES = Path(__file__).parents[1] / "data" / "migrate" / "field.json"
ROWS = (
    ("repositories", "repositories"),
    ("files", "files"),
    ("no machine", "files that hold none, or are cut off"),
    ("machines", "machines"),
    ("refused", "refused"),
    ("complete", "whole"),
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


def count(rows: list[Any], folder: Path, *, imports: bool) -> Counter[str]:
    """Count what becomes of the machines of some repositories.

    :param folder: has each repository as ``owner+name``.
    :param imports: whether Airflow imports each DAG file, too.
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
        try:
            made = [make_package(read_machine(one, name=name, origin=path, variables=variables)) for _ in range(2)]
        except (MigrationError, DefinitionError):
            found["refused"] += 1
            continue
        found["not the same"] += made[0].files != made[1].files
        yield made[0]


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
    arguments = parser.parse_args()
    rows = json.loads(FILES.read_text(encoding="utf-8"))
    halves = [[row for row in rows if is_held_back(row["repository"]) is odd] for odd in (False, True)]
    counted = [count(half, arguments.folder, imports=not arguments.no_import) for half in halves]
    print("| | worked with | counted only |\n|---|---|---|")
    for key, text in ROWS:
        print(f"| {text} | {' | '.join(f'{half[key]:,}' for half in counted)} |")


if __name__ == "__main__":
    main()
