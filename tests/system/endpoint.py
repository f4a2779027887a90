"""`sm-pipelines local serve` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120.0


class ServedEndpoint:
    """A local endpoint in a process of its own, that can be killed and started again where it was.

    What it prints stands in a file beside its directory, ``sagemaker.log`` for ``sagemaker``.

    :ivar url: where it answers, from the first start on.
    """

    def __init__(self, state_dir: Path) -> None:
        self.url = ""
        self._state_dir = state_dir
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again on the port it had; its URL is read from what the command prints."""
        command = [str(Path(sys.executable).with_name("sm-pipelines")), "local", "serve"]
        command += ["--port", self.url.rpartition(":")[2] or "0", "--state-dir", str(self._state_dir)]
        path = self._state_dir.with_name(f"{self._state_dir.name}.log")
        with path.open("ab") as log:
            begun = log.tell()
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=os.environ, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            printed = path.read_bytes()[begun:].decode()
            if match := re.search(r"http://127\.0\.0\.1:\d+(?=\s)", printed):
                self.url = match[0]
                return
            time.sleep(0.05)
        raise AssertionError(f"sm-pipelines local serve printed no URL: {path.read_text()}")

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it with SIGTERM, as a user does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            finally:
                self.kill()


@contextmanager
def served_endpoint(state_dir: Path) -> Iterator[str]:
    """A served endpoint's URL; ended with SIGTERM."""
    endpoint = ServedEndpoint(state_dir)
    try:
        endpoint.start()
        yield endpoint.url
    finally:
        endpoint.close()
