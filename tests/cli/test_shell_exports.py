"""The lines that point a shell to the endpoint, read by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli.shell_exports import SHELLS, find_shell, render_exports
from airflow_sm_pipelines.local_endpoint import child_environment

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shell_exports import Shell

USER = {
    "PATH": "/usr/bin:/bin",
    "AWS_PROFILE": "work",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_ENDPOINT_URL_S3": "https://s3.example",
    "no_proxy": "it's here,\\there",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_reads_the_lines_has_the_endpoint_and_no_profile(shell: Shell) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    environment = child_environment(USER, "http://127.0.0.1:4610", "eu-west-1", secret="s")
    lines = render_exports(environment, shell=shell, present=USER)
    done = subprocess.run(
        [shell, "-c", "\n".join([*lines, "env"])], env=USER, capture_output=True, text=True, timeout=60, check=True
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name: value for name, value in found.items() if name.startswith(("AWS_", "SM_", "AIRFLOW_", "no_"))} == {
        name: value for name, value in environment.items() if name.startswith(("AWS_", "SM_", "AIRFLOW_", "no_"))
    }


def test_the_shell_is_the_users_or_bash() -> None:
    assert [find_shell(path) for path in ("/usr/bin/fish", "/bin/zsh", "/bin/dash", "", None)] == [
        "fish",
        "zsh",
        "bash",
        "bash",
        "bash",
    ]


def test_fish_gets_its_own_words() -> None:
    lines = render_exports({"AWS_REGION": "it's\\"}, shell="fish", present={})  # noqa: S604 - a name, no command
    assert lines[0].startswith("set -e AWS_ACCESS_KEY_ID ")
    assert lines[1] == "set -gx AWS_REGION 'it\\'s\\\\'"
