"""The profile is added once, renewed, and leaves what others wrote."""

from __future__ import annotations

import json
import stat
import sys
from typing import TYPE_CHECKING

import botocore.session
import pytest

from airflow_sm_pipelines.cli.commands.local.profile import with_profile
from airflow_sm_pipelines.cli.entry_point import main

if TYPE_CHECKING:
    from pathlib import Path

OURS = ["[profile a]", "credential_process = x local profile --print-key"]
TEXT = "\n".join(OURS) + "\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", TEXT),
        ("[default]\nregion = x", f"[default]\nregion = x\n\n{TEXT}"),
        (f"# mine\n{TEXT}old = 1\n\n[profile ab]\nx = 1\n", f"# mine\n{TEXT}\n[profile ab]\nx = 1\n"),
        (TEXT, TEXT),
        ("[profile a]\nregion = x\n", None),
    ],
    ids=["empty", "added", "renewed", "same", "not ours"],
)
def test_a_profile_is_added_or_renewed(before: str, after: str | None) -> None:
    assert with_profile(before, "a", OURS) == after


def test_botocore_gets_the_key_and_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, state = tmp_path / "new" / "config", tmp_path / "a state"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    command = ["local", "profile", "--state-dir", str(state)]
    assert main([*command, "--print-key"]) == 2
    assert "sm-pipelines local serve" in capsys.readouterr().err
    state.mkdir()
    (state / "secret").write_text("the secret\n")
    assert main([*command, "--print-key"]) == 0
    assert json.loads(capsys.readouterr().out)["SecretAccessKey"] == "the secret"
    assert main([*command, "--port", "4567"]) == 0
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "the secret" not in config.read_text()
    session = botocore.session.Session(profile="sm-local")
    credentials = session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.secret_key) == ("local", "the secret")
    assert session.create_client("s3").meta.endpoint_url == "http://127.0.0.1:4567"
