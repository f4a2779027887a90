"""The directory in which one local endpoint keeps everything: its lock, who wrote it, and where the server is.

The process holds the lock (`fcntl`), so it ends with the process, kill -9 included. The files inside belong to the
modules that write them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import IO, TYPE_CHECKING

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.loopback import is_listened_to
from airflow_sm_pipelines.private_directories import find_foreign, narrow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

STATE_FORMAT = 2
"""The format that this code writes: the files of the directory and the tables of ``endpoint.sqlite3``. Who changes them
raises it, and either has the older format migrated at the start or takes it out of `READABLE_FORMATS`. The engine's
database has a schema version and migrations of its own (``engine/store/database.py``)."""

_DATABASE = "endpoint.sqlite3"
_OWN_NAMES = frozenset(
    {
        "USED",
        "VERSION",
        "engine",
        "faults.toml",
        "lock",
        "moto.checkpoint",
        "objects",
        "open.html",
        "secret",
        "server.json",
    }
    | {_DATABASE, f"{_DATABASE}-shm", f"{_DATABASE}-wal", f"{_DATABASE}.commits"}
)
"""The names in a state directory."""

READABLE_FORMATS = frozenset({1, STATE_FORMAT})
"""Format 1 is format 2 without the versions in ``VERSION``. A start in which moto restores everything migrates it."""


@dataclass(frozen=True, slots=True)
class StateOrigin:
    """What wrote the state of a directory last, as its ``VERSION`` file says.

    :param format: the format of the state.
    :param moto: the version of moto; None where the file does not say, as in format 1.
    :param release: the version of this package; None where the file does not say.
    """

    format: int
    moto: str | None = None
    release: str | None = None


def current_origin() -> StateOrigin:
    """What this process writes: the format of this code, with the installed versions."""
    return StateOrigin(STATE_FORMAT, _installed_version("moto"), _installed_version("airflow-sm-pipelines"))


class StateDirectory:
    """A state directory held by this process, until `release`.

    :param path: the directory; made where it is missing.
    :ivar secret: of the endpoint's key, the same as long as the directory is there.
    :ivar origin: what wrote the state that is there; None for a new directory.
    :raises LocalEndpointError: when the directory belongs to another user or cannot be written, another server holds
        it, or its format is unknown.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _keep_private(self.path)
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
            self.origin = self._read_origin()
            self.secret = self._keep_secret()
        except BaseException:
            self._lock.close()
            raise

    @property
    def is_of_another_moto(self) -> bool:
        """Whether another version of moto, or an unknown one, wrote the state."""
        return self._mark.exists() and (self.origin is None or self.origin.moto != current_origin().moto)

    def announce(self, url: str, *, region: str | None = None) -> None:
        """Write ``server.json``, by which people and tools find the running server.

        :param url: the endpoint's URL.
        :param region: the endpoint's region, if it is known.
        """
        known = {} if region is None else {"region": region}
        self._replace(self._announcement, {"url": url, "pid": os.getpid(), **known})

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
        """Write down that the state is there, and which format and version of moto it is of from now on."""
        self.origin = current_origin()
        self._replace(self.path / "VERSION", asdict(self.origin))
        self._mark.touch()

    def release(self) -> None:
        """Give the directory up, so that another server may take it."""
        self._announcement.unlink(missing_ok=True)
        self._lock.close()

    @property
    def _mark(self) -> Path:
        return self.path / "USED"

    @property
    def _announcement(self) -> Path:
        return self.path / "server.json"

    def _keep_secret(self) -> str:
        found = read_secret(self.path)
        if found is None:
            found = secrets.token_urlsafe(30)
            temporary = self.path / "secret.new"
            temporary.unlink(missing_ok=True)
            with open(temporary, "x", opener=partial(os.open, mode=0o600), encoding="ascii") as file:
                file.write(f"{found}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / "secret")
        return found

    def _held_message(self) -> str:
        server = read_announcement(self.path)
        who = f"at {server['url']} (process {server['pid']})" if server else "that is starting or stopping"
        return (
            f"The state directory {self.path} is in use by another local endpoint {who}. "
            "Use that one, stop it first, or choose another directory."
        )

    def _read_origin(self) -> StateOrigin | None:
        try:
            text = (self.path / "VERSION").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LocalEndpointError(f"The state directory {self.path} cannot be used: {error}.") from error
        origin = _parse_origin(text)
        if origin is None or origin.format not in READABLE_FORMATS:
            found = f"format {origin.format}" if origin else f"an unknown format ({text[:40]!r})"
            writer = f", written by airflow-sm-pipelines {origin.release}" if origin and origin.release else ""
            readable = " and ".join(map(str, sorted(READABLE_FORMATS)))
            raise LocalEndpointError(
                f"The state directory {self.path} has {found}{writer}, and this release reads formats {readable}: "
                "use the release that wrote it, or choose another directory."
            )
        return origin

    def _replace(self, file: Path, document: dict[str, object]) -> None:
        temporary = file.with_name(f"{file.name}.new")
        temporary.write_text(json.dumps(document) + "\n", encoding="utf-8")
        temporary.replace(file)


def _keep_private(path: Path) -> None:
    """Refuse a directory of another user, and close our own to other users: what is in it is run and unpickled.

    :raises LocalEndpointError: when the directory, or a file of ours in it, is another user's.
    """
    fault = find_foreign(path, {os.geteuid()})
    if fault is not None:
        raise LocalEndpointError(fault)
    # A directory of something else, such as /tmp or a project's folder, is left as it is.
    is_ours = all(file.name in _OWN_NAMES for file in path.iterdir())
    if is_ours and (mode := narrow(path, 0o077)) is not None:
        _log.warning("The state directory %s was open to other users (mode %o); it is 700 now.", path, mode)


def read_secret(path: Path) -> str | None:
    """The secret of a state directory's key; None where it has none, or this user may not read it.

    :param path: the state directory.
    """
    try:
        return (path / "secret").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def read_announcement(path: Path) -> dict[str, str] | None:
    """Where the server of a state directory says it is.

    :param path: the state directory.
    :return: ``url``, ``pid`` and, where it is known, ``region`` as text; or None where no server has announced itself.
    """
    try:
        content = json.loads((path / "server.json").read_text(encoding="utf-8"))
        known = {name: str(content[name]) for name in ("region",) if name in content}
        return {"url": str(content["url"]), "pid": str(content["pid"]), **known}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_running_server(path: Path) -> dict[str, str] | None:
    """What the server of a state directory has announced, if it answers; a killed one leaves its announcement.

    :param path: the state directory.
    :return: as :func:`read_announcement`.
    """
    server = read_announcement(path)
    if server is None:
        return None
    try:
        with contextlib.suppress(PermissionError):  # the process is another user's
            os.kill(int(server["pid"]), 0)
        return server if is_listened_to(server["url"]) else None
    except (OSError, ValueError):
        return None


def _parse_origin(text: str) -> StateOrigin | None:
    """The content of a ``VERSION`` file: a bare number up to format 1, a JSON object since."""
    try:
        content = json.loads(text)
        known = content if isinstance(content, dict) else {"format": content}
        return StateOrigin(int(known["format"]), known.get("moto"), known.get("release"))
    except (ValueError, KeyError, TypeError):
        return None


def _installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
