"""The directory in which one local endpoint keeps everything: its version, its lock, and where the server is.

The lock is held by the process (`fcntl`), so that it ends with it, kill -9 included. What is inside belongs to the
modules that write it.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import IO, TYPE_CHECKING

from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: The layout this code writes. A directory of a newer layout is refused, never guessed at.
STATE_VERSION = 1


class StateDirectory:
    """A state directory held by this process, until `release`.

    :param path: the directory; made where it is missing.
    :raises LocalEndpointError: when it cannot be written, is held by another server, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock: IO[str] = (self.path / "lock").open("a+")
        except OSError as error:
            raise LocalEndpointError(
                f"The state directory {self.path} cannot be written ({error.strerror}). "
                "Choose another one, or change its owner."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise LocalEndpointError(self._held_message()) from error
        try:
            self._check_version()
        except BaseException:
            self._lock.close()
            raise

    def announce(self, url: str) -> None:
        """Write ``server.json``, by which people and tools find the running server.

        :param url: the endpoint's URL.
        """
        temporary = self.path / "server.json.new"
        temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n", encoding="utf-8")
        temporary.replace(self._announcement)

    def check_databases(self, names: Sequence[str]) -> None:
        """Refuse a directory that was used before and has lost its state since.

        :param names: the databases that a used directory has.
        :raises LocalEndpointError: when one of them is missing or empty.
        """
        if not self._mark.exists():
            return
        for name in names:
            file = self.path / name
            if not file.exists() or file.stat().st_size == 0:
                raise LocalEndpointError(
                    f"The state directory {self.path} has been used, but its {name} is missing or empty: its state is "
                    "lost. Put the file back from a copy, or choose another directory, or remove this one."
                )

    def mark_used(self) -> None:
        """Note that the databases are there."""
        self._mark.touch()

    def release(self) -> None:
        """Give the directory up; another server may take it."""
        self._announcement.unlink(missing_ok=True)
        self._lock.close()

    @property
    def _mark(self) -> Path:
        return self.path / "USED"

    @property
    def _announcement(self) -> Path:
        return self.path / "server.json"

    def _held_message(self) -> str:
        server = read_announcement(self.path)
        who = f"at {server['url']} (process {server['pid']})" if server else "that is starting or stopping"
        return (
            f"The state directory {self.path} is in use by another local endpoint {who}. "
            "Use that one, stop it first, or choose another directory."
        )

    def _check_version(self) -> None:
        file = self.path / "VERSION"
        try:
            if not file.exists():
                file.write_text(f"{STATE_VERSION}\n", encoding="utf-8")
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LocalEndpointError(f"The state directory {self.path} cannot be used: {error}.") from error
        if found != str(STATE_VERSION):
            raise LocalEndpointError(
                f"The state directory {self.path} holds state of version {found!r}, "
                f"and this release reads version {STATE_VERSION}. "
                "Use the release that wrote it, or another directory."
            )


def read_announcement(path: Path) -> dict[str, str] | None:
    """Where the server of a state directory says it is.

    :param path: the state directory.
    :return: ``url`` and ``pid`` as text, or None when no server has announced itself.
    """
    try:
        content = json.loads((path / "server.json").read_text(encoding="utf-8"))
        return {"url": str(content["url"]), "pid": str(content["pid"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
