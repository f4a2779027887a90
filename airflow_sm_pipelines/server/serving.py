"""Starting and stopping the local endpoint: what comes up in which order, and what goes down.

Everything it is made of is elsewhere; here it is put together.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.loopback import LOOPBACK_NAMES
from airflow_sm_pipelines.server.child_environment import child_environment
from airflow_sm_pipelines.server.console import CONSOLE_PATH
from airflow_sm_pipelines.server.local_account import ACCOUNT_ID, resolve_region
from airflow_sm_pipelines.server.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.server.front import Front
    from airflow_sm_pipelines.server.listener import Listener

#: What a used state directory has.
_DATABASES = ("endpoint.sqlite3", "engine/engine.db")
# moto keeps its state in module globals: a second endpoint in the process would show the first one's buckets.
_process_lock = threading.Lock()
#: A profile that does not exist makes boto3 fail inside moto, and one that does has no business there.
_PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


class RunningServer:
    """A local endpoint that answers, until `close`; also a context manager.

    :ivar endpoint_url: where it answers.
    :ivar region: the region its ARNs name.
    :ivar account_id: the account its ARNs name.
    :ivar state_dir: where it keeps its state.
    :ivar isolation: how jobs are kept apart on this machine, in a sentence.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        region: str,
        state_dir: Path,
        engine: Engine,
        isolation: str,
        closing: contextlib.ExitStack,
    ) -> None:
        self.endpoint_url = endpoint_url
        self.region = region
        self.account_id = ACCOUNT_ID
        self.state_dir = state_dir
        self.engine = engine
        self.isolation = isolation
        self._closing = closing

    @property
    def console_url(self) -> str:
        """Where its pipelines and executions are shown in a browser."""
        return f"{self.endpoint_url}{CONSOLE_PATH}"

    def environment(self) -> dict[str, str]:
        """This process's environment, changed so that a child sees the endpoint as AWS and no real credentials."""
        return child_environment(os.environ, self.endpoint_url, self.region)

    def close(self) -> None:
        """Stop the engine's jobs, which go on at the next start, then stop answering. May be called twice."""
        self._closing.close()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def serve(
    state_dir: Path | str,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    region: str | None = None,
    host_names: Collection[str] = (),
    cache_dir: Path | None = None,
    adapt_services: Callable[[EngineServices], EngineServices] | None = None,
) -> RunningServer:
    """Start the local endpoint in this process; one at a time.

    :param state_dir: where it keeps everything; made where it is missing, held until it is closed.
    :param port: the port; 0 takes a free one.
    :param host: the address to bind. Beyond loopback (a container), `host_names` must say what clients call it.
    :param region: its region; by default that of this process's environment, else us-east-1.
    :param host_names: names, beside the loopback ones, under which it answers.
    :param cache_dir: where the environments of images are kept; by default the user's cache directory.
    :param adapt_services: changes what the engine gets from the endpoint, such as for a rehearsal.
    :return: the running endpoint.
    :raises LocalEndpointError: when the directory or the port cannot be used, in words that say what to do.
    """
    if host not in LOOPBACK_NAMES and not host_names:
        raise LocalEndpointError(
            "The endpoint has no passwords, so it binds 127.0.0.1. "
            f"To bind {host}, say under which host names it may answer."
        )
    if not _process_lock.acquire(blocking=False):
        raise LocalEndpointError("This process runs a local endpoint already. Close it first, or use another process.")
    with contextlib.ExitStack() as closing:
        closing.callback(_process_lock.release)
        return _start(
            closing,
            Path(state_dir),
            address=(host, port),
            region=region or resolve_region(os.environ),
            host_names=host_names,
            cache_dir=cache_dir,
            adapt_services=adapt_services,
        )


def _start(
    closing: contextlib.ExitStack,
    state_dir: Path,
    *,
    address: tuple[str, int],
    region: str,
    host_names: Collection[str],
    cache_dir: Path | None,
    adapt_services: Callable[[EngineServices], EngineServices] | None,
) -> RunningServer:
    """Everything in order; what is started registers with `closing` how it is stopped, last first."""
    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.engine.errors import ServiceError
    from airflow_sm_pipelines.environments import default_cache_dir
    from airflow_sm_pipelines.server.console import Console
    from airflow_sm_pipelines.server.engine_services import make_client, make_engine_services
    from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec
    from airflow_sm_pipelines.server.sagemaker_service import SageMakerService

    directory = StateDirectory(state_dir)
    closing.callback(directory.release)
    directory.check_databases(_DATABASES)
    with _damage_told(directory.path):
        front, listener = start_front(closing, directory.path, address=address, host_names=host_names)
    url = f"http://{_name_in_url(address[0])}:{listener.port}"
    codec = SageMakerCodec()
    services = make_engine_services(
        front,
        codec,
        url=url,
        region=region,
        cache_dir=cache_dir or default_cache_dir(os.environ),
        faults_file=directory.path / "faults.toml",
    )
    if adapt_services is not None:
        services = adapt_services(services)
    with _damage_told(directory.path):
        engine = Engine(directory.path / "engine", services)
    directory.mark_used()
    console = Console(engine, refusals=ServiceError, logs=make_client("logs", url=url, region=region))
    front.attach(SageMakerService(engine, codec, refusals=ServiceError, fallback=front.call_moto).call, console.call)
    listener.start()
    closing.callback(listener.stop)
    # Jobs that are being stopped still write to the endpoint: the engine goes first.
    closing.callback(engine.stop)
    with _damage_told(directory.path):
        engine.start()
    directory.announce(url)
    return RunningServer(
        endpoint_url=url,
        region=region,
        state_dir=directory.path,
        engine=engine,
        isolation=services.isolation.sentence,
        closing=closing.pop_all(),
    )


def start_front(
    closing: contextlib.ExitStack, state_dir: Path, *, address: tuple[str, int], host_names: Collection[str] = ()
) -> tuple[Front, Listener]:
    """The front with its state restored, and a listener that is bound and not yet started.

    :param closing: learns how to stop them.
    :param state_dir: a directory that this process holds.
    :param address: host and port to bind.
    :param host_names: names, beside the loopback ones, under which it answers.
    """
    from airflow_sm_pipelines.server.front import Front
    from airflow_sm_pipelines.server.listener import Listener
    from airflow_sm_pipelines.server.moto_service import MotoService
    from airflow_sm_pipelines.server.persistence import Database

    _remove_profile(closing)
    database = Database(state_dir / "endpoint.sqlite3")
    closing.callback(database.close)
    moto = MotoService()
    closing.callback(moto.reset)
    front = Front(moto, database, state_dir, host_names)
    closing.callback(front.close)
    listener = Listener(*address, front)
    closing.callback(listener.stop)
    front.restore()
    return front, listener


@contextlib.contextmanager
def _damage_told(state_dir: Path) -> Iterator[None]:
    """Turn what reading damaged state raises into a sentence: SQLite notices much of the damage only when it reads."""
    try:
        yield
    except (sqlite3.Error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise LocalEndpointError(
            f"The state in {state_dir} cannot be read ({type(error).__name__}: {error}). It is damaged, or the disk is "
            "full or faulty. Make room, put the files back from a copy, or choose another state directory."
        ) from error


def _remove_profile(closing: contextlib.ExitStack) -> None:
    removed = {name: os.environ.pop(name) for name in _PROFILE_VARIABLES if name in os.environ}
    closing.callback(os.environ.update, removed)


def _name_in_url(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - the address to connect to, not to bind
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
