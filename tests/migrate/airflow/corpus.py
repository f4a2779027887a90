"""Migrates DAG files of public repositories and counts what comes of it; ``make airflow-corpus CLONES=folder``.

``tests/data/migrate/airflow/corpus.json`` names repository, commit and path of each file; their contents are not kept
here. The folder holds a clone for each repository: ``owner/name``, ``owner+name`` or ``owner+name/repo``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate.airflow import mentions_provider, migrate_provider_file
from airflow_sm_pipelines.migrate.airflow.dag_migration import migrate_dag_file
from airflow_sm_pipelines.migrate.airflow.dag_reader import DagFile, read_dag_file
from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile, read_source

LIST = Path(__file__).parents[2] / "data" / "migrate" / "airflow" / "corpus.json"
_OLD = ("schedule_interval", "provide_context", "days_ago", "airflow.utils.dates", "concurrency")


@dataclass(slots=True)
class Counts:
    """What the run found."""

    files: int = 0
    repositories: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    pipelines: int = 0
    lost_lines: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    slowest: float = 0.0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path)
    clones = parser.parse_args().clones
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        for number, row in enumerate(json.loads(LIST.read_text(encoding="utf-8"))):
            _count(row, clones, counts, Path(folder) / f"n{number}")
        imported = _import_all(Path(folder))
    print(f"{counts.files} files of {len(counts.repositories)} repositories: {dict(counts.outcomes)}")
    print(f"SageMaker tasks and other places: {dict(counts.tasks)}; {counts.pipelines} pipelines")
    print(f"crashes: {counts.crashes or 0}; other files the second time: {counts.differing or 0}")
    print(f"lines of other tasks that changed: {counts.lost_lines or 0}; slowest file: {counts.slowest:.2f} s")
    print(f"import under Airflow: {sum(not error for error in imported.values())} of {len(imported)}")
    for name, error in imported.items():
        if error:
            print(f"  {name}: {error}")
    return int(bool(counts.crashes or counts.differing or counts.lost_lines))


def _count(row: dict[str, str], clones: Path, counts: Counts, folder: Path) -> None:
    read = partial(_show, _find_clone(clones, row["repository"]), row["commit"])
    source = read(row["path"])
    name = f"{row['repository']}/{row['path']}"
    counts.files += 1
    counts.repositories.add(row["repository"])
    if source is None:
        counts.outcomes["not there"] += 1
        return
    begun = time.perf_counter()
    try:
        after = _migrate(source, row["path"], read, counts, name)
    except (MigrationError, DefinitionError) as error:
        counts.outcomes["nothing to do" if "no task there" in str(error) else "refused"] += 1
        return
    except Exception as error:  # what is counted here
        counts.crashes.append(f"{name}: {type(error).__name__}: {error}")
        return
    finally:
        counts.slowest = max(counts.slowest, time.perf_counter() - begun)
    counts.lost_lines += [f"{name}: {line!r}" for line in _find_lost_lines(source, after)]
    folder.mkdir()
    (folder / f"{PurePosixPath(row['path']).stem}.py").write_bytes(after)
    (folder / "origin").write_text(name, encoding="utf-8")


def _migrate(source: bytes, path: str, read: partial[bytes | None], counts: Counts, name: str) -> bytes:
    file_name = PurePosixPath(path)

    def load(module: str) -> SourceFile | None:
        found = read(str(file_name.parent / f"{module.replace('.', '/')}.py"))
        return None if found is None else read_source(found, name=f"{module}.py")

    if mentions_provider(source):
        provider = migrate_provider_file(source, name=path)
        if provider.records:
            if migrate_provider_file(source, name=path) != provider:
                counts.differing.append(name)
            counts.outcomes["provider, whole" if provider.is_complete else "provider, partly"] += 1
            counts.tasks.update(str(record.outcome) for record in provider.records)
            if provider.after != source:
                return provider.after
    both = [migrate_dag_file(source, file_name=path, name=file_name.stem, load=load) for _ in range(2)]
    if both[0].files != both[1].files:
        counts.differing.append(name)
    counts.outcomes["whole" if both[0].is_complete else "something left"] += 1
    records = [one for one in both[0].migration.records if one.kind != "Airflow 3"]
    counts.tasks.update(str(record.outcome) for record in records)
    counts.pipelines += sum(name.endswith(".definition.json") for name in both[0].files)
    return next(iter(both[0].files.values())).encode("utf-8")


def _find_clone(clones: Path, repository: str) -> Path:
    flat = repository.replace("/", "+")
    for path in (clones / repository, clones / flat / "repo", clones / flat):
        for found in (path / ".git", path):
            if (found / "objects").is_dir():
                return found
    raise SystemExit(f"{clones} has no clone of {repository}")


def _show(clone: Path, commit: str, path: str) -> bytes | None:
    done = subprocess.run(["git", f"--git-dir={clone}", "show", f"{commit}:{path}"], capture_output=True, check=False)
    return None if done.returncode else done.stdout


# --- bytes that had to stay ------------------------------------------------------------------------------------------


def _find_lost_lines(before: bytes, after: bytes) -> list[str]:
    """Lines that changed although they belong to no SageMaker task, order, import or listed fix."""
    file = read_source(before, name="before")
    allowed = _find_own_lines(read_dag_file(file))
    old, new = before.decode("utf-8", "replace").splitlines(), after.decode("utf-8", "replace").splitlines()
    lost = []
    for tag, start, end, _, _ in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal" or tag == "insert":
            continue
        for number in range(start, end):
            line = old[number]
            if number + 1 not in allowed and line.strip() and not any(word in line for word in _OLD):
                lost.append(f"{number + 1}: {line}")
    return lost


def _find_own_lines(dag: DagFile) -> set[int]:
    statements: list[ast.AST] = [task.statement for task in dag.tasks if task.statement]
    statements += [order.statement for order in dag.orders]
    for node in ast.walk(dag.file.tree):
        is_import = isinstance(node, (ast.ImportFrom, ast.Import)) and "airflow" in ast.unparse(node)
        is_provider = isinstance(node, ast.Call) and "Pipeline" in ast.unparse(node.func)
        if is_import or is_provider or _reads_a_result(node):
            statements.append(node)
    spans = [(getattr(one, "lineno", 0), getattr(one, "end_lineno", 0)) for one in statements]
    return {line for start, end in spans for line in range(start, end + 1)}


def _reads_a_result(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and "xcom_pull" in node.value
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "xcom_pull"


# --- import under the Airflow that is here ---------------------------------------------------------------------------

_IMPORTER = """
import importlib.abc, importlib.machinery, json, pathlib, runpy, sys, types
from unittest.mock import MagicMock
class StandIn(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        # Only where a DAG file asks: Airflow looks for extras of its own.
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        is_asked = frame.f_code.co_filename.startswith(sys.argv[1]) and not name.startswith("airflow")
        return importlib.machinery.ModuleSpec(name, self) if is_asked else None
    def create_module(self, spec): return StandIn(spec.name)
    def exec_module(self, module): pass
sys.meta_path.append(Finder())
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/*.py")):
    try:
        runpy.run_path(str(path), run_name="dag")
        found[path.with_name("origin").read_text()] = ""
    except BaseException as error:
        found[path.with_name("origin").read_text()] = f"{type(error).__name__}: {error}"[:300]
print(json.dumps(found))
"""


def _import_all(folder: Path) -> dict[str, str]:
    """The error of each migrated file's import; empty for none."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORTER, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    lines = done.stdout.strip().splitlines()
    found: dict[str, str] = json.loads(lines[-1]) if lines else {"all": done.stderr[-2000:]}
    return found


if __name__ == "__main__":
    sys.exit(main())
