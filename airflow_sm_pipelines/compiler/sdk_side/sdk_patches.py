"""Changes the SDK in this process: unchanged code gets the same names at every build, and no telemetry is sent."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

# The modules that define the replaced functions. They are loaded first, so that later imports get the replacements.
_HOMES = (
    "sagemaker.utils",
    "sagemaker.telemetry.telemetry_logging",
    "sagemaker.core.common_utils",
    "sagemaker.core.modules.utils",
    "sagemaker.core.telemetry.telemetry_logging",
    "sagemaker.train.utils",
)


class SdkPatches:
    """Replaces functions of the SDK: they send no telemetry, and give unchanged code the same names each time.

    The SDK puts the time into S3 keys and job names, so every compile would look like a change. Here the times come
    from the request's seed and count up. They differ within one build, and between builds of different content.

    The SDK has a setting against telemetry, TelemetryOptOut in a defaults file. But with any defaults file the SDK
    (2.257, 3.27) validates the whole file for every value that it looks up, and a build takes three times as long.

    :param seed: equal for builds of the same content.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        start = int(hashlib.sha256(seed.encode()).hexdigest()[:12], 16)
        self._milliseconds = 946_684_800_000 + start % 600_000_000_000  # some time in 2000 to 2018
        self._lock = threading.Lock()
        self._replacements: dict[str, Any] = {
            "sagemaker_timestamp": self._timestamp,
            "sagemaker_short_timestamp": self._short_timestamp,
            "unique_name_from_base": self._unique_name,
            "unique_name_from_base_uuid4": self._unique_name,
            "_get_unique_name": self._unique_name,
            "_hash_dir": _hash_dir,
            **_NO_TELEMETRY,
        }

    def install(self) -> None:
        """Replace the functions in every module of the SDK that is loaded."""
        tempfile.mkstemp = self._mkstemp  # type: ignore[assignment]
        _replace(self._replacements)

    def _next(self) -> int:
        with self._lock:
            self._milliseconds += 1
            return self._milliseconds

    def _timestamp(self) -> str:
        milliseconds = self._next()
        moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(milliseconds // 1000))
        return f"{moment}-{milliseconds % 1000:03d}"

    def _short_timestamp(self) -> str:
        return time.strftime("%y%m%d-%H%M", time.gmtime(self._next() // 1000))

    @staticmethod
    def _mkstemp(
        suffix: str | None = None, prefix: str | None = None, dir: str | None = None, text: bool = False
    ) -> tuple[int, str]:
        """Make a temporary file; an ``@step``'s requirements file always gets the same name.

        Version 2 writes that name into the definition.
        """
        if prefix != "sagemaker_requirements_":
            made: tuple[int, str] = _mkstemp(suffix, prefix, dir, text)
            return made
        path = os.path.join(tempfile.mkdtemp(dir=dir), f"{prefix[:-1]}{suffix or ''}")  # noqa: PTH118 - str, as asked
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), path

    def _unique_name(self, base: str, max_length: int = 63) -> str:
        tail = hashlib.sha256(f"{self._seed}/{self._next()}".encode()).hexdigest()[:20]
        return f"{base[: max_length - len(tail) - 1]}-{tail}"


_mkstemp: Any = tempfile.mkstemp


def silence_telemetry() -> None:
    """Keep the SDK from sending telemetry, and change nothing else."""
    _replace(_NO_TELEMETRY)


def _replace(replacements: dict[str, Any]) -> None:
    for home in _HOMES:
        with contextlib.suppress(ImportError):  # the module belongs to the other SDK generation
            importlib.import_module(home)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "sagemaker":
            for attribute, replacement in replacements.items():
                if inspect.isfunction(vars(module).get(attribute)):
                    setattr(module, attribute, replacement)


def _send_nothing(*args: object, **kwargs: object) -> None:
    """Replaces the SDK's telemetry."""


_NO_TELEMETRY: dict[str, Any] = {
    "_send_telemetry": _send_nothing,
    "_send_telemetry_request": _send_nothing,
    "_emit_failure_telemetry": _send_nothing,
}


def _hash_dir(directory: Any, digest: Any) -> Any:
    """Digest a folder of step code as the SDK does, but without compiled Python, which comes and goes."""
    for path in sorted(Path(directory).iterdir()):
        if path.name != "__pycache__":
            digest.update(path.name.encode())
            if path.is_file():
                digest.update(path.read_bytes())
            elif path.is_dir():
                _hash_dir(path, digest)
    return digest
