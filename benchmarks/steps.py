"""How old the steps are that a thousand deferred runs show, and what showing them costs in calls.

One triggerer with 1,000 waits, told of their steps at the operator's default interval, on an endpoint that counts. Some
executions begin a step every half minute, the others are quiet. After a first round, the endpoint's own record says how
long ago each execution's steps were asked for, every second, and how long each change took to be seen.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.counting_endpoint import CountingEndpoint, open_endpoint
from benchmarks.measure import Row
from benchmarks.watch import PIPELINES, PROBE, WAITER_DELAY

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITS = 1000
MOVING = 50
CHANGE_SECONDS = 30.0
FIRST_ROUND_SECONDS = 540.0
MEASURED_SECONDS = 180.0
LIMIT = 5.0
"""Calls a second for the steps of all waits together, as docs/waiting.md promises."""


@dataclass(frozen=True, slots=True)
class Ages:
    """What the endpoint saw in the measured time, in seconds.

    :param step_calls: calls for steps a second, in the busiest ten seconds; ``calls``: all calls.
    :param moving: ages of the steps shown of executions that change; ``quiet``: of the others.
    :param late: from each change until it was asked for.
    """

    step_calls: float
    calls: float
    moving: Sequence[float]
    quiet: Sequence[float]
    late: Sequence[float]


def measure() -> list[Row]:
    """Calls a second beside the limit; ages and lateness, median beside the 95th percentile."""
    found = watch_steps()
    what = f"steps of {WAITS:,} waits"
    return [
        Row(f"{what}: calls for them a second, busiest 10 s", found.step_calls, "limit", LIMIT, "", 1),
        Row(f"{what}: all calls a second, busiest 10 s", found.calls, "limit of the steps", LIMIT, "", 1),
        *(
            Row(f"{what}: {title}, median", percentile(values, 50), "p95", percentile(values, 95), "s", 1)
            for title, values in (
                ("age of those shown, executions that change", found.moving),
                ("age of those shown, quiet executions", found.quiet),
                ("a change shown after", found.late),
            )
        ),
    ]


def watch_steps() -> Ages:
    """Run the waits, and read the endpoint's record."""
    endpoint = CountingEndpoint(pipelines=PIPELINES, executions=WAITS, calls_per_second=None)
    chance = random.Random(WAITS)
    moving = chance.sample(endpoint.arns, MOVING)
    began = time.time()
    for arn in moving:
        first = began + chance.uniform(0, CHANGE_SECONDS)
        count = int((FIRST_ROUND_SECONDS + MEASURED_SECONDS + 60) / CHANGE_SECONDS)
        endpoint.changes[arn] = [first + CHANGE_SECONDS * number for number in range(count)]
    with open_endpoint(endpoint) as url:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        command = [sys.executable, str(PROBE), "steps", str(WAITER_DELAY)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as probe:
            assert probe.stdin is not None
            probe.stdin.write("\n".join(endpoint.arns))
            probe.stdin.close()
            while len(endpoint.looked_at) < WAITS:
                assert probe.poll() is None, "the probe ended before it began"
                time.sleep(0.1)
            start = time.time() + FIRST_ROUND_SECONDS
            time.sleep(FIRST_ROUND_SECONDS + MEASURED_SECONDS)
            end = time.time()
            endpoint.ends |= dict.fromkeys(endpoint.arns, end)
            assert probe.stdout is not None
            probe.stdout.read()
    return read_ages(endpoint, moving, start=start, end=end)


def read_ages(endpoint: CountingEndpoint, moving: Sequence[str], *, start: float, end: float) -> Ages:
    """The ages and the rates between two moments."""
    looks = sorted(moment for moments in endpoint.looks.values() for moment in moments)
    ages: dict[bool, list[float]] = {True: [], False: []}
    late = []
    moves = set(moving)
    for arn, moments in endpoint.looks.items():
        for second in range(int(end - start)):
            now = start + second
            seen = bisect_right(moments, now)
            ages[arn in moves].append(now - (moments[seen - 1] if seen else start - FIRST_ROUND_SECONDS))
        for change in endpoint.changes.get(arn, ()):
            if start <= change <= end - CHANGE_SECONDS:
                later = bisect_left(moments, change)
                late.append((moments[later] if later < len(moments) else end) - change)
    return Ages(
        step_calls=busiest(looks, start, end),
        calls=busiest(endpoint.moments, start, end),
        moving=ages[True],
        quiet=ages[False],
        late=late,
    )


def busiest(moments: Sequence[float], start: float, end: float, *, seconds: int = 10) -> float:
    """The most calls in so many seconds, a second."""
    return max(
        (bisect_left(moments, start + first + seconds) - bisect_left(moments, start + first)) / seconds
        for first in range(int(end - start) - seconds)
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
