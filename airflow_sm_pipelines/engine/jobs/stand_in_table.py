"""The user's stand-ins: Python functions in place of steps that the local engine cannot run, or should not.

What belongs here: the table of them and its file. What a stand-in gets and gives is in ``steps/stand_in``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.toml_file import find_unknown_keys, is_list_of_texts, read_tables
from airflow_sm_pipelines.local_endpoint import find_caller_python

if TYPE_CHECKING:
    from collections.abc import Mapping

STAND_INS_VARIABLE = "SM_PIPELINES_STAND_INS"
DEFAULT_TIMEOUT_SECONDS = 3600.0
_KEYS = {"type", "step", "function", "requirements", "interpreter", "timeout_seconds"}


@dataclass(frozen=True, slots=True)
class StandIn:
    """One function and the steps it stands in for.

    :param file: the Python file.
    :param function: the function in it.
    :param type: the step type; None for any.
    :param step: a shell-style pattern for the step's name; None for any.
    :param requirements: what uv installs for it; if there are none, it runs in ``interpreter``.
    :param interpreter: by default the Python that the endpoint was started with.
    """

    file: Path
    function: str
    type: str | None = None
    step: str | None = None
    requirements: tuple[str, ...] = ()
    interpreter: str = sys.executable
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    def covers(self, *, step: str, type: str) -> bool:
        """Whether it stands in for a step."""
        return (self.type is None or self.type == type) and (self.step is None or fnmatchcase(step, self.step))


@dataclass(frozen=True, slots=True)
class StandIns:
    """The table. Entries that name a step go before those that name only a type; else the first match wins."""

    entries: tuple[StandIn, ...] = ()
    source: Path | None = None

    @classmethod
    def load(cls, *, env: Mapping[str, str]) -> StandIns:
        """Read the file that ``$SM_PIPELINES_STAND_INS`` names; the table is empty if it names none.

        :raises TomlFileError: the file is missing or wrong; the message lists all findings.
        """
        named = env.get(STAND_INS_VARIABLE)
        if not named:
            return cls()
        path = Path(named).expanduser().resolve()
        folder = path.parent
        tables = read_tables(
            path, "stand_in", what="The table of stand-ins", check=lambda table: _find_faults(table, folder)
        )
        return cls(tuple(_parse(table, folder, find_caller_python(env)) for table in tables), path)

    def find(self, *, step: str, type: str) -> StandIn | None:
        """The stand-in for a step, if there is one."""
        covering = [entry for entry in self.entries if entry.covers(step=step, type=type)]
        return next((entry for entry in covering if entry.step is not None), covering[0] if covering else None)


def explain_registration(stand_ins: StandIns, *, step: str, type: str) -> str:
    """Say what to do so that a function stands in for a step."""
    where = f"to {stand_ins.source}" if stand_ins.source else "to a TOML file"
    name = "" if stand_ins.source else f", name that file in ${STAND_INS_VARIABLE}"
    return (
        f"To have a Python function of yours stand in for it, add these lines {where}{name}, and start the endpoint"
        f' again:\n[[stand_in]]\ntype = "{type}"  # or: step = "{step}"\n'
        'function = "stand_ins.py:run"  # beside that file; def run(step): return {"metadata": {}, "outputs": {}}'
    )


def _find_faults(table: dict[str, Any], folder: Path) -> list[str]:
    findings = find_unknown_keys(table, _KEYS)
    findings += [
        f"'{key}' must be a text"
        for key in ("type", "step", "function", "interpreter")
        if not isinstance(table.get(key, ""), str)
    ]
    if "type" not in table and "step" not in table:
        findings.append("needs 'type' or 'step': which steps it stands in for")
    file, _, function = str(table.get("function", "")).rpartition(":")
    if not file or not function.isidentifier():
        findings.append("needs 'function', such as \"stand_ins.py:run\"")
    elif not (folder / Path(file).expanduser()).is_file():
        findings.append(f"there is no file {folder / file}")
    if not is_list_of_texts(table.get("requirements", [])):
        findings.append("'requirements' must be an array of texts")
    timeout = table.get("timeout_seconds", 1)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        findings.append("'timeout_seconds' must be a positive number")
    return findings


def _parse(table: Mapping[str, Any], folder: Path, python: str) -> StandIn:
    file, _, function = table["function"].rpartition(":")
    interpreter = table.get("interpreter")
    return StandIn(
        file=folder / Path(file).expanduser(),
        function=function,
        type=table.get("type"),
        step=table.get("step"),
        requirements=tuple(table.get("requirements", ())),
        interpreter=str(folder / Path(interpreter).expanduser()) if interpreter else python,
        timeout_seconds=float(table.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)),
    )
