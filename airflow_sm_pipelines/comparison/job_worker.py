"""Runs a DAG file in Airflow, once for each script, with its jobs as they are. Started as a module, with two files.

The pipelines run on the local endpoint, and what their processing jobs did is read off it afterwards. The process
belongs to one comparison, so it may change what it has imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.dag_worker import load_dag, make_quick
from airflow_sm_pipelines.definition.s3_uri import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUCKET = "compared"
_FAIL = ["python3", "-c", "import sys; sys.exit('It is made to fail, to compare what follows.')"]


class JobReader:
    """Reads what jobs did off the endpoint.

    :ivar seen: the executions that were read.
    """

    def __init__(self) -> None:
        import boto3

        self._sagemaker: Any = boto3.client("sagemaker")
        self._s3: Any = boto3.client("s3")
        account = boto3.client("sts").get_caller_identity()["Account"]
        for bucket in (_BUCKET, f"sagemaker-us-east-1-{account}"):  # large definitions go to the default one
            self._s3.create_bucket(Bucket=bucket)
        self._seen: set[str] = set()

    def read_new(self) -> list[dict[str, Any]]:
        """What the jobs of executions did that were not there before."""
        found: list[dict[str, Any]] = []
        for pipeline in self._list("list_pipelines", "PipelineSummaries"):
            name = pipeline["PipelineName"]
            for one in self._list("list_pipeline_executions", "PipelineExecutionSummaries", PipelineName=name):
                arn = one["PipelineExecutionArn"]
                if arn not in self._seen:
                    self._seen.add(arn)
                    found += self._read_steps(arn)
        return sorted(found, key=lambda event: str(event["begun"]))

    def _list(self, operation: str, member: str, **given: str) -> Iterator[dict[str, Any]]:
        for page in self._sagemaker.get_paginator(operation).paginate(**given):
            yield from page[member]

    def _read_steps(self, arn: str) -> Iterator[dict[str, Any]]:
        steps = self._list("list_pipeline_execution_steps", "PipelineExecutionSteps", PipelineExecutionArn=arn)
        for step in steps:
            job = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn")
            if job is None or step["StepStatus"] == "Stopped":
                continue
            described = self._sagemaker.describe_processing_job(ProcessingJobName=job.rpartition("/")[2])
            is_failure = step["StepStatus"] != "Succeeded"
            outputs = {} if is_failure else self._read_outputs(described)
            yield {
                "task": _find_node(described) or step["StepName"],
                "values": outputs.get("values", {}),
                "artifacts": {
                    name: self._read_artifact(one[0]) for name, one in outputs.get("artifacts", {}).items() if one
                },
                "is_failure": is_failure,
                "begun": step["StartTime"].timestamp(),
                "ended": step["EndTime"].timestamp(),
            }

    def _read_outputs(self, described: dict[str, Any]) -> dict[str, Any]:
        outputs = described.get("ProcessingOutputConfig", {}).get("Outputs", [])
        if not outputs:
            return {}
        place = parse_s3_uri(outputs[0]["S3Output"]["S3Uri"]).child("outputs.json")
        body = self._s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        return dict(json.loads(body))

    def _read_artifact(self, artifact: dict[str, Any]) -> dict[str, Any]:
        files = {}
        if artifact["uri"].startswith("s3://"):
            place = parse_s3_uri(artifact["uri"])
            key = place.key
            listed = self._s3.list_objects_v2(Bucket=place.bucket, Prefix=key).get("Contents", [])
            for one in listed:
                rest = one["Key"][len(key) :].lstrip("/")
                if one["Key"] == key or one["Key"].startswith(f"{key}/"):
                    body = self._s3.get_object(Bucket=place.bucket, Key=one["Key"])["Body"].read()
                    files[rest or "."] = hashlib.sha256(body).hexdigest()
        return {"metadata": artifact["metadata"], "files": files}


def _find_node(described: dict[str, Any]) -> str:
    """The name of the migrated task, which the folder of its component begins with."""
    for one in described.get("ProcessingInputs", []):
        if one["InputName"] == "component":
            return str(one["S3Input"]["S3Uri"]).rpartition("/")[2].rpartition("-")[0]
    return ""


def _change_components(file: Path, failing: list[str], originals: dict[Path, str]) -> None:
    for path in file.parent.glob("*.components.json"):
        described = json.loads(originals.setdefault(path, path.read_text(encoding="utf-8")))
        for one in described.values():
            if one.get("task") in failing:
                one |= {"command": _FAIL, "args": [], "retries": {**one["retries"], "count": 0}}
        path.write_text(json.dumps(described), encoding="utf-8")


def _run_all(file: Path, scripts: list[dict[str, Any]], reader: JobReader) -> dict[str, Any]:
    from airflow import settings

    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = settings.DAGS_FOLDER = str(file.parent)
    originals: dict[Path, str] = {}
    runs = []
    try:
        for number, script in enumerate(scripts):
            dag = load_dag(file)  # anew: a run's params stay in the DAG
            make_quick(dag)
            Path(script["seed_file"]).write_text(str(script["seed"]), encoding="utf-8")
            _change_components(file, script["failing"], originals)
            root = {"pipeline_root": f"s3://{_BUCKET}/{dag.dag_id}-{number}"} if script["has_root"] else {}
            ended = dag.test(run_conf={**script["input"], **root})
            states = {f"{one.task_id} {one.map_index}": str(one.state) for one in ended.get_task_instances()}
            runs.append({"events": reader.read_new(), "end": str(ended.state), "states": states})
    except Exception as error:  # noqa: BLE001 - a DAG file may fail in any way, and the other side says so
        return {"problem": f"{type(error).__name__}: {error}"}
    return {"runs": runs}


def main() -> None:
    """Read the request, run each DAG for each of its scripts, and write what the runs did."""
    from airflow_sm_pipelines.server import serve

    request, answer = (Path(argument) for argument in sys.argv[1:])
    with serve(request.parent / "state", region="us-east-1") as server:
        os.environ.update(server.environment())
        reader = JobReader()
        asked = json.loads(request.read_text(encoding="utf-8"))
        found = [_run_all(Path(one["file"]), one["scripts"], reader) for one in asked]
    answer.write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
