"""Pickles the functions and arguments of `@step` so that they can be told apart by what they do, and keeps the keys.

A payload holds the function's file and lines, for the tracebacks of its job. Its digest leaves them out, so that a
comment above a function, or another folder, is no change of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib
import io
import os
import sys
import types
from collections import ChainMap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .project import Project

_HOMES = ("sagemaker.remote_function.core.serialization", "sagemaker.core.remote_function.core.serialization")
_SECRET_BYTES = 32
_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256, the curve that SDK v3 signs with (SEC 2, 2.4.2)."""


class StepPayloads:
    """What the build has pickled."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._bare: dict[str, bytes] = {}
        self._trackers: dict[str, int] = {}
        self._original: Callable[[Any], bytes] | None = None

    def install(self) -> None:
        """Pickle for the SDK, from now on."""
        for name in _HOMES:
            with contextlib.suppress(ImportError):  # it is the other SDK generation's, or an SDK without @step
                serializer = importlib.import_module(name).CloudpickleSerializer
                self._original = serializer.serialize
                serializer.serialize = staticmethod(self._serialize)
                # Classes get a random number each, which stands in the pickle.
                module: Any = importlib.import_module("cloudpickle.cloudpickle")
                module.uuid = types.SimpleNamespace(uuid4=self._next_tracker, uuid1=module.uuid.uuid1)

    def bare(self, payload: bytes) -> bytes | None:
        """Give a payload without files and lines; None for bytes that are no payload of this build."""
        return self._bare.get(hashlib.sha256(payload).hexdigest())

    def _serialize(self, obj: Any) -> bytes:
        try:
            with self._relative_files():
                payload = self._dump(obj, lambda code: {"co_filename": self._project.name_of(code.co_filename)})
                bare = self._dump(obj, _without_place)
        except Exception:  # noqa: BLE001 - pickling runs anybody's code; the SDK then says what is wrong
            assert self._original is not None  # noqa: S101 - set by install
            return self._original(obj)
        self._bare[hashlib.sha256(payload).hexdigest()] = bare
        return payload

    def _dump(self, obj: Any, change: Callable[[types.CodeType], dict[str, Any]]) -> bytes:
        cloudpickle: Any = importlib.import_module("cloudpickle")
        module: Any = importlib.import_module("cloudpickle.cloudpickle")
        if not hasattr(module, "_code_reduce"):  # before version 3, which SDKs before 2.256 take
            module = importlib.import_module("cloudpickle.cloudpickle_fast")

        def reduce(code: types.CodeType) -> Any:
            return module._code_reduce(code.replace(**change(code)))

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
            dispatch_table = ChainMap({types.CodeType: reduce}, cloudpickle.Pickler.dispatch_table)

        with io.BytesIO() as file:
            Pickler(file).dump(obj)
            return file.getvalue()

    def _next_tracker(self) -> Any:
        frame = sys._getframe(1)
        kind = frame.f_locals.get("class_def")
        name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"
        self._trackers[name] = self._trackers.get(name, 0) + 1
        return types.SimpleNamespace(hex=hashlib.sha256(f"{name}/{self._trackers[name]}".encode()).hexdigest()[:32])

    @contextlib.contextmanager
    def _relative_files(self) -> Iterator[None]:
        """Let the user's modules, whose globals travel with their functions, name their files by the project."""
        changed: list[tuple[Any, str]] = []
        try:
            for module in list(sys.modules.values()):
                file = getattr(module, "__file__", None)
                if isinstance(file, str) and self._project.holds(file):
                    changed.append((module, file))
                    module.__file__ = self._project.name_of(file)
            yield
        finally:
            for module, file in changed:
                module.__file__ = file


class LocalSecret:
    """A secret of this machine, from which the keys are made that nobody else may guess.

    :param folder: where it is kept, readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "signing-secret"

    def derive(self, purpose: str) -> bytes:
        """Give 32 bytes for a purpose: the same on each call."""
        return hmac.new(self._load(), purpose.encode(), hashlib.sha256).digest()

    def signing_key(self, pipeline: str) -> Any:
        """Give the private key that signs a pipeline's `@step` payloads."""
        ec: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
        number = int.from_bytes(self.derive(f"sign/1/{pipeline}") + self.derive(f"sign/2/{pipeline}"), "big")
        return ec.derive_private_key(1 + number % (_CURVE_ORDER - 1), ec.SECP256R1())

    def _load(self) -> bytes:
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                if len(secret := self._path.read_bytes()) == _SECRET_BYTES:
                    return secret
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            scratch = self._path.with_name(f"{self._path.name}-{os.getpid()}")
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(_SECRET_BYTES))
            with contextlib.suppress(FileExistsError):  # another build was first: its secret counts
                os.link(scratch, self._path)
            scratch.unlink()
        return self._path.read_bytes()


def _without_place(code: types.CodeType) -> dict[str, Any]:
    nothing: dict[str, Any] = {"co_filename": "", "co_firstlineno": 0}
    for table in ("co_linetable", "co_lnotab"):
        if hasattr(code, table):
            return nothing | {table: b""}
    return nothing
