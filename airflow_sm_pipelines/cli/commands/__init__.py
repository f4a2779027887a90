"""The commands, a module each, named as it is typed; a command with subcommands is a folder.

A module has ``add(commands)``, which declares its arguments, and ``run(arguments)``, which does the work and gives the
exit code. All modules are imported for every command, so what takes time to import is imported in ``run``.
"""

from __future__ import annotations

from airflow_sm_pipelines.cli.commands import (
    compile,
    cost,
    delete,
    diff,
    graph,
    iam,
    local,
    migrate,
    plan,
    promote,
    prune,
    rollback,
    run,
    validate,
    versions,
    watch,
)

COMMANDS = (
    compile,
    validate,
    diff,
    plan,
    graph,
    run,
    watch,
    cost,
    iam,
    versions,
    promote,
    rollback,
    prune,
    delete,
    migrate,
    local,
)
"""Every command, in the order of the help."""
