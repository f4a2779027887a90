"""``local replay``: a step of an execution elsewhere runs again here, and nothing is changed there."""

from __future__ import annotations

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from airflow_sm_pipelines.server import serve
from tests.cli.command_runs import run

if TYPE_CHECKING:
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


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Recorder, str]]:
    """An account of its own, and an execution in it whose step has failed."""
    (tmp_path / "images.toml").write_text(f'[[image]]\nmatch = "plain"\ninterpreter = {json.dumps(sys.executable)}\n')
    monkeypatch.setenv("SM_PIPELINES_IMAGES", str(tmp_path / "images.toml"))
    with serve(tmp_path / "aws", region="eu-west-1") as server:
        s3, sagemaker = server.make_client("s3"), server.make_client("sagemaker")
        s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="elsewhere", Key="code/run.py", Body=SCRIPT)
        s3.put_object(Bucket="elsewhere", Key="data/rows.csv", Body=b"1 2 3")
        definition = json.dumps({"Version": "2020-12-01", "Steps": [step("Prepare")]})
        sagemaker.create_pipeline(PipelineName="price", PipelineDefinition=definition, RoleArn=ROLE)
        arn = sagemaker.start_pipeline_execution(PipelineName="price")["PipelineExecutionArn"]
        while sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Executing":
            threading.Event().wait(0.1)
        recorder = Recorder(server.endpoint_url)
        threading.Thread(target=recorder.serve_forever, daemon=True).start()
        yield recorder, arn
        recorder.shutdown()
        recorder.server_close()


def test_a_step_runs_again_here_and_its_account_is_only_read(aws: tuple[Recorder, str], tmp_path: Path) -> None:
    recorder, arn = aws
    (tmp_path / "config").write_text(
        f"[profile prod]\nendpoint_url = http://127.0.0.1:{recorder.server_port}\nregion = eu-west-1\n"
        "aws_access_key_id = local\naws_secret_access_key = local\n"
    )
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    replay = ["local", "replay", "--profile", "prod", "--state-dir", str(tmp_path / "here")]
    ended = run(*replay, arn, "Prepare", env=env)
    assert ended.returncode == 1, ended.stderr
    assert "rows ['1', '2', '3']" in ended.stdout
    assert "Copied 2 objects" in ended.stderr
    assert "On AWS it was Failed: ClientError: AlgorithmError: rows ['1', '2', '3']" in ended.stderr
    assert sorted(set(recorder.asked)) == [
        "DescribePipelineExecution",
        "DescribeProcessingJob",
        "GET",
        "HEAD",
        "ListPipelineExecutionSteps",
    ]
    entered = run("local", "shell", "--state-dir", str(tmp_path / "here"), "price", "Prepare", "--", "rerun")
    assert (entered.returncode, entered.stdout) == (4, "rows ['1', '2', '3']\n")
    refused = run(*replay, arn, "Prepair", env=env)
    assert "has no step 'Prepair'. Did you mean 'Prepare'?" in refused.stderr
