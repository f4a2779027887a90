"""`make demo`: runs the example DAG on this machine, prints its progress, and ends with a summary of what it did.

Airflow's home, the local endpoint's state and all caches live under ``.local`` in the checkout, so that a second run
finds the pipeline deployed and makes no new version of it. The whole log goes to ``.local/demo.log``. Exits non-zero
when anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
BIN = Path(sys.executable).parent
LOG = LOCAL / "demo.log"
DAG_ID = "train_diabetes"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_PROGRESS = re.compile(
    r"(?P<endpoint>local endpoint http\S+(?=,))"
    r"|starting task_id=(?P<task>\w+)"
    r"|\[error +\] (?P<error>.*?)(?: \[\w[\w.]*\]|$)"
    r"|\] +(?P<message>(?:Compiled |Pipeline '|Alias '|Step '|Execution arn:).*?) \[[\w.]+\]"
)
"""The lines of the log that are progress: the endpoint, each task's start, and what our operators say of theirs."""


def main() -> int:
    """Prepare Airflow's database, run the DAG beside a local endpoint, tell what happened."""
    arguments = parse_arguments()
    os.environ.update(airflow_environment())
    os.environ.setdefault("SM_PIPELINES_CACHE_DIR", str(LOCAL / "cache"))
    migrate_database()
    conf: dict[str, Any] = {"sdk": arguments.sdk}
    if arguments.rmse_threshold is not None:
        conf["RmseThreshold"] = arguments.rmse_threshold
    print(f"Running the DAG {DAG_ID} with {json.dumps(conf)}. The whole log: {LOG.relative_to(ROOT)}", flush=True)
    if not any((Path(os.environ["SM_PIPELINES_CACHE_DIR"]) / "environments").glob("*")):
        print("The first time, this makes environments for the SDK and for the jobs: a few minutes.", flush=True)
    command = [BIN / "sm-pipelines", "local", "exec", "--state-dir", LOCAL / "sagemaker", "--"]
    command += [BIN / "airflow", "dags", "test", DAG_ID, "--conf", json.dumps(conf)]
    exit_code = run_logged([str(part) for part in command])
    succeeded = print_summary()
    if exit_code or not succeeded:
        print(f"It did not succeed. The whole log: {LOG}", file=sys.stderr)
    return exit_code or (0 if succeeded else 1)


def run_logged(command: list[str]) -> int:
    """Run a command with its output in the log file, print its progress, and give its exit code."""
    began = time.monotonic()
    said = ""
    with (
        LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as run,
    ):
        for line in run.stdout or ():
            log.write(line)
            log.flush()
            words = progress_words(line)
            if words and words != said:
                said = words
                print(f"{time.monotonic() - began:5.0f} s  {words}", flush=True)
    return run.returncode


def progress_words(line: str) -> str | None:
    """What a line of the log says of the progress; None for a line that says nothing of it."""
    found = _PROGRESS.search(_COLOURS.sub("", line.rstrip()))
    if found is None:
        return None
    if task := found["task"]:
        return f"Task {task} starts"
    if error := found["error"]:
        return f"  error: {error.strip()}"
    words = found["endpoint"] or f"  {found['message']}"
    return words.strip("\n").partition("; uploaded ")[0].rstrip()


def parse_arguments() -> argparse.Namespace:
    """What ``make demo`` passes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdk", choices=("v2", "v3"), default="v2", help="the SageMaker SDK of the pipeline's script")
    parser.add_argument("--rmse-threshold", type=float, help="the RMSE the model must reach to be registered")
    return parser.parse_args()


def airflow_environment() -> dict[str, str]:
    """An Airflow of this checkout's own, whatever the user has configured elsewhere."""
    return {
        "AIRFLOW_HOME": str(LOCAL / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{LOCAL / 'airflow' / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def migrate_database() -> None:
    """Make or upgrade Airflow's database, once for each version of Airflow."""
    stamp = LOCAL / "airflow" / f".migrated-{version('apache-airflow-core')}"
    if stamp.exists():
        return
    print("Preparing Airflow's database in .local/airflow ...", flush=True)
    command = [str(BIN / "airflow"), "db", "migrate"]
    migrated = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if migrated.returncode:
        print(migrated.stdout, file=sys.stderr)
        raise SystemExit("Airflow could not prepare its database; its output is above. `make clean` starts afresh.")
    stamp.touch()


def print_summary() -> bool:
    """Tell what the newest DAG run did, from what Airflow's database holds of it; whether all of it succeeded."""
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.scalars(select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.id.desc()).limit(1)).first()
        if run is None:
            print(f"The DAG did not run; the reason is in {LOG}.", file=sys.stderr)
            return False
        states = {ti.task_id: str(ti.state) for ti in run.get_task_instances(session=session)}
        entries = session.scalars(
            select(XComModel).where(XComModel.dag_id == DAG_ID, XComModel.run_id == run.run_id)
        ).all()
        xcoms: dict[str, dict[str, Any]] = {}
        for entry in entries:
            xcoms.setdefault(entry.task_id, {})[entry.key] = XComModel.deserialize_value(entry)
        succeeded = str(run.state) == "success"
    for line in summary_lines(states, xcoms.get("deploy", {}), xcoms.get("train", {}), xcoms.get("decide", {})):
        print(line)
    return succeeded


def summary_lines(
    states: dict[str, str], deploy: dict[str, Any], train: dict[str, Any], decide: dict[str, Any]
) -> list[str]:
    """The summary: the pipeline and its version, the execution and its steps, the outputs, the tasks."""
    made = {
        "created": "created, its first version",
        "updated": "changed, so a new version was made",
        "unchanged": "unchanged, so no new version was made",
    }
    lines = ["", f"{' ' + DAG_ID + ' ':=^100}"]
    if deploy:
        lines += [
            f"Pipeline   {deploy['pipeline_name']}",
            f"Version    {deploy['pipeline_version_id']} ({made[deploy['action']]})",
        ]
    if "pipeline_execution_arn" in train:
        lines += [f"Execution  {train['pipeline_execution_arn']}", f"Status     {train.get('status', 'unknown')}"]
    if steps := train.get("steps"):
        width = max(len(step["name"]) for step in steps)
        lines.append("Steps")
        for step in steps:
            seconds = f"{step['seconds'] or 0:6.1f} s"
            lines.append(f"  {step['name']:<{width}}  {step['type'] or '':<13}  {step['status']:<9}  {seconds}")
            if reason := step.get("failure_reason"):
                lines.append(f"  {'':<{width}}  {reason}")
    results = train.get("return_value") or {}
    if outputs := {key: results[key] for key in ("rmse", "model", "model_package") if key in results}:
        lines.append("Outputs in XCom")
        lines += [f"  {key:<13}  {value}" for key, value in outputs.items()]
    if train.get("failure_reason"):
        lines.append(f"Reason     {train['failure_reason']}")
    if "return_value" in decide:
        lines.append(f"Decision   {decide['return_value']}")
    lines.append("Tasks      " + ", ".join(f"{task}: {state}" for task, state in states.items()))
    lines.append("=" * 100)
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
