"""Each room of the Airflow side holds what its name says, and only these rooms import Airflow."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.architecture import source_tree
from tests.architecture.source_tree import tree_of

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = source_tree.ROOT / source_tree.PACKAGE

AIRFLOW_ROOMS = {
    *(
        "airflow_names",
        "airflow_page",
        "airflow_task",
        "decorators",
        "hooks",
        "links",
        "migrated_tasks",
        "notifiers",
        "operators",
        "plugins",
    ),
    *("sensors", "task_groups", "triggers"),
}

SERVANTS_OF_TRIGGERS = {
    *("event_reliability", "final_reports", "live_progress", "queue_stream", "rate_limit", "status_event_feed"),
    *("task_states", "wait_schedule", "watcher", "watcher_registry"),
}
"""Modules of ``triggers`` that hold no trigger: the watcher of a triggerer, and what its triggers and it stand on."""


@cache
def imported_modules(path: Path) -> set[str]:
    """Every absolute import of a module, wherever it stands: also in functions and for type checkers."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room_modules(room: str) -> list[Path]:
    return sorted(path for path in (PACKAGE / room).glob("*.py") if path.name != "__init__.py")


def public_names(path: Path, *kinds: type[ast.AST]) -> set[str]:
    """The names of a module's public classes or functions."""
    return {
        node.name
        for node in tree_of(path).body
        if isinstance(node, kinds)
        and isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
    }


def test_only_the_airflow_side_imports_airflow() -> None:
    strangers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in AIRFLOW_ROOMS
        and any(name.partition(".")[0] == "airflow" for name in imported_modules(path))
    }
    # They are started as processes of their own, and nothing else imports them.
    workers = ("dag_worker", "job_worker", "operator_worker")
    assert strangers == {f"comparison/{name}.py" for name in workers}


@pytest.mark.parametrize(
    ("room", "kind", "beside"),
    [
        ("hooks", "Hook", set()),
        ("operators", "Operator", {"is_deferrable"}),
        ("sensors", "Sensor", {"Observation"}),
    ],
)
def test_a_room_holds_only_what_its_name_says(room: str, kind: str, beside: set[str]) -> None:
    for path in room_modules(room):
        names = public_names(path, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        assert any(name.endswith(kind) for name in names), f"{path} holds no {kind}"
        others = {name for name in names if not name.endswith(kind)}
        assert others <= (beside if path.stem == "base" else set()), f"{path} holds {others}"


def test_the_room_of_triggers_holds_triggers_and_what_serves_them() -> None:
    paths = room_modules("triggers")
    assert {path.stem for path in paths} >= SERVANTS_OF_TRIGGERS
    for path in paths:
        has_trigger = any(name.endswith("Trigger") for name in public_names(path, ast.ClassDef))
        assert has_trigger is (path.stem not in SERVANTS_OF_TRIGGERS), path
    outside = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "triggers"]
    for name in SERVANTS_OF_TRIGGERS:
        module = f"airflow_sm_pipelines.triggers.{name}"
        assert not [path for path in outside if module in imported_modules(path)], f"{name} serves others"


def test_links_are_buttons_and_their_addresses() -> None:
    assert {path.stem for path in room_modules("links")} == {"addresses", "buttons"}
    buttons = PACKAGE / "links" / "buttons.py"
    assert all(name.endswith("Link") for name in public_names(buttons, ast.ClassDef))
    assert public_names(buttons, ast.FunctionDef) == set()
    assert public_names(PACKAGE / "links" / "addresses.py", ast.ClassDef) == set()
