"""The user's stand-ins: Python functions that take the place of steps that have no local meaning, or none that fits.

Belongs here: the table of them and its file. What a stand-in gets and gives is in ``steps/stand_in``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.toml_file import read_toml
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

STAND_INS_VARIABLE = "SM_PIPELINES_STAND_INS"
DEFAULT_TIMEOUT_SECONDS = 3600.0
_KEYS = {"type", "step", "function", "requirements", "interpreter", "timeout_seconds"}


class StandInError(LocalEndpointError):
    """A table of stand-ins that cannot be read: the message says what is wrong where."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """One function and the steps it stands in for.

    :param file: the Python file.
    :param function: the function in it.
    :param type: the step type; None for any.
    :param step: a shell-style pattern for the step's name; None for any.
    :param requirements: what uv installs for it; where empty, it runs in ``interpreter``.
    :param interpreter: by default the Python that runs the endpoint.
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
    """The table; those that name a step go before those that name only a type, otherwise the first match wins."""

    entries: tuple[StandIn, ...] = ()
    source: Path | None = None

    @classmethod
    def load(cls, *, env: Mapping[str, str]) -> StandIns:
        """Read the file that ``$SM_PIPELINES_STAND_INS`` names; an empty table if it names none.

        :raises StandInError: the file is missing or wrong; all findings at once.
        """
        named = env.get(STAND_INS_VARIABLE)
        if not named:
            return cls()
        path = Path(named).expanduser().resolve()
        try:
            document = read_toml(path, what="The table of stand-ins")
        except StepError as error:
            raise StandInError(str(error)) from error
        tables = document.get("stand_in", [])
        findings = [f"unknown table '{key}', expected [[stand_in]]" for key in document if key != "stand_in"]
        if not isinstance(tables, list):
            findings.append("'stand_in' must be written as [[stand_in]]")
            tables = []
        for number, table in enumerate(tables, start=1):
            findings += [f"stand-in {number}: {finding}" for finding in _check(table, path.parent)]
        if findings:
            raise StandInError(
                f"The table of stand-ins {path} is wrong:\n" + "\n".join(f"- {text}" for text in findings)
            )
        return cls(tuple(_read(table, path.parent) for table in tables), path)

    def find(self, *, step: str, type: str) -> StandIn | None:
        """The stand-in for a step, if there is one."""
        covering = [entry for entry in self.entries if entry.covers(step=step, type=type)]
        return next((entry for entry in covering if entry.step is not None), covering[0] if covering else None)


def explain_registration(stand_ins: StandIns, *, step: str, type: str) -> str:
    """What to do so that a function stands in for a step."""
    where = f"to {stand_ins.source}" if stand_ins.source else "to a TOML file"
    name = "" if stand_ins.source else f", name that file in ${STAND_INS_VARIABLE}"
    return (
        f"To have a Python function of yours stand in for it, add these lines {where}{name}, and start the endpoint"
        f' again:\n[[stand_in]]\ntype = "{type}"  # or: step = "{step}"\n'
        'function = "stand_ins.py:run"  # beside that file; def run(step): return {"metadata": {}, "outputs": {}}'
    )


def _check(table: Any, folder: Path) -> list[str]:
    if not isinstance(table, dict):
        return ["must be a table"]
    findings = [
        f"unknown key '{key}', expected one of {', '.join(sorted(_KEYS))}" for key in sorted(set(table) - _KEYS)
    ]
    findings += [
        f"'{key}' must be a text" for key in ("type", "step", "function", "interpreter") if not _is_text(table, key)
    ]
    if "type" not in table and "step" not in table:
        findings.append("needs 'type' or 'step': which steps it stands in for")
    file, _, function = str(table.get("function", "")).rpartition(":")
    if not file or not function.isidentifier():
        findings.append("needs 'function', such as \"stand_ins.py:run\"")
    elif not (folder / Path(file).expanduser()).is_file():
        findings.append(f"there is no file {folder / file}")
    requirements = table.get("requirements", [])
    if not isinstance(requirements, list) or not all(isinstance(item, str) for item in requirements):
        findings.append("'requirements' must be an array of texts")
    timeout = table.get("timeout_seconds", 1)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        findings.append("'timeout_seconds' must be a positive number")
    return findings


def _is_text(table: Mapping[str, Any], key: str) -> bool:
    return key not in table or isinstance(table[key], str)


def _read(table: Mapping[str, Any], folder: Path) -> StandIn:
    file, _, function = table["function"].rpartition(":")
    interpreter = table.get("interpreter")
    return StandIn(
        file=folder / Path(file).expanduser(),
        function=function,
        type=table.get("type"),
        step=table.get("step"),
        requirements=tuple(table.get("requirements", ())),
        interpreter=str(folder / Path(interpreter).expanduser()) if interpreter else sys.executable,
        timeout_seconds=float(table.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)),
    )
