"""Deploys three commits of a repository through Airflow's own ``GitDagBundle``, and plans each in an ordinary clone.

A command, since the Git provider is not among the packages of `make setup`::

    uv venv /tmp/git
    uv pip install --python /tmp/git/bin/python 'apache-airflow==3.3.*' apache-airflow-providers-git \
        --editable '.[compiler,local]'
    python -m tests.deployment.git_bundle /tmp/git/bin/python

Each commit runs in the folder that the bundle gives a worker for that version. It exits with 0 if every plan said what
the deployment then did, and if only the commit that touches a step's code made a version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import airflow_environment, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLE = "arn:aws:iam::123456789012:role/Sage"
DAG_FILE = f"""
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerDeployPipelineOperator

with DAG("deploy", schedule=None):
    SageMakerDeployPipelineOperator(
        task_id="deploy", pipeline="pipelines/train.py:get_pipeline", role_arn="{ROLE}"
    )
"""
SCRIPT = '''# /// script
# dependencies = ["sagemaker>=2.257,<3"]
# ///
"""A pipeline with a step of its own code."""

from pathlib import Path

from sagemaker.processing import ScriptProcessor
from sagemaker.sklearn import SKLearn
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.steps import ProcessingStep, TrainingStep

STEPS = Path(__file__).parent / "steps"


def get_pipeline(sagemaker_session, role):
    one = {"role": role, "instance_type": "ml.m5.large", "instance_count": 1, "sagemaker_session": sagemaker_session}
    show = ScriptProcessor(image_uri="python:3.11", command=["python3"], **one)
    train = SKLearn(entry_point=str(STEPS / "train.py"), framework_version="1.2-1", **one)
    steps = [
        ProcessingStep("Show", step_args=show.run(code=str(STEPS / "show.py"))),
        TrainingStep("Train", estimator=train, inputs={"train": "s3://bucket/data"}),
    ]
    return Pipeline("bundled", steps=steps, sagemaker_session=sagemaker_session)
'''
COMMITS: tuple[Mapping[str, str], ...] = (
    {
        "deploy.py": DAG_FILE,
        "pipelines/train.py": SCRIPT,
        "pipelines/steps/show.py": "print(1)\n",
        "pipelines/steps/train.py": "print('training')\n",
    },
    {
        "README.md": "What no step uses.\n",
        "pipelines/train.py": SCRIPT.replace("\n\ndef get", "\n\n# A comment.\ndef get"),
        "deploy.py": DAG_FILE + "\n# Another one.\n",
    },
    {"pipelines/steps/show.py": "print(2)\n"},
)
EXPECTED = ("created", "unchanged", "updated")
PLANNED = {"create": "created", "none": "unchanged", "update": "updated"}

FIND_PATH = """
import sys
from airflow.providers.git.bundles.git import GitDagBundle
bundle = GitDagBundle(name="team", repo_url=sys.argv[1], tracking_ref="main", version=sys.argv[2])
bundle.initialize()
print(bundle.path)
"""


def main(python: str) -> int:
    """Make the repository, deploy and plan each commit, and print what both said."""
    said = []
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder, "state")) as server:
        work, bare = Path(folder, "work"), Path(folder, "team.git")
        git("init", "-q", "--bare", "-b", "main", str(bare), at=Path(folder))
        git("clone", "-q", str(bare), str(work), at=Path(folder))
        kept = {name: value for name, value in server.environment().items() if name.startswith(("AWS_", "AIRFLOW_"))}
        env = {**airflow_environment(Path(folder, "airflow")), **kept}
        env |= {
            "SM_PIPELINES_CACHE_DIR": str(default_cache_dir(os.environ)),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(Path(folder, "bundles")),
        }
        run([python, "-m", "airflow", "db", "migrate"], env)
        for number, files in enumerate(COMMITS):
            commit = push(work, files)
            clone = Path(folder, f"clone-{number}")
            git("clone", "-q", str(bare), str(clone), at=Path(folder))
            before = plan(clone, env)
            path = run([python, "-c", FIND_PATH, str(bare), commit], env).splitlines()[-1]
            assert commit in path, path
            told = run([python, "-m", "airflow", "dags", "test", "deploy"], {**env, "AIRFLOW__CORE__DAGS_FOLDER": path})
            done = next(word for word in ("created", "updated", "unchanged") if f"'bundled' {word}: version" in told)
            said.append((PLANNED[before], done, PLANNED[plan(clone, env)]))
            print(f"{commit[:8]} in {path}: planned {before!r}, deployed {done!r}", flush=True)
        versions = connect(server, "sagemaker").list_pipeline_versions(PipelineName="bundled")
    count = len(versions["PipelineVersionSummaries"])
    print(f"{count} versions")
    return int(count != 2 or said != [(word, word, "unchanged") for word in EXPECTED])


def plan(clone: Path, env: Mapping[str, str]) -> str:
    """Give what `sm-pipelines plan` says of a clone's pipeline."""
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "plan", "pipelines/train.py:get_pipeline", "--json"]
    return str(json.loads(run([*command, "--role-arn", ROLE], env, at=clone))["action"])


def push(work: Path, files: Mapping[str, str]) -> str:
    """Write files, commit and push them; give the commit."""
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git("add", ".", at=work)
    git("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "commit", "-q", "-m", "Change", at=work)
    git("push", "-q", "origin", "HEAD:main", at=work)
    return git("rev-parse", "HEAD", at=work).strip()


def git(*arguments: str, at: Path) -> str:
    """Run Git in a folder."""
    return subprocess.run(["git", *arguments], cwd=at, check=True, capture_output=True, text=True).stdout


def run(command: list[str], env: Mapping[str, str], *, at: Path | None = None) -> str:
    """Run a command to its end, and give what it printed.

    :raises RuntimeError: it failed.
    """
    done = subprocess.run(command, env=dict(env), cwd=at, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
