"""`make digests`: every tag of the compose file and the Dockerfile gets its digest, or nothing is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKER = """#!/bin/sh
case "$4" in redis*) exit $REDIS ;; esac
echo sha256:$(printf %s "$4" | sha256sum | cut -d' ' -f1)
"""


def pin(folder: Path, redis: int = 0) -> subprocess.CompletedProcess[str]:
    docker = folder / "docker"
    docker.write_text(DOCKER.replace("exit $REDIS", "exit 1" if redis else ":"))
    docker.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, str(ROOT / "scripts" / "pin_images.py"), str(folder)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_every_tag_gets_its_digest_once(tmp_path: Path) -> None:
    for name in ("docker-compose.yaml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    before = (tmp_path / "docker-compose.yaml").read_text()
    refused = pin(tmp_path, redis=1)
    assert refused.returncode == 1
    assert "The registry of redis:" in refused.stderr
    assert (tmp_path / "docker-compose.yaml").read_text() == before
    for _ in range(2):
        done = pin(tmp_path)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "docker-compose.yaml").read_text() + (tmp_path / "Dockerfile").read_text()
        assert text.count("@sha256:") == 3
        assert "image: airflow-sm-pipelines:local\n" in text


def test_tags_are_exact() -> None:
    lines = (ROOT / "docker-compose.yaml").read_text().splitlines() + (ROOT / "Dockerfile").read_text().splitlines()
    tags = [line.split(":")[-1] for line in lines if line.strip().startswith(("image:", "FROM "))]
    assert [tag for tag in tags if tag != "local" and tag.count(".") < 2 and not tag.startswith(("17.", "redis"))] == []
