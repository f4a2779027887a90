"""Runs DAG files of public repositories against the migrated ones: ``make airflow-comparisons CLONES=folder``.

The files are our examples, and those of ``tests/data/migrate/airflow/corpus.json`` of which something becomes a
pipeline. Each is compared as ``sm-pipelines migrate compare`` does it. A file that Airflow 3 no longer imports gets the
changes for Airflow 3 first, and packages that are not installed have stand-ins.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import sys
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
from airflow_sm_pipelines.comparison.operator_comparison import compare_operators
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate.airflow.dag_migration import migrate_dag_file
from airflow_sm_pipelines.migrate.airflow.modern_airflow import modernise
from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile, read_source
from tests.migrate.airflow.corpus import LIST, _find_clone, _show

if TYPE_CHECKING:
    from airflow_sm_pipelines.comparison import MachineComparison


def main() -> int:
    """Compare, and print a row for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clones", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only files whose repository or path has this")
    arguments = parser.parse_args()
    differing, seen = 0, set()
    own = [{"repository": "", "commit": "", "path": str(path)} for path in sorted(LIST.parent.glob("*.py"))]
    for row in [*own, *json.loads(LIST.read_text(encoding="utf-8"))]:
        where = f"{row['repository']} {row['path']}"
        if row["repository"]:
            read = partial(_show, _find_clone(arguments.clones, row["repository"]), row["commit"])
        else:
            read = partial(_read_own)
        source = read(row["path"]) or b""
        if arguments.only not in where or source in seen:
            continue
        seen.add(source)
        try:
            comparison = compare(source, row["path"], read)
        except (MigrationError, DefinitionError) as error:
            print(f"| {where} | not compared: {' '.join(str(error).split())[-300:]} |", flush=True)
            continue
        wrong = "; ".join(run.difference for run in comparison.runs if run.difference)
        differing += bool(wrong)
        counts = f"{len(comparison.runs)} | {len(comparison.unreached)}"
        calls = max(run.calls for run in comparison.runs)
        print(f"| {where} | {counts} | {calls} requests | {wrong or 'equal'} |", flush=True)
    return int(bool(differing))


def _read_own(path: str) -> bytes | None:
    """One of the examples beside the list; a module that it would import is not there."""
    return Path(path).read_bytes() if Path(path).is_file() else None


def compare(source: bytes, path: str, read: partial[bytes | None]) -> MachineComparison:
    """Compare one file."""
    file_name = PurePosixPath(path)
    modules: dict[str, bytes] = {}

    def load(module: str) -> SourceFile | None:
        name = f"{module.replace('.', '/')}.py"
        found = read(str(file_name.parent / name))
        if found is not None:
            modules[name] = found
        return None if found is None else read_source(found, name=name)

    name = file_name.stem.replace("-", "_")
    package = migrate_dag_file(source, file_name=path, name=name, load=load)
    with tempfile.TemporaryDirectory() as scratch, make_airflow() as airflow:
        old, new = Path(scratch, "old"), Path(scratch, "new")
        old.mkdir()
        new.mkdir()
        modern, _ = modernise(source, name=path)
        (old / f"{name}.py").write_bytes(modern)
        for file, text in package.files.items():
            (new / file).write_text(text, encoding="utf-8")
        beside = Path(scratch, "modules")
        for file, content in modules.items():
            (beside / file).parent.mkdir(parents=True, exist_ok=True)
            (beside / file).write_bytes(content)
        for missing in _find_missing(source, modules):
            (beside / missing).mkdir(parents=True, exist_ok=True)
            (beside / missing / "__init__.py").write_text(_STAND_IN, encoding="utf-8")
        environment = {**airflow, "PYTHONPATH": f"{beside}:{Path.cwd()}"}
        return compare_operators(
            old / f"{name}.py", new / f"{name}.py", package.migration, environment, plays_others=True
        )


_STAND_IN = """
import importlib.abc, importlib.machinery, sys, types
from unittest.mock import MagicMock
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.startswith(__name__ + ".") else None
    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__ = []
        module.__getattr__ = __getattr__
        return module
    def exec_module(self, module): pass
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return MagicMock(name=name)
sys.meta_path.append(Finder())
"""


def _find_missing(source: bytes, modules: dict[str, bytes]) -> set[str]:
    """The packages that a file and its modules import, and that are not installed."""
    found = set()
    for text in (source, *modules.values()):
        for node in ast.walk(ast.parse(text)):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0] for name in names}
    own = {name.partition("/")[0].removesuffix(".py") for name in modules}
    return {name for name in found - own if importlib.util.find_spec(name) is None}


if __name__ == "__main__":
    sys.exit(main())
