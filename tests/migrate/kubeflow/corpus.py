"""Migrates compiled pipelines of public repositories and counts what comes of it: ``make kubeflow-corpus CLONES=DIR``.

``tests/data/migrate/kubeflow/corpus.json`` names repository, commit and paths; their contents are not kept here. The
folder holds a clone for each repository: ``owner/name``, ``owner+name`` or ``owner+name/repo``.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.migration_output import make_name
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate import make_package
from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate import MigrationPackage

LIST = Path(__file__).parents[2] / "data" / "migrate" / "kubeflow" / "corpus.json"
ROWS = (
    *("files", "refused", "pipelines", "with Google components"),
    *("others", "others complete", "others that need the cluster", "tasks", "tasks left"),
)
BAD = ("contradicted", "other bytes the second time", "not imported", "crashes")
_CLUSTER = ("which no job has", "jobs share no volume", "which only Argo runs", "and a job has one")
_GOOGLE = ("component of Google's", "which only Vertex AI runs")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path, help="where the repositories are")
    parser.add_argument("--no-import", action="store_true", help="do not have Airflow import the DAG files")
    parser.add_argument("--reasons", action="store_true", help="tell the reasons of what is left, by their number")
    arguments = parser.parse_args()
    columns: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for row in json.loads(LIST.read_text(encoding="utf-8")):
        column = "kubeflow/pipelines" if row["repository"] == "kubeflow/pipelines" else "elsewhere"
        found = columns.setdefault(column, Counter())
        for path in row["paths"]:
            source = _show(_find_clone(arguments.clones, row["repository"]), row["commit"], path)
            found["files"] += 1
            try:
                _count(source or b"", path, found, reasons, imports=not arguments.no_import)
            except Exception as error:  # whatever it is, it is the figure that matters most
                found["crashes"] += 1
                print(f"{row['repository']} {path}: {type(error).__name__}: {error}", file=sys.stderr)
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for key in (*ROWS, *BAD):
        print(f"| {key} | " + " | ".join(f"{found[key]:,}" for found in columns.values()) + " |")
    if arguments.reasons:
        for text, count in reasons.most_common(60):
            print(f"{count:5} {text}")
    return int(any(found[key] for found in columns.values() for key in BAD))


def _find_clone(folder: Path, repository: str) -> Path:
    flat = folder / repository.replace("/", "+")
    return next((one for one in (flat / "repo", flat, folder / repository) if one.is_dir()), flat)


def _show(clone: Path, commit: str, path: str) -> bytes | None:
    done = subprocess.run(["git", "-C", str(clone), "show", f"{commit}:{path}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _count(source: bytes, path: str, found: Counter[str], reasons: Counter[str], *, imports: bool) -> None:
    """Migrate the pipelines of a file twice, and count what became of them."""
    name = make_name(PurePosixPath(path).name.split(".")[0])
    try:
        held = find_pipelines(source, name=path)
        made = [[make_package(read_pipeline(one, name=name, origin=path)) for one in held] for _ in range(2)]
    except (MigrationError, DefinitionError) as error:
        found["refused"] += 1
        reasons[f"refused: {str(error).partition(': ')[2][:100]}"] += 1
        return
    for package, again in zip(*made, strict=True):
        found["pipelines"] += 1
        found["other bytes the second time"] += package.files != again.files
        found["contradicted"] += bool(package.contradictions)
        found["tasks"] += len(package.migration.records)
        left = [one for one in package.migration.records if one.outcome.is_open]
        found["tasks left"] += len(left)
        why = [reason.text for one in left for reason in one.reasons]
        is_google = any(word in text for text in why for word in _GOOGLE)
        found["with Google components" if is_google else "others"] += 1
        needs = any(word in text for text in why for word in _CLUSTER)
        found["others that need the cluster"] += not is_google and needs
        found["others complete"] += not is_google and package.is_complete
        reasons.update(() if is_google else {text[:110] for text in why})
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


if __name__ == "__main__":
    sys.exit(main())
