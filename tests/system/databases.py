"""PostgreSQL and Redis from this machine's packages, each in a directory and on a port of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.cluster import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_postgres() -> Path | None:
    """The directory of PostgreSQL's server programs; None where it is not installed, or nobody may run it.

    PostgreSQL refuses to run as root: root runs it as the user ``postgres``, whom Debian's package makes.
    """
    found = shutil.which("initdb")
    folders = ([Path(found).resolve().parent] if found else []) + sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = [one for one in folders if all((one / name).exists() for name in ("initdb", "postgres", "createdb"))]
    if not folders or (os.geteuid() == 0 and not _user("postgres")):
        return None
    return folders[-1]


def find_redis() -> str | None:
    """The Redis server; None where it is not installed."""
    return shutil.which("redis-server")


@contextmanager
def served_postgres() -> Iterator[str]:
    """A PostgreSQL server with an empty database; its address as ``user@host:port/database``."""
    programs = find_postgres()
    assert programs is not None, "PostgreSQL is not installed"
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-postgresql-", ignore_cleanup_errors=True) as folder:
        yield from _serve_postgres(programs, Path(folder))


def _serve_postgres(programs: Path, folder: Path) -> Iterator[str]:
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port, data = free_port(), folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    subprocess.run(
        [*as_user, programs / "initdb", "-D", data, "-U", "airflow", "-A", "trust", "--no-sync"], check=True, **quiet
    )
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options |= {"synchronous_commit": "off", "max_connections": 200}
    process = subprocess.Popen(
        [*as_user, programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
        start_new_session=True,
        **quiet,
    )
    address = f"airflow@127.0.0.1:{port}/airflow"
    try:
        create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow"]
        _await(lambda: subprocess.run(create, check=False, **quiet).returncode == 0, process)
        yield address
    finally:
        _end(process)


@contextmanager
def served_redis() -> Iterator[str]:
    """A Redis server that keeps nothing; its URL."""
    program = find_redis()
    assert program is not None, "Redis is not installed"
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    ping = ["redis-cli", "-p", str(port), "ping"]
    try:
        _await(lambda: b"PONG" in subprocess.run(ping, capture_output=True, check=False).stdout, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        _end(process)


def _await(condition: object, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args} does not answer"
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    finally:
        process.kill()
        process.wait()


def _user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
