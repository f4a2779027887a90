"""`sm-pipelines local serve` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served_endpoint(state_dir: Path) -> Iterator[str]:
    """A served endpoint's URL, read from what the command prints; ended with SIGTERM."""
    command = [str(Path(sys.executable).with_name("sm-pipelines")), "local", "serve", "--port", "0"]
    command += ["--state-dir", str(state_dir)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ, start_new_session=True
    )
    assert process.stdout is not None
    try:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if match := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield match[0]
                break
        else:
            raise AssertionError(f"sm-pipelines local serve printed no URL: {printed}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
