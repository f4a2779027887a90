"""The commands, a module each, named as it is typed; a command with subcommands is a folder.

A module has ``add(commands)``, which declares its arguments, and ``run(arguments)``, which does the work and gives the
exit code. What only some calls of a command need is imported in ``run``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

GROUPS = {
    "Begin": ("init", "dags"),
    "Build and check": ("compile", "validate", "diff", "plan", "graph", "shape"),
    "Deploy": ("deploy", "versions", "promote", "rollback", "prune", "delete"),
    "Run": ("run", "list", "show", "watch", "logs", "outputs", "stop", "retry", "cost"),
    "Prepare": ("iam", "lock", "migrate"),
    "This machine in place of AWS": ("local", "conformance"),
}
"""Every command by what it is for, in the order of the help."""

COMMANDS = tuple(name for names in GROUPS.values() for name in names)


def load_commands(typed: Sequence[str] = ()) -> list[ModuleType]:
    """Import the command whose name is typed first; all of them where none is, for the help and the errors."""
    named = [name for name in typed[:1] if name in COMMANDS]
    return [import_module(f"{__name__}.{name}") for name in named or COMMANDS]
