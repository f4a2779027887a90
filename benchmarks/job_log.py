"""What a job's log costs: 100 MB of lines through the pipe of a job to the disk, against `cat` to a file.

Time is processor time, since both mostly wait for each other on a busy machine. Memory is what the endpoint's process
gains while it writes the log, and while another process reads all of it after a restart.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.job_log import JobLog, LineSplitter, PatientLog
from airflow_sm_pipelines.server.persistence import EndpointDatabase, LogEvents
from benchmarks.measure import Row, alternate, run_probe

if TYPE_CHECKING:
    from collections.abc import Mapping

MEGABYTES = 100
LINE_BYTES = 100
GOAL_MEGABYTES = 20.0
_PLACE = ("us-east-1", "group")
_READ = f"""
import json, sys
from pathlib import Path
from moto.logs.models import LogGroup, logs_backends
from airflow_sm_pipelines.server.persistence import EndpointDatabase, LogEvents
from benchmarks.job_log import resident_megabytes
groups = logs_backends["123456789012"]["us-east-1"].groups
groups["group"] = LogGroup("123456789012", "us-east-1", "group")
before = resident_megabytes()
LogEvents(EndpointDatabase(Path(sys.argv[1]))).load()
(stream,) = groups["group"].streams.values()
token, count = None, 0
while True:
    events, _, token = stream.get_log_events(None, None, None, token, True)
    if not events:
        break
    count += len(events)
assert count == {MEGABYTES * 1_000_000 // LINE_BYTES}, count
print(json.dumps({{"mb": resident_megabytes() - before}}))
"""


def measure(runs: int = 3) -> list[Row]:
    """Processor seconds beside those of `cat`, and memory beside the goal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "log.txt"
        with text.open("w") as file:
            file.writelines(
                f"{'x' * (LINE_BYTES - 10)}{number:09d}\n" for number in range(MEGABYTES * 1_000_000 // LINE_BYTES)
            )
        ours, cat = alternate(runs, lambda: _write(text, folder), lambda: _cat(text, folder))
        databases = sorted(folder.glob("*.sqlite3"))
        read = run_probe([sys.executable, "-c", _READ, str(databases[-1])], os.environ)
    what = f"{MEGABYTES} MB of a job's log"
    return [
        Row(f"{what}: processor", ours["seconds"], "`cat` to a file", cat["seconds"], "s", runs),
        Row(f"{what}: memory to write it", ours["mb"], "goal", GOAL_MEGABYTES, "MB", runs),
        Row(f"{what}: memory to read it after a restart", read["mb"], "goal", GOAL_MEGABYTES, "MB", 1),
    ]


def resident_megabytes() -> float:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _write(text: Path, folder: Path) -> Mapping[str, float]:
    database = EndpointDatabase(Path(tempfile.mkstemp(suffix=".sqlite3", dir=folder)[1]))
    before = resident_megabytes()
    log = JobLog(PatientLog(partial(LogEvents(database).write, *_PLACE)).write, "job")
    splitter = LineSplitter(partial(log.add_all, "algo-1"))
    began = time.process_time()
    with subprocess.Popen(["cat", str(text)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        chunk = b"-"
        while chunk:
            chunk = os.read(process.stdout.fileno(), 65536)
            splitter.feed(chunk)
            log.flush_due()
    log.flush()
    figures = {"seconds": time.process_time() - began, "mb": resident_megabytes() - before}
    database.close()
    return figures


def _cat(text: Path, folder: Path) -> Mapping[str, float]:
    began = _children_seconds()
    with subprocess.Popen(["cat", str(text)], stdout=subprocess.PIPE) as process, (folder / "copy").open("wb") as copy:
        subprocess.run(["cat"], stdin=process.stdout, stdout=copy, check=True)
    return {"seconds": _children_seconds() - began}


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
