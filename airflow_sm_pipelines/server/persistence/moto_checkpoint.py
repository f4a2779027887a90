"""moto's state after the first requests of the journal, in one file: a shortcut for the next start.

The journal still has every request. A checkpoint that is missing, damaged, or of another version of moto or of Python
costs a whole replay, and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import sys
import threading
from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

_log = logging.getLogger(__name__)

SERVICES = frozenset({"events", "iam", "lambda", "logs", "sagemaker", "sqs"})
"""Services whose backends in moto 5.2 are plain values that hold all of their state. Each was tried."""

_FORMAT = 1


class MotoCheckpoint:
    """One file with the backends of `SERVICES`.

    :param path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, last_request: int) -> None:
        """Keep the backends as they are. Where that fails, the next start only takes longer.

        :param last_request: the newest request of the journal that they reflect.
        """
        buffer = io.BytesIO()
        try:
            _Pickler(buffer, protocol=5).dump(_used_backends())
        except Exception as error:  # noqa: BLE001 - pickling an object of moto's may raise anything
            _log.info("moto's state cannot be kept as a checkpoint: %s: %s", type(error).__name__, error)
            return
        body = buffer.getvalue()
        header = f"{_origin()} {last_request} {hashlib.sha256(body).hexdigest()}\n".encode()
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(header + body)
            temporary.replace(self._path)
        except OSError as error:
            _log.info("The checkpoint of moto's state cannot be written: %s", error)
            temporary.unlink(missing_ok=True)

    def load(self, newest_request: int) -> int:
        """Put the backends back into a process whose moto is empty.

        :param newest_request: the newest request of the journal; a checkpoint of later ones belongs to another journal.
        :return: the last request that they reflect; 0 where there is no checkpoint of use.
        """
        try:
            header, _, body = self._path.read_bytes().partition(b"\n")
            origin, last, digest = header.decode("ascii").rsplit(" ", 2)
            last_request = int(last)
        except (OSError, ValueError):
            return 0
        if origin != _origin() or last_request > newest_request or hashlib.sha256(body).hexdigest() != digest:
            return 0
        try:
            # As trustworthy as the database beside it, in a directory of the user's own.
            found = _Unpickler(io.BytesIO(body)).load()
        except Exception as error:  # noqa: BLE001 - unpickling an object of moto's may raise anything
            _log.warning("The checkpoint of moto's state is of no use (%s): replaying all requests.", error)
            return 0
        for service, regions in found.items():
            for region, backend in regions.items():
                _account(service)[region] = backend
        return last_request


class _Pickler(pickle.Pickler):
    """Copies the backends of `SERVICES`, and only names those of other services, which other modules keep."""

    def persistent_id(self, value: Any) -> tuple[str, str, str] | None:
        from moto.core.base_backend import BaseBackend

        if not isinstance(value, BaseBackend):
            return None
        service = type(value).__module__.split(".")[1]
        if {"awslambda": "lambda"}.get(service, service) in SERVICES:
            return None
        return service, value.account_id, value.partition if service == "s3" else value.region_name

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, threading.Condition):
            # A queue's. Nobody waits for it at a start.
            return threading.Condition, ()
        if isinstance(value, WeakValueDictionary):
            return WeakValueDictionary, (dict(value),)
        if isinstance(value, defaultdict) and "<lambda>" in getattr(value.default_factory, "__qualname__", ""):
            empty = value.default_factory() if value.default_factory is not None else None
            if type(empty) in (dict, list, set) and not empty:
                return defaultdict, (type(empty),), None, None, iter(value.items())
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, name: Any) -> Any:
        from moto import backends

        service, account, region = name
        find: Any = backends.get_backend
        return find(service)[account][region]


def is_covered(services: AbstractSet[str]) -> bool:
    """Whether a checkpoint can stand for requests to these services.

    :param services: signing names.
    """
    return services <= SERVICES


def _origin() -> str:
    return f"checkpoint-{_FORMAT}:moto-{version('moto')}:{sys.implementation.cache_tag}:{os.uname().machine}"


def _account(service: str) -> Any:
    from moto import backends

    find: Any = backends.get_backend
    return find(service)[ACCOUNT_ID]


def _used_backends() -> dict[str, dict[str, Any]]:
    """The local account's backends by service and region. No other account is used here."""
    from moto.core.base_backend import BackendDict

    used: list[Any] = vars(BackendDict)["_instances"]
    names = {backends.service_name for backends in used} & SERVICES
    return {name: dict(_account(name)) for name in sorted(names)}
