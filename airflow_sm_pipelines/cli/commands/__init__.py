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

COMMANDS = (
    "compile",
    "validate",
    "diff",
    "plan",
    "graph",
    "run",
    "watch",
    "cost",
    "iam",
    "versions",
    "promote",
    "rollback",
    "prune",
    "delete",
    "migrate",
    "local",
)
"""Every command, in the order of the help."""


def load_commands(typed: Sequence[str] = ()) -> list[ModuleType]:
    """Import the command whose name is typed first; all of them where none is, for the help and the errors."""
    named = [name for name in typed[:1] if name in COMMANDS]
    return [import_module(f"{__name__}.{name}") for name in named or COMMANDS]
