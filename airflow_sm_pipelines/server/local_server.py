"""Starts and stops the local endpoint. Here its parts are put together, in their order; what they do is elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import locate_bucket
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import (
    ACCOUNT_ID,
    CONSOLE_PATH,
    child_environment,
    resolve_region,
)
from airflow_sm_pipelines.loopback import LOOPBACK_NAMES
from airflow_sm_pipelines.server.http.peers import PeerRule
from airflow_sm_pipelines.server.state_directory import StateDirectory, current_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from concurrent.futures import Future

    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.engine.jobs import Isolation
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.server.durable_moto import DurableMoto
    from airflow_sm_pipelines.server.http.listener import Listener
    from airflow_sm_pipelines.server.lambda_invocations import LambdaInvoker
    from airflow_sm_pipelines.server.missing_names import MissingNames
    from airflow_sm_pipelines.server.request_router import RequestRouter
    from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec

_log = logging.getLogger(__name__)

_DATABASES = ("endpoint.sqlite3", "engine/engine.db")
"""The databases of a used state directory."""

_PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""A profile that does not exist makes boto3 fail inside moto, and one that exists must not be used there."""

_STATE_ERRORS = (sqlite3.Error, ValueError, LookupError, TypeError, AttributeError)
"""What reading state raises that is damaged, or of another moto. SQLite notices much damage only when it reads."""

# moto keeps its state in module globals: a second endpoint in the process would show the first one's buckets.
_process_lock = threading.Lock()


class RunningServer:
    """A local endpoint that answers until `close`. Also a context manager.

    :ivar endpoint_url: where it answers, such as ``http://127.0.0.1:4566``.
    :ivar region: the region in its ARNs.
    :ivar secret: of its key.
    :ivar account_id: the account in its ARNs.
    :ivar state_dir: where it keeps its state.
    :ivar engine: what runs the pipelines.
    :ivar isolation: how jobs are kept apart on this machine, in a sentence.
    :ivar missing_names: what clients have asked for and not found.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        region: str,
        secret: str,
        state_dir: Path,
        engine: Engine,
        isolation: str,
        missing_names: MissingNames,
        closing: contextlib.ExitStack,
    ) -> None:
        self.endpoint_url = endpoint_url
        self.region = region
        self.secret = secret
        self.account_id = ACCOUNT_ID
        self.state_dir = state_dir
        self.engine = engine
        self.isolation = isolation
        self.missing_names = missing_names
        self._closing = closing

    @property
    def console_url(self) -> str:
        """The address of the pages that show its pipelines and executions."""
        return f"{self.endpoint_url}{CONSOLE_PATH}"

    def environment(self) -> dict[str, str]:
        """The environment of this process for a child: AWS is the endpoint, and there are no real credentials."""
        return child_environment(os.environ, self.endpoint_url, self.region, secret=self.secret)

    def make_client(self, service: str) -> Any:
        """A boto3 client of the endpoint that reads none of the user's AWS configuration.

        :param service: such as ``s3``.
        """
        from airflow_sm_pipelines.server.engine_services import make_client

        return make_client(service, url=self.endpoint_url, region=self.region, secret=self.secret)

    def make_bucket(self, name: str) -> None:
        """Make an S3 bucket, unless it is there.

        :raises ClientError: if no bucket may have that name.
        """
        from botocore.exceptions import ClientError

        s3 = self.make_client("s3")
        try:
            s3.head_bucket(Bucket=name)
        except ClientError:
            s3.create_bucket(Bucket=name, **locate_bucket(self.region))

    def close(self) -> None:
        """Stop the engine's jobs, which continue at the next start, then stop answering. May be called twice."""
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
    users: Collection[int] = (),
    require_key: bool = False,
    accept_any_key: bool = False,
    cache_dir: Path | None = None,
    adapt_services: Callable[[EngineServices], EngineServices] | None = None,
) -> RunningServer:
    """Start the local endpoint in this process, which may run one at a time.

    :param state_dir: where it keeps everything. It is made where it is missing, and held until the endpoint is closed.
    :param port: the port; 0 takes a free one.
    :param host: the address to bind. For one that is not loopback (in a container), `host_names` must be given.
    :param region: its region; by default that of this process's environment, else us-east-1.
    :param host_names: names beside the loopback ones by which clients call it.
    :param users: numbers of the users of this machine that may call it without its key, beside this process's own and
        root.
    :param require_key: whether everybody needs the endpoint's key, those users too.
    :param accept_any_key: whether those callers need none whose user the system does not tell: on macOS, and of other
        machines and containers if `host` is not loopback.
    :param cache_dir: where the environments of images are kept; by default the user's cache directory.
    :param adapt_services: changes what the engine gets from the endpoint, such as for a rehearsal.
    :return: the running endpoint.
    :raises LocalEndpointError: when the directory or the port cannot be used; the message says what to do.
    """
    if host not in LOOPBACK_NAMES and not host_names:
        raise LocalEndpointError(
            "The endpoint binds 127.0.0.1, where no page can reach it under a name of its own. "
            f"To bind {host}, say by which host names clients may call it."
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
            peers=PeerRule(frozenset(users), requires_key=require_key, trusts_unseen=accept_any_key),
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
    peers: PeerRule,
    cache_dir: Path | None,
    adapt_services: Callable[[EngineServices], EngineServices] | None,
) -> RunningServer:
    """Start everything in order. Each part tells `closing` how to stop it; the last one started is stopped first."""
    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.environments import default_cache_dir
    from airflow_sm_pipelines.server.engine_services import make_engine_services
    from airflow_sm_pipelines.server.lambda_invocations import LambdaInvoker
    from airflow_sm_pipelines.server.sagemaker_codec import SageMakerCodec

    directory = _hold_directory(closing, state_dir)
    isolation = _probe_isolation(closing)
    moto, router, listener = open_moto_endpoint(closing, directory, address=address, host_names=host_names, peers=peers)
    url = f"http://{_name_in_url(address[0])}:{listener.port}"
    codec = SageMakerCodec()
    services = make_engine_services(
        moto,
        codec,
        url=url,
        region=region,
        secret=directory.secret,
        cache_dir=cache_dir or default_cache_dir(os.environ),
        isolation=isolation.result(),
        faults_file=directory.path / "faults.toml",
    )
    if adapt_services is not None:
        services = adapt_services(services)
    with _damage_reported(directory.path):
        engine = Engine(directory.path / "engine", services)
    directory.mark_used()
    invoker = LambdaInvoker(services)
    _attach_engine(router, engine, codec, moto, invoker, url=url, region=region, secret=directory.secret)
    listener.start()
    closing.callback(listener.stop)
    # Jobs that are being stopped still write to the endpoint, so the engine stops first.
    closing.callback(engine.stop)
    with _damage_reported(directory.path):
        engine.start()
    _start_deliveries(closing, moto, invoker, url=url, secret=directory.secret)
    directory.announce(url, region=region)
    return RunningServer(
        endpoint_url=url,
        region=region,
        secret=directory.secret,
        state_dir=directory.path,
        engine=engine,
        isolation=services.isolation.sentence,
        missing_names=router.missing_names,
        closing=closing.pop_all(),
    )


def _hold_directory(closing: contextlib.ExitStack, path: Path) -> StateDirectory:
    from airflow_sm_pipelines.engine.jobs.disk_room import make_room

    directory = StateDirectory(path)
    closing.callback(directory.release)
    directory.check_databases(_DATABASES)
    make_room(directory.path / "engine")
    return directory


def _probe_isolation(closing: contextlib.ExitStack) -> Future[Isolation]:
    """How jobs are kept apart here. To find out is to wait for other processes, so it is done beside the rest."""
    from concurrent.futures import ThreadPoolExecutor

    from airflow_sm_pipelines.engine.jobs import probe_isolation

    return closing.enter_context(ThreadPoolExecutor(1)).submit(probe_isolation)


def open_moto_endpoint(
    closing: contextlib.ExitStack,
    directory: StateDirectory,
    *,
    address: tuple[str, int],
    host_names: Collection[str] = (),
    peers: PeerRule | None = None,
) -> tuple[DurableMoto, RequestRouter, Listener]:
    """The state of a directory in moto, a router to it, and a listener that is bound and not yet started.

    :param closing: is told how to close them.
    :param directory: the state directory.
    :param address: host and port to bind.
    :param host_names: names beside the loopback ones by which clients call the endpoint.
    :param peers: which users may call it without its key.
    :raises LocalEndpointError: when the port cannot be used, the state is damaged, or another moto wrote it and this
        one cannot restore it.
    """
    from airflow_sm_pipelines.server.access_keys import AccessKeys
    from airflow_sm_pipelines.server.durable_moto import DurableMoto
    from airflow_sm_pipelines.server.http.listener import Listener
    from airflow_sm_pipelines.server.moto_service import MotoService
    from airflow_sm_pipelines.server.persistence import EndpointDatabase
    from airflow_sm_pipelines.server.request_router import RequestRouter

    _remove_profile(closing)
    with _damage_reported(directory.path):
        database = EndpointDatabase(directory.path / "endpoint.sqlite3")
        closing.callback(database.close)
        service = MotoService()
        closing.callback(service.reset)
        moto = DurableMoto(service, database, directory.path, host_names)
        closing.callback(moto.close)
        router = RequestRouter(moto.call, AccessKeys(directory.secret), host_names)
        listener = Listener(*address, router, peers, secret=directory.secret)
        closing.callback(listener.stop)
        _restore(moto, directory)
    return moto, router, listener


def _attach_engine(
    router: RequestRouter,
    engine: Engine,
    codec: SageMakerCodec,
    moto: DurableMoto,
    invoker: LambdaInvoker,
    *,
    url: str,
    region: str,
    secret: str,
) -> None:
    from airflow_sm_pipelines.engine.rules.errors import ServiceError
    from airflow_sm_pipelines.server.console import ConsoleService
    from airflow_sm_pipelines.server.engine_services import LateClient
    from airflow_sm_pipelines.server.sagemaker_service import SageMakerService

    logs = LateClient("logs", url=url, region=region, secret=secret)
    console = ConsoleService(engine, refusals=ServiceError, logs=logs)
    sagemaker = SageMakerService(engine, codec, refusals=ServiceError, fallback=moto.call)
    router.attach(sagemaker=sagemaker.call, console=console.call, functions=invoker.call)


def _start_deliveries(
    closing: contextlib.ExitStack, moto: DurableMoto, invoker: LambdaInvoker, *, url: str, secret: str
) -> None:
    from airflow_sm_pipelines.server.engine_services import make_client
    from airflow_sm_pipelines.server.event_deliveries import EventDeliveries

    deliveries = EventDeliveries(
        moto.call, invoker.run, lambda service, region: make_client(service, url=url, region=region, secret=secret)
    )
    closing.callback(deliveries.join)
    closing.callback(invoker.stop)
    closing.callback(deliveries.stop)
    deliveries.start()


def _restore(moto: DurableMoto, directory: StateDirectory) -> None:
    """Restore moto's state. What another moto wrote is restored whole or refused; then nothing on disk has changed."""
    if not directory.is_of_another_moto:
        for failure in moto.restore():
            _log.warning("A part of moto's state could not be restored: %s", failure)
        return
    try:
        failures = moto.restore(with_logs=True)
    except sqlite3.Error:
        raise
    except (*_STATE_ERRORS, ImportError) as error:
        failures = [f"{type(error).__name__}: {error}"]
    known = directory.origin.moto if directory.origin else None
    if failures:
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        raise LocalEndpointError(
            f"moto {known or 'of another version'} wrote the state in {directory.path}, and the installed moto "
            f"{current_origin().moto} cannot restore it ({failures[0]}{more}): "
            f"install {f'moto=={known}' if known else 'the version that wrote it'}, or choose another state directory."
        )
    _log.info("Restored with moto %s what moto %s wrote", current_origin().moto, known or "of an unknown version")


@contextlib.contextmanager
def _damage_reported(state_dir: Path) -> Iterator[None]:
    """Turn the errors of reading damaged state into one that says what to do."""
    try:
        yield
    except _STATE_ERRORS as error:
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
