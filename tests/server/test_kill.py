"""kill -9: whatever a client was told had happened, has happened when the next server starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.server.state_directory import read_announcement

SERVER = Path(__file__).with_name("endpoint_stand_in.py")


def start_server(state: Path) -> tuple[subprocess.Popen[bytes], str]:
    process = subprocess.Popen([sys.executable, str(SERVER), str(state)], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        found = read_announcement(state)
        if found is not None and found["pid"] == str(process.pid):
            return process, found["url"]
        threading.Event().wait(0.05)
    process.kill()
    raise AssertionError("the server did not come up")


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def write_until_killed(url: str, worker: int, acknowledged: dict[str, bytes]) -> None:
    s3, iam = client("s3", url), client("iam", url)
    for number in range(1000):
        key, body = f"w{worker}/{number % 7}", f"{worker}-{number}".encode()
        try:
            s3.put_object(Bucket="bucket", Key=key, Body=body)
            acknowledged[key] = body
            iam.create_role(RoleName=f"w{worker}-{number}", AssumeRolePolicyDocument="{}")
            acknowledged[f"role:w{worker}-{number}"] = b""
        except (BotoCoreError, ClientError):
            return


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.2, 0.7, 1.5])
def test_what_was_acknowledged_under_load_survives_a_kill(tmp_path: Path, moment: float) -> None:
    server, url = start_server(tmp_path)
    client("s3", url).create_bucket(Bucket="bucket")
    acknowledged: dict[str, bytes] = {}
    workers = [threading.Thread(target=write_until_killed, args=(url, n, acknowledged)) for n in range(3)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 30
    while len(acknowledged) < 10 * moment and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    threading.Event().wait(moment)
    kill(server)
    for worker in workers:
        worker.join()
    assert acknowledged

    server, url = start_server(tmp_path)
    s3, iam = client("s3", url), client("iam", url)
    for key, body in acknowledged.items():
        if key.startswith("role:"):
            assert iam.get_role(RoleName=key[5:])["Role"]["AssumeRolePolicyDocument"] == {}
            continue
        found = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        # The write after the last acknowledged one may have been done, its answer not yet sent.
        worker, number = (int(part) for part in body.decode().split("-"))
        assert found in {body, f"{worker}-{number + 7}".encode()}
    kill(server)


@pytest.mark.slow
def test_a_second_server_is_refused_while_the_first_lives_and_takes_over_when_it_was_killed(tmp_path: Path) -> None:
    first, url = start_server(tmp_path)
    second = subprocess.run(
        [sys.executable, str(SERVER), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode != 0
    assert f"in use by another local endpoint at {url} (process {first.pid})" in second.stderr
    kill(first)
    third, _ = start_server(tmp_path)
    kill(third)
