"""The command itself: help, usage errors, and a quick start."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cli.command_runs import refused, run

if TYPE_CHECKING:
    from pathlib import Path


def test_help_is_there_for_every_command() -> None:
    for command in ([], ["compile"], ["validate"], ["diff"], ["local"], ["local", "exec"], ["local", "serve"]):
        result = run(*command, "--help")
        assert result.returncode == 0
        assert result.stdout.startswith("usage: ")


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    assert "is not a port" in refused(run("local", "serve", "--port", "70000"))
    assert "not allowed with" in refused(run("local", "serve", "--ephemeral", "--state-dir", str(tmp_path)))
    assert "required" in refused(run())


def test_asking_for_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom airflow_sm_pipelines.cli.entry_point import make_parser\nmake_parser().format_help()\n"
        "print([name for name in ('airflow', 'boto3', 'botocore', 'moto', 'sagemaker') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"
