"""What waiting for many executions costs a triggerer: our watcher beside the amazon provider's trigger.

Every wait runs at the default interval, in one process per case, on an endpoint that counts. Executions end within a
minute and a half after each has been looked at once: the provider's triggers take most of a minute to make their
clients, and would else miss their own interval, and make fewer calls than they should. All cases run at once, so that
the whole takes about as long as the waits. Theirs runs in an environment of its own, with aiobotocore.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from airflow_sm_pipelines.environments import ensure_environment
from benchmarks.counting_endpoint import CountingEndpoint, open_endpoint
from benchmarks.measure import Row

PROBE = Path(__file__).parent / "cases" / "watch_probe.py"
THEIRS = ["apache-airflow==3.3.2", "apache-airflow-providers-amazon[aiobotocore]==9.39.0"]
PIPELINES = 20
WAITER_DELAY = 30
ENDS_AFTER = (40.0, 95.0)
SETTLED = (5.0, 35.0)
STARTED_WITHIN = 75.0
THROTTLE = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one case took.

    :param calls: from the first to the last.
    :param calls_per_look: calls for each execution in one interval in which all wait.
    :param seen: the share of waits that ended with their execution, in percent; the others ended in an error.
    :param late: the 99th percentile of the time from an execution's end to its wait's, in seconds.
    """

    calls: int
    calls_per_look: float
    cpu_seconds: float
    kilobytes: float
    seen: float
    late: float


def measure() -> list[Row]:
    """Calls, processor time, memory and lateness; the same under throttling; and ours at ten thousand."""
    theirs = str(ensure_environment(THEIRS, log=lambda line: print(line, file=sys.stderr)))
    with ThreadPoolExecutor() as pool:
        cases = [
            pool.submit(run_case, "ours", sys.executable, 1000),
            pool.submit(run_case, "theirs", theirs, 1000),
            pool.submit(run_case, "ours", sys.executable, 1000, THROTTLE),
            pool.submit(run_case, "theirs", theirs, 200, THROTTLE),
            pool.submit(run_case, "ours", sys.executable, 10_000),
        ]
        ours, other, ours_slow, other_slow, many = [case.result() for case in cases]
    amazon = "amazon provider"
    throttled = f"at {THROTTLE:.0f} calls a second"
    return [
        Row("watch 1,000: calls per execution and look", ours.calls_per_look, amazon, other.calls_per_look, "", 1),
        Row("watch 1,000 executions: calls in all", ours.calls, amazon, other.calls, "", 1),
        Row("watch 1,000 executions: processor", ours.cpu_seconds, amazon, other.cpu_seconds, "s", 1),
        Row("watch 1,000 executions: memory each", ours.kilobytes, amazon, other.kilobytes, "KB", 1),
        Row("watch 1,000 executions: late by, p99", ours.late, amazon, other.late, "s", 1),
        Row(f"watch {throttled}: waits that see the end", ours_slow.seen, f"{amazon}, 200", other_slow.seen, "%", 1),
        Row(f"watch {throttled}: late by, p99", ours_slow.late, f"{amazon}, 200", other_slow.late, "s", 1),
        Row("watch 10,000 executions: calls in all", many.calls, "ours, 1,000", ours.calls, "", 1),
        Row("watch 10,000 executions: processor", many.cpu_seconds, "ours, 1,000", ours.cpu_seconds, "s", 1),
        Row("watch 10,000 executions: memory each", many.kilobytes, "ours, 1,000", ours.kilobytes, "KB", 1),
        Row("watch 10,000 executions: late by, p99", many.late, "ours, 1,000", ours.late, "s", 1),
    ]


def run_case(kind: str, python: str, executions: int, calls_per_second: float | None = None) -> Figures:
    """One process full of waits, on an endpoint of its own."""
    endpoint = CountingEndpoint(pipelines=PIPELINES, executions=executions, calls_per_second=calls_per_second)
    chance = random.Random(executions)
    with open_endpoint(endpoint) as url:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        aws = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with subprocess.Popen(
            [python, str(PROBE), kind, str(WAITER_DELAY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, **aws},
            text=True,
        ) as probe:
            assert probe.stdin is not None
            assert probe.stdout is not None
            probe.stdin.write("\n".join(endpoint.arns))
            probe.stdin.close()
            while "running" not in probe.stdout.readline():
                assert probe.poll() is None, "the probe ended before it began"
            latest = time.monotonic() + STARTED_WITHIN
            while len(endpoint.looked_at) < executions and time.monotonic() < latest:
                time.sleep(0.05)
            now = time.time()
            endpoint.ends |= {arn: now + chance.uniform(*ENDS_AFTER) for arn in endpoint.arns}
            settled = []
            for moment in SETTLED:
                time.sleep(now + moment - time.time())
                settled.append(endpoint.calls.total())
            found = json.loads(probe.stdout.read().splitlines()[-1])
    late = sorted(moment - endpoint.ends[arn] for arn, moment in found["ended"].items())
    return Figures(
        calls=endpoint.calls.total(),
        calls_per_look=(settled[1] - settled[0]) / executions,
        cpu_seconds=found["cpu"],
        kilobytes=found["bytes"] / executions / 1024,
        seen=100 * len(late) / executions,
        late=late[int(len(late) * 0.99) - 1] if late else float("nan"),
    )
