"""How the programs of a job ended, kept in its directory until the end of the job is recorded.

If the engine dies in between, the next one finds it there: it runs no program again, and does what is left to do, such
as uploads.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.instances import InstancesEnd
from airflow_sm_pipelines.engine.jobs.process import ProcessEnd

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject

_FILE = "end.json"


@dataclass(frozen=True, slots=True)
class KeptEnd:
    """How the programs of a job ended.

    :param started: when they were started, in epoch seconds.
    :param ended: when all had ended and their output was read, in epoch seconds.
    :param log_tail: the last lines of the log.
    :param found: members of the Describe answer that were read from the log.
    """

    end: InstancesEnd
    started: float
    ended: float
    log_tail: tuple[str, ...] = ()
    found: JsonObject = field(default_factory=dict)

    def keep(self, directory: Path) -> None:
        """Write it into the directory of its job.

        A stop is not kept: the store knows of it. On a full disk nothing is kept, and the job may run again.
        """
        if self.end.is_stopped:
            return
        with suppress(OSError):
            written = directory / f"{_FILE}.part"
            written.write_text(json.dumps(asdict(self)), encoding="utf-8")
            written.replace(directory / _FILE)


def forget_end(directory: Path) -> None:
    """Remove what is kept of an end: it is recorded."""
    (directory / _FILE).unlink(missing_ok=True)


def ignore_line(line: str) -> None:
    """Take a line of a job's log that is there already, from before the engine died."""


def read_kept_end(directory: Path) -> KeptEnd | None:
    """The end that lies in the directory of a job; None if its programs have not ended, or were stopped."""
    try:
        members: dict[str, Any] = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        end = members["end"]
        ends = {host: ProcessEnd(**one) for host, one in end["ends"].items()}
        return KeptEnd(
            InstancesEnd(ends, is_timed_out=end["is_timed_out"]),
            members["started"],
            members["ended"],
            tuple(members["log_tail"]),
            members["found"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
