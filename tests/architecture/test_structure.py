"""The package's structure, measured: what docs/architecture.md promises of its rooms."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.architecture.source_tree import PACKAGE, ROOT, Module, find_importers, read_modules

REGISTRIES = {"policy.check", "engine.jobs.job_runner", "engine.store.store", "plugins"}
"""Modules that list others, one line each: being named there alone makes no module a fragment.

``engine.store.store`` opens a state directory and lists its tables, one attribute each.
"""

MAX_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_SHARE_OF_FRAGMENTS = 0.12
ARGUMENT_ROOMS = ("operators", "sensors", "decorators", "task_groups")
"""Rooms of the classes that DAG authors give their arguments to."""


def is_fragment(module: Module) -> bool:
    """Whether exactly one other module imports it, and that one is no folder's ``__init__`` and no registry."""
    importers = find_importers()[module.name]
    if module.is_package or len(importers) != 1:
        return False
    (importer,) = importers
    return not read_modules()[importer].is_package and importer not in REGISTRIES


def test_few_modules_are_fragments_of_another() -> None:
    assert all(any(find_importers()[module] == {one} for module in read_modules()) for one in REGISTRIES), (
        "no longer needed"
    )
    modules = [module for module in read_modules().values() if not module.is_package]
    fragments = sorted(module.name for module in modules if is_fragment(module))
    share = len(fragments) / len(modules)
    assert share <= MAX_SHARE_OF_FRAGMENTS, f"{len(fragments)} of {len(modules)} ({share:.1%}): {', '.join(fragments)}"


def test_no_module_is_too_long() -> None:
    assert not {module.name: module.lines for module in read_modules().values() if module.lines > MAX_LINES}


def test_no_function_is_too_long() -> None:
    """An operator's ``__init__`` may be: it names each argument twice. So may one that only holds data.

    One that holds data has few statements for its lines.
    """
    long = {
        f"{function.module}.{function.name}": function.lines
        for module in read_modules().values()
        for function in module.functions
        if function.lines > MAX_FUNCTION_LINES and function.statements > function.lines / 6
        if not (function.name == "__init__" and module.name.split(".")[0] in ARGUMENT_ROOMS)
    }
    assert not long


def test_packages_form_no_circle() -> None:
    """Neither the rooms nor the folders inside one import each other in a circle.

    A folder inside a room counts as one, with all that is below it. A module that stands beside such folders, as
    ``engine.services`` does, counts by itself.
    """
    rooms_with_folders = {module.folder.split(".")[0] for module in read_modules().values() if "." in module.folder}

    def node_of(module: Module) -> str:
        room = module.name.split(".")[0]
        return ".".join(module.name.split(".")[:2]) if room in rooms_with_folders else room

    arrows: dict[str, set[str]] = defaultdict(set)
    for module in read_modules().values():
        for other in module.imports:
            mine, theirs = node_of(module), node_of(read_modules()[other])
            if mine != theirs:
                arrows[mine].add(theirs)
    assert not find_circle(arrows)


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """The folders of one circle, in order; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        for other in sorted(arrows.get(node, ())):
            circle = visit(other, [*path, node])
            if circle:
                return circle
        done.add(node)
        return []

    for start in sorted(arrows):
        circle = visit(start, [])
        if circle:
            return circle
    return []


NAMED_BY_OTHERS = "engine.jobs.programs.packages."
"""Modules that scripts import by the names that SageMaker's own packages have."""
SAME_MEANING = {
    "archives": "tar and zip archives: beside the SDK written with steady bytes, in the engine unpacked without trust",
    "automl": "AutoML jobs: the engine's step and the API's operations",
    "base": "the base classes of a room's operators, sensors or triggers",
    "callback": "a Callback step: its sensor, its trigger and the engine's step",
    "callbacks": "answers to Callback steps: a client's, and the engine's operations that take them",
    "endpoints": "endpoints and their configurations: the engine's records and the API's operations",
    "execution": "one execution: its sensor and its trigger",
    "executions": "executions of pipelines: the engine's table and the API's operations",
    "experiments": "experiments and trials: the engine's records and the API's operations",
    "hubs": "hubs and their contents: the engine's records and the API's operations",
    "lineage_entities": "actions, artifacts, contexts: the engine's records, its step and the API's operations",
    "models": "models and model packages: the engine's records and the API's operations",
    "pipelines": "pipelines: the engine's table and the API's operations",
    "request_tokens": "ClientRequestToken: a client's, and the engine's table of those it was given",
    "selection": "which steps of an execution run: the client's choice, and the engine's check of it",
    "step": "one step of an execution: its sensor and its trigger",
    "steps": "a pipeline's steps: as the definition has them, and the engine's table of those that ran",
    "tags": "tags of resources: the engine's table and the API's operations",
    "versions": "versions of a pipeline and their aliases: the operators and the API's operations",
}
"""File names that occur in several folders, and the one thing they mean there."""


def test_equal_file_names_mean_the_same() -> None:
    places = defaultdict(list)
    for module in read_modules().values():
        if not module.is_package and not module.name.startswith(("cli.commands.", NAMED_BY_OTHERS)):
            places[module.stem].append(module.name)
    several = {stem: names for stem, names in places.items() if len(names) > 1}
    assert not {stem: names for stem, names in several.items() if stem not in SAME_MEANING}
    assert not SAME_MEANING.keys() - several.keys(), "no longer needed"


def test_a_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for module in read_modules().values():
        for name in module.classes if not module.name.startswith(NAMED_BY_OTHERS) else ():
            places[name].append(module.name)
    assert not {name: where for name, where in places.items() if len(where) > 1 and not name.startswith("_")}


MIRROR_EXCEPTIONS: set[str] = set()
"""Folders of tests that mirror no folder of the package. This list may only shrink."""

CAMPAIGNS = {
    "pages",
    "architecture",
    "conformance",
    "contract",
    "dags",
    "data",
    "durability",
    "fuzz",
    "harm",
    "reliability",
    "system",
}
"""Folders of tests that hold the whole to something, rather than one room."""


def test_tests_mirror_the_package() -> None:
    rooms = {module.folder for module in read_modules().values()}
    folders = {
        ".".join(path.parent.relative_to(ROOT / "tests").parts)
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent != ROOT / "tests"
    }
    strange = {folder for folder in folders if folder not in rooms and folder.split(".")[0] not in CAMPAIGNS}
    assert strange == MIRROR_EXCEPTIONS


WHOLE_ROOM_TESTS = {
    *(f"compiler.{name}" for name in ("arguments", "child_environment", "isolation", "project_root", "real_sdks")),
    *("compiler.reuse", "compiler.started_jobs", "compiler.builds", "compiler.build_changes_nothing"),
    *(
        "compiler.built_each_time",
        "compiler.function_steps",
        "compiler.names_by_content",
        "compiler.scripts_as_they_are",
        "compiler.archives",
        "compiler.project",
    ),
    "deployment.races",
    "release",
    *("cost.cost", "render.render", "sensors.sensors"),
    *("engine.durability", "engine.random_use", "engine.operations.operations"),
    *("operators.exactly_once", "operators.live_mapped", "planning.cache_agreement", "triggers.event_mode"),
    *("server.fuzz", "server.kill", "service_model.differential"),
    *("demo", "package_root", "packaging", "page_commands", "pages"),
}
"""Tests of a whole room, or of several modules at once, by what stands behind ``test_``. This list may only shrink."""


def test_each_test_names_the_module_it_tests() -> None:
    """``tests/ROOM/test_X.py`` is a test of ``ROOM/X.py``; ``test_X_topic.py`` is one of several."""
    modules = set(read_modules())
    strange = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        *folders, _ = path.relative_to(ROOT / "tests").parts
        if folders and folders[0] in CAMPAIGNS:
            continue
        words = path.stem.removeprefix("test_").split("_")
        names = {".".join((*folders, "_".join(words[:count]))) for count in range(1, len(words) + 1)}
        if not names & modules:
            strange.add(".".join((*folders, "_".join(words))))
    assert strange == WHOLE_ROOM_TESTS


@pytest.mark.parametrize("room", sorted(path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")))
def test_each_room_says_what_belongs_there(room: str) -> None:
    import ast

    docstring = ast.get_docstring(read_modules()[room].tree) or ""
    assert len(docstring) > 40, f"{room}/__init__.py says too little"
