"""``init``: a new project runs as it is written, and files that are there stay as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.cli.commands.init import CI_FILES, LAYOUTS, REQUIREMENTS, TEMPLATE

ROOT = Path(__file__).parents[3]
CLI = [sys.executable, "-m", "airflow_sm_pipelines.cli"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_files_are_those_of_the_page() -> None:
    shown = dict(
        re.findall(
            r"^cat > (\S+) <<'END'\n(.*?\n)END\n", (ROOT / "docs" / "first-dag.md").read_text(), re.DOTALL | re.M
        )
    )
    held = {
        "dags/train_model.py": "dag.py.txt",
        "dags/pipelines/train.py": "pipelines/train_v2.py.txt",
        "dags/pipelines/steps/train.py": "pipelines/steps/train.py.txt",
    }
    assert shown == {path: (TEMPLATE / name).read_text() for path, name in held.items()}


def test_the_dag_of_the_readme_is_the_one_that_its_command_writes(folder: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (name,) = re.findall(r"^sm-pipelines init (\w+)$", text, re.MULTILINE)
    assert main(["init", name]) == 0
    assert (folder / "dags" / f"{name}.py").read_text() in re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_a_project_has_the_name_it_was_given_everywhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "churn_model", "--sdk", "v3"]) == 0
    assert "sm-pipelines dags test churn_model " in capsys.readouterr().out
    texts = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert set(texts) == {
        ".gitignore",
        "dags/.airflowignore",
        "dags/churn_model.py",
        "dags/pipelines/churn_model.py",
        "dags/pipelines/steps/churn_model.py",
        "requirements.txt",
        "tests/test_churn_model.py",
    }
    assert not [path for path, text in texts.items() if re.search(r"train[_-]model|\btrain\.py", text)]
    assert "pipelines/churn_model.py:get_pipeline" in texts["dags/churn_model.py"]
    assert '"churn-model"' in texts["dags/pipelines/churn_model.py"]


def test_what_is_there_is_never_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = {"requirements.txt": "pandas\n", "dags/.airflowignore": "pipelines/\n", "dags/other.py": "x = 1\n"}
    for path, text in there.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    assert main(["init"]) == 0
    assert {path: (folder / path).read_text() for path in there} == there
    said = capsys.readouterr().out
    assert "requirements.txt is there already. Add to it:\n  airflow-sm-pipelines[compiler]\n" in said
    assert ".airflowignore is there" not in said
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["init"]) == 2
    assert "Nothing was written, as dags/train_model.py, " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["my-model", "1st", "a__b", "../x", ""])
def test_a_name_that_is_no_dag_id_is_refused(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", name]) == 2
    assert "expected letters, digits and single underscores" in capsys.readouterr().err
    assert not list(folder.iterdir())


SCHEMAS = {"github": ["vendor.github-workflows"], "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]}


def commands_of(path: Path) -> list[str]:
    """The ``sm-pipelines`` commands of a workflow, in their order."""
    return re.findall(r"^ *- (?:run: )?(sm-pipelines .*)$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("ci", list(CI_FILES))
def test_a_workflow_keeps_to_its_service_s_schema(folder: Path, ci: str) -> None:
    assert main(["init", "churn_model", "--ci", ci]) == 0
    path = folder / CI_FILES[ci].format(name="churn_model")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[ci], str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert [command.split()[1] for command in commands_of(path)] == ["plan", "deploy", "promote"]
    assert "train" not in path.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_the_projects_own_github_files_keep_to_their_schemas(path: Path) -> None:
    if path.parent.name == "ISSUE_TEMPLATE":
        assert isinstance(yaml.safe_load(path.read_text()), dict)  # GitHub publishes no schema of these
        return
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS["github"], str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_commands_of_a_workflow_plan_deploy_and_promote(folder: Path) -> None:
    assert main(["init", "--ci", "github"]) == 0
    plan, deploy, promote = commands_of(folder / ".github" / "workflows" / "train_model.yml")
    first, second = plan.replace("plan.md", "first.md"), plan.replace("plan.md", "second.md")
    script = "\n".join(["set -e", first, deploy, second, "sm-pipelines run train-model", promote])
    (folder / "all.sh").write_text(script.replace("sm-pipelines ", f"{sys.executable} -m airflow_sm_pipelines.cli "))
    command = [*CLI, "local", "exec", "--ephemeral", "--", "sh", "all.sh"]
    env = {**os.environ, "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/SageMakerExecution"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (folder / "first.md").read_text().startswith("<!-- sm-pipelines plan -->")
    assert "train-model" in (folder / "first.md").read_text()
    assert (folder / "first.md").read_text() != (folder / "second.md").read_text()
    assert "production" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_test_of_a_project_for_sdk_v3_passes(folder: Path) -> None:
    assert main(["init", "--sdk", "v3"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_project_for_mwaa_names_its_constraints(folder: Path) -> None:
    assert main(["init", "--layout", "mwaa"]) == 0
    first, second = (folder / "requirements.txt").read_text().splitlines()
    assert first in (ROOT / "docs" / "deployments.md").read_text()
    assert second == REQUIREMENTS[0]


def test_an_astro_project_is_added_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--layout", "astro"]) == 2
    assert "Run `astro dev init` first." in capsys.readouterr().err
    assert not list(folder.iterdir())
    (folder / "Dockerfile").write_text("FROM runtime\n")
    assert main(["init", "--layout", "astro"]) == 0
    (line,) = LAYOUTS["astro"]["Dockerfile"]
    assert f"Dockerfile is there already. Add to it:\n  {line}\n" in capsys.readouterr().out
    assert line in (ROOT / "docs" / "deployments.md").read_text()
