"""What a job of a real endpoint sees and is, and where the endpoint listens."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.contract.conftest import IMAGE, ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

PROGRAM = """
import json, os
facts = {
    "environment": dict(os.environ),
    "group": os.getpgid(0), "session": os.getsid(0),
    "home": os.path.expanduser("~"),
    "profiles": os.path.exists(os.path.expanduser("~/.aws")),
}
os.makedirs("/opt/ml/processing/out", exist_ok=True)
open("/opt/ml/processing/out/facts.json", "w").write(json.dumps(facts))
"""
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "AWS_SECRET_ACCESS_KEY": "real-secret",
    "AWS_SESSION_TOKEN": "real-token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/credentials",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/token",
    "DATABASE_PASSWORD": "real-password",
}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_it_listens_on_loopback_and_nowhere_else(server_with_image: RunningServer) -> None:
    port = f"{int(server_with_image.endpoint_url.rpartition(':')[2]):04X}"
    listening = [
        line.split()[1]
        for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port}"]


def test_a_job_sees_no_credentials_but_the_local_ones_and_is_a_group_of_its_own(
    server_with_image: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")
    s3, sagemaker = (session.client(name, endpoint_url=server_with_image.endpoint_url) for name in ("s3", "sagemaker"))
    s3.create_bucket(Bucket="safety")
    s3.put_object(Bucket="safety", Key="code/facts.py", Body=PROGRAM.encode())
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    folder = "/opt/ml/processing/input/code"
    sagemaker.create_processing_job(
        ProcessingJobName="facts",
        RoleArn=ROLE,
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{folder}/facts.py"]},
        ProcessingInputs=[
            {
                "InputName": "code",
                "S3Input": {
                    "S3Uri": "s3://safety/code",
                    "LocalPath": folder,
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": "s3://safety/out",
                        "LocalPath": "/opt/ml/processing/out",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )
    assert wait(sagemaker)["ProcessingJobStatus"] == "Completed", wait(sagemaker).get("FailureReason")
    facts = json.loads(s3.get_object(Bucket="safety", Key="out/facts.json")["Body"].read())
    text = json.dumps(facts)
    assert [value for value in SECRETS.values() if value in text] == []
    assert facts["environment"]["AWS_ENDPOINT_URL"] == server_with_image.endpoint_url
    assert (facts["group"], facts["session"]) != (os.getpgid(0), os.getsid(0))
    assert facts["group"] != os.getpgid(0)
    assert facts["home"] != os.path.expanduser("~")  # noqa: PTH111 - what the job itself asked for
    assert not facts["profiles"]


def wait(sagemaker: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found: dict[str, Any] = sagemaker.describe_processing_job(ProcessingJobName="facts")
        if found["ProcessingJobStatus"] != "InProgress":
            return found
        time.sleep(0.05)
    raise AssertionError("the job did not end")
