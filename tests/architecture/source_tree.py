"""The package's source as data: modules, who imports whom, functions and classes with their sizes."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "airflow_sm_pipelines"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Function:
    """One function or method.

    :param statements: how many statements its body has, docstring included.
    """

    module: str
    name: str
    lines: int
    statements: int


@dataclass(frozen=True)
class Module:
    """One file of the package.

    :param name: dotted, below the package: ``engine.rules.state``; a folder's own name for its ``__init__``.
    :param imports: names of the modules of this package that it imports, lazily or not; ``TYPE_CHECKING`` counts.
    """

    name: str
    path: Path
    lines: int
    is_package: bool
    imports: frozenset[str]
    functions: tuple[Function, ...]
    classes: tuple[str, ...]
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The package that it stands in, dotted; empty for the root."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


@cache
def tree_of(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def read_modules() -> dict[str, Module]:
    """Every module of the package by its name. This takes seconds, so it is no business of collecting tests."""
    paths = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: _read(name, path, paths) for name, path in paths.items()}


@cache
def find_importers() -> dict[str, set[str]]:
    """By module: the modules that import it."""
    modules = read_modules()
    found: dict[str, set[str]] = {name: set() for name in modules}
    for module in modules.values():
        for other in module.imports:
            found[other].add(module.name)
    return found


def _read(name: str, path: Path, paths: dict[str, Path]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = tree_of(path)
    imports: set[str] = set()
    functions: list[Function] = []
    classes: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # the modules beside the SDK import each other so
                folder = f"{PACKAGE}.{name if path.name == '__init__.py' else name.rpartition('.')[0]}"
                base = f"{folder}.{base}".rstrip(".")
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
                functions.append(Function(name, node.name, lines, statements))
            elif isinstance(node, ast.ClassDef):
                classes.append(node.name)
            continue
        for target in targets:
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                inner = target.removeprefix(PACKAGE).removeprefix(".")
                while inner not in paths:
                    inner = inner.rpartition(".")[0]
                if inner != name:
                    imports.add(inner)
    return Module(
        name=name,
        path=path,
        lines=text.count("\n"),
        is_package=path.name == "__init__.py",
        imports=frozenset(imports),
        functions=tuple(functions),
        classes=tuple(classes),
        tree=tree,
    )
