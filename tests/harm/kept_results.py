"""Results of campaigns, kept in a folder batch by batch, so that a run that was broken off goes on."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class Batch:
    """What a part of a campaign gave.

    :param figures: counted things, by name.
    :param faults: a text for each thing that must not happen.
    :param note: why it was not tried, if it was not.
    """

    figures: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0
    day: str = ""

    def add(self, other: Batch) -> None:
        """Take in another part of the same campaign."""
        self.figures += other.figures
        self.faults += other.faults
        self.note = self.note or other.note
        self.seconds += other.seconds
        self.day = max(self.day, other.day)


@dataclass(frozen=True)
class KeptResults:
    """The folder; each batch is a file."""

    folder: Path

    def once(self, key: str, run: Callable[[Batch], None]) -> Batch:
        """The batch that was kept under this key; else `run` fills one, and it is kept.

        What `run` asserts in vain is a fault of the batch: the other campaigns go on.
        """
        path = self.folder / f"{key}.json"
        if path.exists():
            members = json.loads(path.read_text(encoding="utf-8"))
            return Batch(**{**members, "figures": Counter(members["figures"])})
        batch, started = Batch(), time.monotonic()
        try:
            run(batch)
        except AssertionError as error:
            batch.faults.append(str(error)[:2000])
        batch.seconds = time.monotonic() - started
        batch.day = f"{datetime.now(timezone.utc):%Y-%m-%d}"
        for fault in batch.faults:
            print(f"{key}: {fault[:600]}", file=sys.stderr)
        print(f"{key}: {dict(batch.figures)} in {batch.seconds:.0f} s", file=sys.stderr, flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".part")
        written.write_text(json.dumps(vars(batch)), encoding="utf-8")
        written.replace(path)
        return batch
