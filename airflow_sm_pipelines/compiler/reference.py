"""Names a pipeline script and the function in it: ``path.py:function``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airflow_sm_pipelines.definition.problems import find_near
from airflow_sm_pipelines.exceptions import ScriptNotFoundError


@dataclass(frozen=True, slots=True)
class ScriptReference:
    """A script's path as written, and the name of the function that returns the pipeline."""

    path: Path
    function: str

    def __str__(self) -> str:
        return f"{self.path}:{self.function}"


def parse_reference(reference: str) -> ScriptReference:
    """Take ``path.py:function`` apart.

    :raises ScriptNotFoundError: the text has another form.
    """
    path, separator, function = reference.rpartition(":")
    if not separator or not path.endswith(".py") or not function.isidentifier():
        raise ScriptNotFoundError(
            f"{reference!r} does not name a pipeline function. Write the script and the function in it, "
            "such as 'pipelines/train.py:get_pipeline'."
        )
    return ScriptReference(Path(path), function)


def read_script(reference: ScriptReference) -> tuple[Path, str]:
    """Read the script: its absolute path and its text.

    :raises ScriptNotFoundError: it is not there or is no UTF-8 text; the message names its neighbours.
    """
    path = reference.path.expanduser().absolute()
    try:
        return path, path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScriptNotFoundError(f"The pipeline script {path} is not UTF-8 text: {error}.") from error
    except OSError as error:
        near = sorted(entry.name for entry in path.parent.glob("*.py")) if path.parent.is_dir() else []
        close = find_near(path.name, near)
        if close:
            hint = f" Did you mean '{path.parent / close}'?"
        elif not path.parent.is_dir():
            hint = f" There is no directory {path.parent}."
        else:
            hint = f" {path.parent} has {', '.join(near) or 'no Python file'}."
        raise ScriptNotFoundError(f"Cannot read the pipeline script {path}: {error.strerror}.{hint}") from error
