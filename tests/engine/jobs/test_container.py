"""Which variables a job sees, by value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sm_pipelines.engine.jobs.container import build_environment, find_password_settings, rewrite_paths
from airflow_sm_pipelines.local_endpoint import SITE_DIRECTORY


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/opt/ml", "/job"),
        ("/opt/ml/model", "/job/model"),
        ("--in=/opt/ml/input,/opt/ml/output", "--in=/job/input,/job/output"),
        ("ls /opt/ml; ls '/opt/ml'", "ls /job; ls '/job'"),
        ("/opt/mlflow/x", "/opt/mlflow/x"),
        ("/opt/ml-tools", "/opt/ml-tools"),
        ("/opt/ml.bak", "/opt/ml.bak"),
    ],
)
def test_only_the_path_itself_is_rewritten(text: str, rewritten: str) -> None:
    assert rewrite_paths(text, Path("/job")) == rewritten


def build(tmp_path: Path, host: dict[str, str], requested: dict[str, str] | None = None) -> dict[str, str]:
    return build_environment(
        host=host,
        aws={"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "local"},
        requested=requested or {},
        contract={"TRAINING_JOB_NAME": "job"},
        home=tmp_path,
        programs=[Path("/env/bin")],
    )


def test_nothing_of_the_users_environment_but_network_and_pip_settings_arrives(tmp_path: Path) -> None:
    host = {
        "AWS_PROFILE": "prod",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "DATABASE_URL": "postgres://",
        "PYTHONPATH": "/mine",
        "HTTPS_PROXY": "http://proxy",
        "NO_PROXY": "internal",
        "PIP_INDEX_URL": "http://index",
        "UV_INDEX_URL": "http://index",
    }
    seen = build(tmp_path, host)
    assert not {"AWS_PROFILE", "DATABASE_URL"} & seen.keys()
    assert "/mine" not in seen["PYTHONPATH"]
    assert seen["AWS_ACCESS_KEY_ID"] == "local"
    assert seen["HTTPS_PROXY"] == "http://proxy"
    assert seen["NO_PROXY"] == "127.0.0.1,localhost,internal"
    assert seen["PIP_INDEX_URL"] == seen["UV_INDEX_URL"] == "http://index"


def test_the_request_may_set_anything_but_the_endpoint(tmp_path: Path) -> None:
    requested = {"TZ": "Europe/Zurich", "PYTHONPATH": "/opt/ml/code", "AWS_ENDPOINT_URL": "https://example.invalid"}
    seen = build(tmp_path, {}, requested)
    assert seen["TZ"] == "Europe/Zurich"
    assert seen["PYTHONPATH"].endswith(":/opt/ml/code")
    assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_pip_finds_the_users_own_configuration_from_the_jobs_home(tmp_path: Path) -> None:
    settings = tmp_path / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text("[global]\n")
    assert build(tmp_path, {"HOME": str(tmp_path)})["PIP_CONFIG_FILE"] == str(settings)
    assert "PIP_CONFIG_FILE" not in build(tmp_path, {"HOME": str(tmp_path / "none")})


def test_no_job_gets_the_password_of_an_index_but_by_the_table_of_images(tmp_path: Path) -> None:
    secret = "https://user:secret@index.example/simple"
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {secret}\n")
    host = {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": f"https://one.example/simple {secret}",
        "PIP_CONFIG_FILE": str(settings),
        "UV_DEFAULT_INDEX": secret,
        "UV_INDEX_TEAM_PASSWORD": "secret",
        "UV_CACHE_DIR": "/cache",
        "HTTPS_PROXY": "http://user:secret@proxy.example",  # without it no index is reached
    }
    seen = build(tmp_path, host)
    left_out = {"PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "UV_DEFAULT_INDEX", "UV_INDEX_TEAM_PASSWORD"}
    assert set(find_password_settings(host)) == left_out == host.keys() - seen.keys()
    assert build(tmp_path, host, {"UV_DEFAULT_INDEX": secret})["UV_DEFAULT_INDEX"] == secret


def test_the_sdk_is_told_to_keep_its_usage_data(tmp_path: Path) -> None:
    seen = build(tmp_path, {})
    assert "TelemetryOptOut: true" in Path(seen["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text()


def test_the_sitecustomize_of_an_image_still_runs_and_its_errors_are_told(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nsys.path.append('/theirs')\nprint('theirs', end=' ')\n")
    command = [sys.executable, "-c", "import sys; print(sys.path[-1], sys.path[1:3])"]

    def run() -> subprocess.CompletedProcess[str]:
        env = {"PYTHONPATH": f"{SITE_DIRECTORY}:{tmp_path}", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    assert run().stdout == f"theirs /theirs {[str(SITE_DIRECTORY), str(tmp_path)]}\n"
    (tmp_path / "sitecustomize.py").write_text("import no_such_module\n")
    assert "No module named 'no_such_module'" in run().stderr
    (tmp_path / "sitecustomize.py").unlink()
    assert run().stderr == ""
