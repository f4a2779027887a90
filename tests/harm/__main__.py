"""`make harm`: what hostile input does to the endpoint and to a policy, as tables in docs/reliability.md."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tests.durability import disk_campaign, kill_campaign
from tests.durability.whole_server import WholeServer
from tests.fuzz.api_fuzz import ApiFuzz
from tests.fuzz.api_fuzz import UnfitAnswerError as UnfitApiAnswerError
from tests.harm import attacks, cut_requests
from tests.harm.kept_results import Batch, KeptResults
from tests.harm.service_fuzz import ServiceFuzz, UnfitAnswerError
from tests.policy import policy_pairs
from tests.server.endpoint_stand_in import open_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- made by `make harm`: begin -->", "<!-- made by `make harm`: end -->"
REQUESTS = {
    "cuts": "cut at a byte, or with two ends",
    "services": "to S3, SQS, IAM, STS, Logs, EventBridge, Lambda, Cost Explorer and what else SageMaker has",
    "door": "the same requests, by another user without the key",
    "engine": "to SageMaker's operations of pipelines and jobs",
}
"""The campaigns of requests, and what stands in their rows."""
SIZES = {"kills": 25, "disks": 25, "cuts": 1000, "services": 5000, "door": 5000, "engine": 5000, "evasions": 2000}
"""How many make a batch."""


def shoot(batch: Batch, seeds: range, one: Callable[[int], str], faults: tuple[type[Exception], ...]) -> None:
    """Send the requests of one batch."""
    for seed in seeds:
        try:
            batch.figures[one(seed)] += 1
        except faults as error:
            batch.faults.append(str(error))


def cut(batch: Batch, seeds: range, folder: Path) -> None:
    """Cut requests, to a whole server that is a process of its own."""
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
                batch.figures["crashes"] += 1
                raise AssertionError(f"the server died at seed {seed}: {server.output()[-2000:]}")

    try:
        shoot(batch, seeds, one, (cut_requests.UnfitAnswerError, TimeoutError))
        if "Contents" in server.client("s3").list_objects_v2(Bucket=cut_requests.BUCKET):
            batch.faults.append("an object was stored from a broken request")
    finally:
        server.kill()


def fuzz_services(batch: Batch, seeds: range, folder: Path) -> None:
    """Requests to every service but the engine's operations."""
    with open_endpoint(folder / "state") as endpoint:
        shoot(batch, seeds, ServiceFuzz(endpoint).shoot, (UnfitAnswerError,))


def knock(batch: Batch, seeds: range, folder: Path) -> None:
    """The same requests from a caller who may not call, with signatures that are not right."""
    with open_endpoint(folder / "state") as endpoint:
        shoot(batch, seeds, ServiceFuzz(endpoint).knock, (UnfitAnswerError,))


def fuzz_engine(batch: Batch, seeds: range, folder: Path) -> None:
    """Requests to the engine's operations."""
    fuzz = ApiFuzz(folder)

    def one(seed: int) -> str:
        return "2xx" if fuzz.shoot(seed).endswith(" 200") else "4xx"

    try:
        shoot(batch, seeds, one, (UnfitApiAnswerError,))
    finally:
        fuzz.engine.stop()


def kill(batch: Batch, seeds: range, folder: Path) -> None:
    """kill -9 of one whole server, again and again."""
    figures = kill_campaign.kill_often(folder, kills=len(seeds), seed=seeds.start)
    batch.figures += Counter(asdict(figures))


def fill(batch: Batch, seeds: range, folder: Path) -> None:
    """A full disk, again and again, under one server."""
    try:
        with disk_campaign.small_disk(folder, megabytes=96) as disk:
            figures = asdict(disk_campaign.fill_often(disk, moments=len(seeds), seed=seeds.start))
    except disk_campaign.NoSmallDiskError as error:
        batch.note = str(error)
        return
    batch.faults += figures.pop("faults")
    batch.figures += Counter(figures)


def evade(batch: Batch, seeds: range, _folder: Path) -> None:
    """Pairs of definitions, one that keeps a team's policy and one that breaks it."""
    counts, faults = policy_pairs.run_cases(islice(policy_pairs.iter_cases(), seeds.start, seeds.stop))
    batch.figures += counts
    batch.faults += faults


def attack(batch: Batch, _seeds: range, folder: Path) -> None:
    """Attacks by kind."""
    for kind, ends in attacks.try_all(folder).items():
        batch.figures[kind] = len(ends)
        batch.faults += [f"{kind}: {end}" for end in ends if end]


CAMPAIGNS: dict[str, Callable[[Batch, range, Path], None]] = {
    "attacks": attack,
    "cuts": cut,
    "services": fuzz_services,
    "door": knock,
    "engine": fuzz_engine,
    "kills": kill,
    "disks": fill,
    "evasions": evade,
}


def run(name: str, count: int, kept: KeptResults, folder: Path) -> Batch:
    """Run one campaign, batch by batch."""
    total = Batch()
    size = SIZES.get(name, 1)
    for start in range(0, count, size):
        seeds = range(start, min(count, start + size))
        place = folder / f"{name}-{start}"
        place.mkdir()
        total.add(kept.once(f"{name}-{start}-{seeds.stop}", lambda b, s=seeds, p=place: CAMPAIGNS[name](b, s, p)))  # type: ignore[misc]
    return total


def render(found: dict[str, Batch]) -> str:
    """The tables, with what they were made by."""
    day = max(batch.day for batch in found.values())
    minutes = sum(batch.seconds for batch in found.values()) / 60
    head = f"Run on {day}, {minutes:.0f} minutes in all: moto {version('moto')}, Python {sys.version.split()[0]}."
    parts = [[head], _render_attacks(found), _render_requests(found), list(_iter_sentences(found))]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _render_attacks(found: dict[str, Batch]) -> list[str]:
    if "attacks" not in found:
        return []
    batch = found["attacks"]
    through = Counter(fault.partition(":")[0] for fault in batch.faults)
    lines = ["| attacks | tried | got through |", "|---|---:|---:|"]
    lines += [f"| {kind} | {count:,} | {through[kind]} |" for kind, count in batch.figures.items()]
    return [*lines, *([f"\n{batch.note}"] if batch.note else [])]


def _render_requests(found: dict[str, Batch]) -> list[str]:
    rows = []
    for name, title in REQUESTS.items():
        if name in found:
            figures, faults = found[name].figures, found[name].faults
            moto, done, crashes = figures["failure in moto"], figures["2xx"], figures["crashes"]
            refused = figures.total() - moto - done - crashes
            cells = (figures.total() + len(faults), done, refused, moto, len(faults), crashes)
            rows.append(f"| {title} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    heads = ("requests", "sent", "carried out", "refused", "failed inside moto, as one typed 400", "HTTP 5xx, or late")
    return [f"| {' | '.join((*heads, 'crashes'))} |", "|---" + "|---:" * len(heads) + "|", *rows] if rows else []


def _iter_sentences(found: dict[str, Batch]) -> Iterator[str]:
    if "kills" in found:
        figures, faults = found["kills"].figures, found["kills"].faults
        yield (
            f"- kill -9 of the whole server: {figures['kills']:,} kills, {figures['in_boot']} of them in boot and "
            f"{figures['amid_jobs']} while jobs ran. Of {figures['executions']:,} executions and "
            f"{figures['objects']:,} objects that were acknowledged, and of steps that had ended: "
            f"{_say(faults, 'none was lost or ran again')}."
        )
    if "disks" in found:
        figures, faults = found["disks"].figures, found["disks"].faults
        yield found["disks"].note or (
            f"- Full disk: {figures['moments']} moments on a disk of 96 MB. Of {figures['calls']:,} calls, "
            f"{figures['refused']:,} were refused for want of room; of {figures['executions']} executions, "
            f"{figures['failed']} failed, and say so. Going on without a restart, and what was acknowledged: "
            f"{_say(faults, 'nothing was lost and nothing stood still')}."
        )
    if "evasions" in found:
        figures, faults = found["evasions"].figures, found["evasions"].faults
        through = sum(fault.startswith("got through") for fault in faults)
        yield (
            f"- A team's policy: of {figures['broken']:,} definitions that break one key of it, {through} got through; "
            f"of {figures['kept']:,} that keep it, {len(faults) - through} were refused."
        )


def _say(faults: list[str], good: str) -> str:
    return f"**{len(faults)} batches went wrong**" if faults else good


def main() -> int:
    """Run the campaigns; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.harm", description=__doc__)
    parser.add_argument("--attacks", type=int, default=1, choices=(0, 1))
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--services", type=int, default=50_000, help="requests to the services beside the engine")
    parser.add_argument("--door", type=int, default=50_000, help="requests by another user")
    parser.add_argument("--engine", type=int, default=50_000, help="requests to the engine's operations")
    parser.add_argument("--kills", type=int, default=500, help="of the whole server")
    parser.add_argument("--disks", type=int, default=200, help="moments at which the disk is full")
    parser.add_argument("--evasions", type=int, default=1_000_000, help="pairs of definitions, at most")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, default=list(CAMPAIGNS))
    parser.add_argument("--results", type=Path, help="a folder that keeps each batch, so that another run goes on")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    counts = {name: getattr(arguments, name) for name in arguments.only}
    if "evasions" in counts:
        counts["evasions"] = min(counts["evasions"], sum(1 for _ in policy_pairs.iter_cases()))
    with tempfile.TemporaryDirectory(prefix="sm-pipelines-harm-") as folder:
        kept = KeptResults(arguments.results or Path(folder) / "results")
        found = {name: run(name, count, kept, Path(folder)) for name, count in counts.items() if count}
    text = render(found)
    print(text)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", page), encoding="utf-8")
    return int(any(batch.faults for batch in found.values()))


if __name__ == "__main__":
    sys.exit(main())
