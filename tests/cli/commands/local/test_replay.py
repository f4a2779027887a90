"""``local replay``: a step of an execution elsewhere runs again here, and nothing is changed there."""

from __future__ import annotations

import copy
import http.client
import json
import re
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_sm_pipelines.server import serve
from tests.cli.command_runs import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

ROLE = "arn:aws:iam::123456789012:role/SageMaker"
SCRIPT = (
    b"import sys\nrows = open('/opt/ml/processing/data/rows.csv').read().split()\nprint('rows', rows)\nsys.exit(4)\n"
)


def step(name: str) -> dict[str, object]:
    inputs = {"code": "s3://elsewhere/code/run.py", "data": "s3://elsewhere/data/"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "AppSpecification": {
                "ImageUri": "plain:1",
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/run.py"],
            },
            "RoleArn": ROLE,
            "ProcessingInputs": [
                {
                    "InputName": name,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{name}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for name, uri in inputs.items()
            ],
        },
    }


OWN = """
import json, sys
print("depth", json.load(open("/opt/ml/input/config/hyperparameters.json"))["depth"])
sys.exit(5)
"""
HALVES = (
    b"import glob, json, os, sys\n"
    b"host = json.load(open('/opt/ml/config/resourceconfig.json'))['current_host']\n"
    b"names = [os.path.basename(one) for one in glob.glob('/opt/ml/processing/data/*')]\n"
    b"print(host, 'has', len(names))\nsys.exit(0 if host == 'algo-1' else 7)\n"
)
INFERENCE = """
def model_fn(folder): return 2
def predict_fn(rows, model): return [model / float(row) for row in rows.split()]
def input_fn(text, kind): return text
def output_fn(found, kind): return str(found), kind
"""


def on_two_instances() -> dict[str, Any]:
    """Each instance gets a part of the data; the second one fails."""
    two = copy.deepcopy(step("Halves"))
    arguments: Any = two["Arguments"]
    arguments["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    code, data = (one["S3Input"] for one in arguments["ProcessingInputs"])
    code["S3Uri"], data["S3DataDistributionType"] = "s3://elsewhere/code/halves.py", "ShardedByS3Key"
    arguments["AppSpecification"]["ContainerEntrypoint"][-1] = "/opt/ml/processing/code/halves.py"
    return two


def transform() -> list[dict[str, Any]]:
    container = {"Image": "plain:1", "ModelDataUrl": "s3://elsewhere/model.tar.gz"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://elsewhere/data/"}}
    arguments = {
        "ModelName": {"Get": "Steps.Model.ModelName"},
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": "s3://elsewhere/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
    }
    return [
        {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}},
        {"Name": "Score", "Type": "Transform", "Arguments": arguments},
    ]


def tuning() -> dict[str, Any]:
    ranges = {"IntegerParameterRanges": [{"Name": "depth", "MinValue": "42", "MaxValue": "42"}]}
    return {
        "Name": "Tune",
        "Type": "Tuning",
        "Arguments": {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "m"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
                "ParameterRanges": ranges,
            },
            "TrainingJobDefinition": {
                "AlgorithmSpecification": {
                    "TrainingImage": "own:1",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "m", "Regex": "m=(.*)"}],
                },
                "OutputDataConfig": {"S3OutputPath": "s3://elsewhere/models"},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
                "StoppingCondition": {"MaxRuntimeInSeconds": 60},
                "RoleArn": ROLE,
            },
        },
    }


class Recorder(ThreadingHTTPServer):
    """Passes requests on to an endpoint, and keeps what each asked for."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.target = urlsplit(target)
        self.asked: list[str] = []


class _Pass(BaseHTTPRequestHandler):
    server: Recorder

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.headers.get("X-Amz-Target") or f"S3.{self.command}").rpartition(".")[2])
        connection = http.client.HTTPConnection(self.server.target.hostname or "", self.server.target.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _pass  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Account:
    """An account of its own, read through a recorder."""

    def __init__(self, recorder: Recorder, folder: Path, arns: dict[str, str]) -> None:
        self.recorder, self.folder, self.arns = recorder, folder, arns
        (folder / "config").write_text(
            f"[profile prod]\nendpoint_url = http://127.0.0.1:{recorder.server_port}\nregion = eu-west-1\n"
            "aws_access_key_id = local\naws_secret_access_key = local\n"
        )

    def replay(self, pipeline: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.recorder.asked.clear()
        command = ["local", "replay", "--profile", "prod", "--state-dir", str(self.folder / "here")]
        env = {"AWS_CONFIG_FILE": str(self.folder / "config")}
        return run(*command, self.arns[pipeline], *arguments, env=env)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with executions whose steps have failed, a pipeline for each."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "fit.py").write_text(OWN)
    (folder / "inference.py").write_text(INFERENCE)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "inference.py", "code/inference.py")
    (folder / "images.toml").write_text(
        f'[[image]]\nmatch = "plain"\ninterpreter = {json.dumps(sys.executable)}\n'
        f'[[image]]\nmatch = "own"\ninterpreter = {json.dumps(sys.executable)}\nworkdir = "/opt/program"\n'
        'files = { "/opt/program/fit.py" = "fit.py" }\nentrypoint = ["python3", "fit.py"]\n'
    )
    pipelines = {"price": [step("Prepare")], "pair": [on_two_instances()], "score": transform(), "tune": [tuning()]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_IMAGES", str(folder / "images.toml"))
        with serve(folder / "aws", region="eu-west-1") as server:
            s3, sagemaker = server.make_client("s3"), server.make_client("sagemaker")
            s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            for key, body in {"code/run.py": SCRIPT, "code/halves.py": HALVES, "data/rows.csv": b"1 2 3"}.items():
                s3.put_object(Bucket="elsewhere", Key=key, Body=body)
            s3.put_object(Bucket="elsewhere", Key="data/zeros.csv", Body=b"0")
            s3.upload_file(str(folder / "model.tar.gz"), "elsewhere", "model.tar.gz")
            arns = {}
            for name, steps in pipelines.items():
                definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
                sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)
                arns[name] = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
            for arn in arns.values():
                wait_for_end(sagemaker, arn)
            recorder = Recorder(server.endpoint_url)
            threading.Thread(target=recorder.serve_forever, daemon=True).start()
            yield Account(recorder, folder, arns)
            recorder.shutdown()
            recorder.server_close()


def wait_for_end(sagemaker: Any, arn: str) -> None:
    while sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Executing":
        threading.Event().wait(0.1)


def test_a_step_runs_again_here_and_its_account_is_only_read(aws: Account) -> None:
    ended = aws.replay("price", "Prepare")
    assert ended.returncode == 1, ended.stderr
    assert "rows ['1', '2', '3']" in ended.stdout
    assert "Copied 3 objects" in ended.stderr
    assert "On AWS it was Failed: ClientError: AlgorithmError: rows ['1', '2', '3']" in ended.stderr
    assert sorted(set(aws.recorder.asked)) == [
        "DescribePipelineExecution",
        "DescribeProcessingJob",
        "GET",
        "HEAD",
        "ListPipelineExecutionSteps",
    ]
    entered = run("local", "shell", "--state-dir", str(aws.folder / "here"), "price", "Prepare", "--", "rerun")
    assert (entered.returncode, entered.stdout) == (4, "rows ['1', '2', '3']\n")
    assert "has no step 'Prepair'. Did you mean 'Prepare'?" in aws.replay("price", "Prepair").stderr


def test_a_job_of_two_instances_runs_again_on_two(aws: Account) -> None:
    ended = aws.replay("pair", "Halves")
    assert ended.returncode == 1, ended.stderr
    assert "on algo-2 ended with exit code 7" in ended.stderr
    entered = run("local", "shell", "--state-dir", str(aws.folder / "here"), "pair", "Halves", "--", "rerun")
    assert (entered.returncode, entered.stdout) == (7, "algo-2 has 1\n")


def test_a_transform_job_runs_again_with_its_model(aws: Account) -> None:
    ended = aws.replay("score", "Score")
    assert ended.returncode == 1, ended.stderr
    assert "Copied 3 objects" in ended.stderr
    assert "division by zero" in ended.stdout
    assert {"DescribeTransformJob", "DescribeModel"} <= set(aws.recorder.asked)
    entered = run("local", "shell", "--state-dir", str(aws.folder / "here"), "score", "Score", "--", "rerun")
    assert "division by zero" in entered.stderr, entered


def test_of_a_tuning_job_a_training_job_that_failed_runs_again(aws: Account) -> None:
    ended = aws.replay("tune", "Tune")
    assert ended.returncode == 1, ended.stderr
    assert "depth 42" in ended.stdout
    assert re.search(r"Of arn:\S+hyper-parameter-tuning-job/\S+: arn:\S+training-job/(\S+-002-\S+)", ended.stderr)
    assert "On AWS it was Failed: AlgorithmError" in ended.stderr
    asked = {"DescribeTrainingJob", "ListTrainingJobsForHyperParameterTuningJob"}
    assert {name for name in aws.recorder.asked if "Training" in name} == asked
    missing = aws.replay("tune", "Tune", "--trial", "other")
    assert (missing.returncode, "has no training job 'other'" in missing.stderr) == (2, True)
