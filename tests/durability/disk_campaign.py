"""A disk that is full at random moments of a working server: what was acknowledged stays, and work goes on after."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tests.durability.whole_server import (
    BUCKET,
    Remembered,
    WholeServer,
    answer_callbacks,
    finish_all,
    list_steps,
    prepare,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What an error or a reason says that is owed to a full disk.
DISK_WORDS = ("disk", "No space left", "no room", "nothing was changed")


@dataclass
class Figures:
    """What a campaign has done.

    :param refused: calls that were refused for want of room.
    :param failed: executions that failed, with a reason that names the disk.
    """

    moments: int = 0
    calls: int = 0
    refused: int = 0
    executions: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)


class NoSmallDiskError(Exception):
    """This machine lets nobody mount a small disk; the text says why."""


@contextlib.contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A directory on a file system of its own, in memory.

    :raises NoSmallDiskError: where only root may do that, or it is not Linux.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoSmallDiskError("only root may mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False, text=True)
    if mounted.returncode != 0:
        raise NoSmallDiskError(f"no small disk can be mounted here: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, *, but: int) -> Path:
    """A file that leaves so many bytes free."""
    file = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with contextlib.suppress(OSError), file.open("wb") as ballast:
        for _ in range(max(0, free - but) // 4096):
            ballast.write(bytes(4096))
            ballast.flush()
    return file


def fill_often(disk: Path, *, moments: int, seed: int) -> Figures:
    """Fill the disk of one server so many times while a client works, let everything end, and check it.

    :raises AssertionError: when something acknowledged is lost, or the server does not go on.
    """
    chance = random.Random(seed)
    server, figures, remembered = WholeServer(disk), Figures(), Remembered()
    server.start()
    prepare(server)
    stop = threading.Event()
    client = threading.Thread(target=_work, args=(server, remembered, figures, stop, seed), daemon=True)
    client.start()
    try:
        for _ in range(moments):
            stop.wait(chance.uniform(0, 0.8))
            ballast = fill(disk, but=chance.choice((0, 0, 4096, 65536, 1 << 20)))
            stop.wait(chance.uniform(0.05, 1.2))
            ballast.unlink(missing_ok=True)
            figures.moments += 1
        stop.set()
        client.join(120)
        assert figures.faults == [], f"seed {seed}: {figures.faults[:3]} {server.output()[-3000:]}"
        finish_all(server, remembered)
        _check(server, remembered, figures)
    finally:
        server.kill()
    return figures


def _work(server: WholeServer, remembered: Remembered, figures: Figures, stop: threading.Event, seed: int) -> None:
    """Use the server, and remember what it acknowledged."""
    chance, number = random.Random(seed), 0
    while not stop.is_set() and not figures.faults:
        number += 1
        body = chance.randbytes(chance.choice((100, 20_000, 200_000)))
        key = f"object-{number % 40}"
        # A write that was refused may have been carried out or not.
        remembered.objects.pop(key, None)
        with _refusals_counted(figures):
            server.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
            remembered.objects[key] = body
        if number % 5 == 1:
            with _refusals_counted(figures):
                token = f"disk-{seed:010d}-{number:020d}"
                answer = server.client("sagemaker").start_pipeline_execution(
                    PipelineName="work", ClientRequestToken=token
                )
                remembered.executions[token] = answer["PipelineExecutionArn"]
        with _refusals_counted(figures):
            answer_callbacks(server, remembered)
        stop.wait(0.05)


@contextlib.contextmanager
def _refusals_counted(figures: Figures) -> Iterator[None]:
    figures.calls += 1
    try:
        yield
    except ClientError as error:
        if any(word in str(error) for word in DISK_WORDS):
            figures.refused += 1
        else:
            figures.faults.append(str(error))
    except BaseException as error:
        figures.faults.append(repr(error))


def _check(server: WholeServer, remembered: Remembered, figures: Figures) -> None:
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    assert server.process is not None
    assert server.process.poll() is None, server.output()[-2000:]
    assert "Traceback" not in server.output(), server.output()[-4000:]
    for arn in remembered.executions.values():
        figures.executions += 1
        status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status != "Succeeded":
            figures.failed += 1
            reasons = {
                one["StepName"]: one["FailureReason"] for one in list_steps(server, arn) if "FailureReason" in one
            }
            assert any(word in reason for reason in reasons.values() for word in DISK_WORDS), reasons
    for key, body in remembered.objects.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key
    again = Remembered()
    answer = sagemaker.start_pipeline_execution(PipelineName="work", ClientRequestToken="x" * 32)
    again.executions["x"] = answer["PipelineExecutionArn"]
    finish_all(server, again)
    described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=answer["PipelineExecutionArn"])
    assert described["PipelineExecutionStatus"] == "Succeeded", described
