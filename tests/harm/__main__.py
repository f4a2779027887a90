"""`make harm`: what broken and hostile requests do to the endpoint, as a table in docs/reliability.md."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.durability import disk_campaign, kill_campaign
from tests.durability.whole_server import WholeServer
from tests.fuzz.api_fuzz import ApiFuzz
from tests.fuzz.api_fuzz import UnfitAnswerError as UnfitApiAnswerError
from tests.harm import cut_requests
from tests.harm.service_fuzz import ServiceFuzz, UnfitAnswerError
from tests.server.endpoint_stand_in import open_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- made by `make harm`: begin -->", "<!-- made by `make harm`: end -->"


@dataclass
class Row:
    """One campaign's figures.

    :param ends: how many requests ended how.
    :param faults: what no client should get.
    """

    name: str
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    crashes: int = 0

    def render(self) -> str:
        """The row of the table."""
        sent = sum(self.ends.values()) + len(self.faults)
        moto = self.ends["failure in moto"]
        carried_out = self.ends["2xx"]
        refused = sum(self.ends.values()) - moto - carried_out
        cells = [self.name, sent, carried_out, refused, moto, len(self.faults), self.crashes]
        return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells) + " |"


def shoot(row: Row, count: int, one: Callable[[int], str], faults: tuple[type[Exception], ...]) -> None:
    """Send so many requests of one campaign."""
    for seed in range(count):
        try:
            row.ends[one(seed)] += 1
        except faults as error:
            row.faults.append(str(error))
            print(f"{row.name}: {str(error)[:600]}", file=sys.stderr)
        if seed % 1000 == 999:
            print(f"{row.name}: {seed + 1:,} of {count:,}", file=sys.stderr, flush=True)


def cut(count: int, folder: Path) -> Row:
    """Cut requests, to a whole server that is a process of its own."""
    row = Row("cut at a byte, or with two ends")
    server = WholeServer(folder)
    server.start()
    server.client("s3").create_bucket(Bucket=cut_requests.BUCKET)
    port = int(server.url.rpartition(":")[2])

    def one(seed: int) -> str:
        process = server.process
        try:
            return cut_requests.send_broken(port, seed)
        finally:
            if process is None or process.poll() is not None:
                row.crashes += 1
                raise SystemExit(f"the server died at seed {seed}: {server.output()[-2000:]}")

    try:
        shoot(row, count, one, (cut_requests.UnfitAnswerError, TimeoutError))
        if "Contents" in server.client("s3").list_objects_v2(Bucket=cut_requests.BUCKET):
            row.faults.append("an object was stored from a broken request")
    finally:
        server.kill()
    return row


def fuzz_services(count: int, folder: Path) -> Row:
    """Requests to every service but the engine's operations."""
    row = Row("to S3, SQS, IAM, STS, Logs, EventBridge, Lambda, Cost Explorer and what else SageMaker has")
    with open_endpoint(folder / "state") as endpoint:
        fuzz = ServiceFuzz(endpoint)
        shoot(row, count, fuzz.shoot, (UnfitAnswerError,))
    return row


def knock(count: int, folder: Path) -> Row:
    """The same requests from a caller who may not call, with signatures that are not right."""
    row = Row("to the same, by another user without the key")
    with open_endpoint(folder / "state") as endpoint:
        fuzz = ServiceFuzz(endpoint)
        shoot(row, count, fuzz.knock, (UnfitAnswerError,))
    return row


def kill(count: int, folder: Path) -> str:
    """kill -9 of whole servers, in batches; a sentence with the figures."""
    total = kill_campaign.Figures()
    for batch, kills in enumerate(_batches(count)):
        _add(total, kill_campaign.kill_often(folder / str(batch), kills=kills, seed=batch))
        print(f"kills: {total.kills} of {count}", file=sys.stderr, flush=True)
    return (
        f"kill -9 of the whole server: {total.kills} kills, {total.in_boot} of them in boot and {total.amid_jobs} "
        f"while jobs ran. None of {total.executions} executions and {total.objects} objects that were acknowledged was "
        "lost, and no step ran again after its end."
    )


def fill(count: int, folder: Path) -> str:
    """Full disks, in batches; a sentence with the figures."""
    total = disk_campaign.Figures()
    try:
        for batch, moments in enumerate(_batches(count)):
            with disk_campaign.small_disk(folder / str(batch), megabytes=96) as disk:
                _add(total, disk_campaign.fill_often(disk, moments=moments, seed=batch))
            print(f"full disks: {total.moments} of {count}", file=sys.stderr, flush=True)
    except disk_campaign.NoSmallDiskError as error:
        return f"Full disks were not tried: {error}."
    return (
        f"Full disk: {total.moments} moments on a disk of 96 MB. Of {total.calls:,} calls, {total.refused:,} were "
        f"refused for want of room; of {total.executions} executions, {total.failed} failed, and say so. "
        "Nothing acknowledged was lost, and after each moment work went on without a restart."
    )


def _batches(count: int) -> Iterator[int]:
    """A count in parts of at most 25: one server for each."""
    while count > 0:
        yield min(count, 25)
        count -= 25


def _add(total: Any, figures: Any) -> None:
    for member in fields(total):
        setattr(total, member.name, getattr(total, member.name) + getattr(figures, member.name))


def fuzz_engine(count: int, folder: Path) -> Row:
    """Requests to the engine's operations."""
    row = Row("to SageMaker's operations of pipelines and jobs")
    fuzz = ApiFuzz(folder)

    def one(seed: int) -> str:
        return "2xx" if fuzz.shoot(seed).endswith(" 200") else "4xx"

    try:
        shoot(row, count, one, (UnfitApiAnswerError,))
    finally:
        fuzz.engine.stop()
    return row


def render(rows: list[Row], sentences: list[str], minutes: float) -> str:
    """The table, with what it was made by."""
    made = f"{datetime.now(timezone.utc):%Y-%m-%d} in {minutes:.0f} minutes: moto {version('moto')}"
    head = [
        "requests",
        "sent",
        "carried out",
        "refused",
        "failed inside moto, as one typed 400",
        "HTTP 5xx, or late",
        "crashes",
    ]
    lines = [
        f"Run on {made}, Python {sys.version.split()[0]}.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    points = [f"- {sentence}" for sentence in sentences]
    return "\n".join([*lines, *(row.render() for row in rows), *(["", *points] if points else [])])


def main() -> int:
    """Run the campaigns; 1 if there was a fault or a crash."""
    parser = argparse.ArgumentParser(prog="python -m tests.harm", description=__doc__)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=100_000, help="half of them to the engine's operations")
    parser.add_argument("--kills", type=int, default=500, help="of the whole server")
    parser.add_argument("--disks", type=int, default=200, help="moments at which the disk is full")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    campaigns = ((kill, arguments.kills), (fill, arguments.disks))
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-harm-") as name:
        folder = Path(name)
        rows = [
            cut(arguments.cuts, folder / "cut"),
            fuzz_services(arguments.requests // 2, folder / "services"),
            knock(arguments.requests // 2, folder / "door"),
            fuzz_engine(arguments.requests // 2, folder / "engine"),
        ]
        sentences = [campaign(count, folder / campaign.__name__) for campaign, count in campaigns if count]
    text = render(rows, sentences, (time.monotonic() - started) / 60)
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")
    return int(any(row.faults or row.crashes for row in rows))


if __name__ == "__main__":
    sys.exit(main())
