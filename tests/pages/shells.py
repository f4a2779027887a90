"""Runs the shell blocks of a page one after the other, as a reader would paste them, without an account.

What a page takes for granted is made first, by ``setups/PAGE.sh`` in a folder of the reader's. Commands that speak to
AWS reach one local endpoint; ``local exec`` and its like have another state directory, as on a laptop.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environments import ensure_environment
from tests.pages.blocks import ROOT, as_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.pages.blocks import Block

SETUPS = Path(__file__).parent / "setups"
PRELUDE = Path(__file__).parent / "prelude.sh"
SECONDS = 1200
"""For the blocks of one page, on a machine that has other work, too."""


@dataclass(frozen=True, slots=True)
class ShellRun:
    """How the blocks of a page ran.

    :param done: the blocks that ended as they should.
    :param output: of all of them.
    """

    done: tuple[Block, ...]
    output: str


def run_shell_blocks(blocks: Sequence[Block], *, folder: Path) -> ShellRun:
    """Run the blocks of one page that are to be run.

    :param folder: an empty folder.
    """
    work, log = folder / "work", folder / "done"
    work.mkdir(parents=True)
    log.touch()
    script = folder / "page.sh"
    script.write_text(_make_script(blocks, log))
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "exec", "--quiet"]
    command += ["--state-dir", str(folder / "account"), "--", "bash", str(script)]
    printed = folder / "output.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=_make_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output.write(f"\nstopped after {SECONDS} seconds\n".encode())
            process.wait()
    passed = set(log.read_text().split())
    done = tuple(block for block in blocks if str(block.line) in passed)
    return ShellRun(done, printed.read_text(errors="replace"))


def _make_script(blocks: Sequence[Block], log: Path) -> str:
    setup = SETUPS / f"{Path(blocks[0].page).stem}.sh"
    parts = ["set -e", f". {PRELUDE}", *([f". {setup}"] if setup.exists() else [])]
    for block in blocks:
        code, text = block.exit_code, _fill_in(as_script(block))
        parts += [f"echo '##### {block.place}'", block.before]
        parts += [text] if code is None else [f"set +e\n{text}[ $? = {code} ] || exit 1\nset -e"]
        parts.append(f"echo {block.line} >> {log}")
    return "\n".join(parts) + "\n"


def _fill_in(text: str) -> str:
    """The text with the setup's values for what stands for the reader's own."""
    text = re.sub(r"(?<![\w-])ROLE-ARN\b", "$ROLE_ARN", text)
    return re.sub(r"(?<![\w$-])(?:EXECUTION-)?ARN\b(?![-_])", "$EXECUTION_ARN", text)


def _make_environment(folder: Path) -> dict[str, str]:
    """That of a new user with an empty home, for whom the package is installed."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sm-pipelines", "airflow", "python", "pytest"):
        if found := shutil.which(name, path=str(Path(sys.executable).parent)):
            (programs / name).symlink_to(found)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "AIRFLOW", "SM_PIPELINES_STATE"))
    }
    return kept | {
        "HOME": str(folder / "home"),
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "REPOSITORY": str(ROOT),
        "UV_CACHE_DIR": _find_uv_cache(),  # the new user's home has none
        "CLI_OF_AWS": str(ensure_environment(["awscli>=1.44,<2"]).with_name("aws")),
        "SM_PIPELINES_STATE_DIR": str(folder / "laptop"),
    }


@cache
def _find_uv_cache() -> str:
    command = [str(Path(sys.executable).with_name("uv")), "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
