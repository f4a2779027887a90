"""The four ways of `docs/parallel.md` over items that take time; by itself, not in `make bench`.

Usage: ``python -m benchmarks.parallel``. Without Airflow, so that what is compared is who divides the work. Each item
takes two seconds of processor time.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3

from airflow_sm_pipelines.server import serve

ITEMS = [1, 2, 3, 4]
AT_ONCE = 2
ROUNDS = 2
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
# As a job's entry point it may have 256 characters.
WORK = """import json,sys,time
I=json.loads(sys.argv[1])
I=I if isinstance(I,list)else[I]
c=json.load(open('/opt/ml/config/resourceconfig.json'))
h=c['hosts']
for i in I[h.index(c['current_host'])::len(h)]:
 e=time.process_time()+2
 while time.process_time()<e:0"""
START = """
import boto3, json

def start(event, context):
    client = boto3.client("sagemaker")
    made = []
    for item in json.loads(event["items"]):
        given = [{"Name": "Items", "Value": json.dumps([item])}]
        answer = client.start_pipeline_execution(PipelineName="one", PipelineParameters=given)
        made.append(answer["PipelineExecutionArn"])
    return {"executions": json.dumps(made)}
"""
PARAMETER = {"Get": "Parameters.Items"}


class Ways:
    """The pipelines of each way, on an endpoint.

    :param connect: makes a client.
    """

    def __init__(self, connect: Any) -> None:
        self._client = connect("sagemaker")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("handler.py", START)
        function = connect("lambda").create_function(
            FunctionName="start",
            Runtime="python3.12",
            Handler="handler.start",
            Role="arn:aws:iam::123456789012:role/LambdaExecution",
            Code={"ZipFile": packed.getvalue()},
            Timeout=60,
        )
        each = {"IterableItems": PARAMETER, "MaxConcurrency": AT_ONCE}
        each["ForEachBody"] = [_step({"Get": "ForEach.CurrentItem"})]
        self._create("one", _step(PARAMETER))
        self._create("hosts", _step(PARAMETER, hosts=AT_ONCE))
        self._create("each", {"Name": "Each", "Type": "ForEach", "Arguments": each})
        self._create(
            "parent",
            {
                "Name": "Start",
                "Type": "Lambda",
                "FunctionArn": function["FunctionArn"],
                "Arguments": {"items": PARAMETER},
                "OutputParameters": [{"OutputName": "executions", "OutputType": "String"}],
            },
        )

    def one_instance(self) -> None:
        """One job, one item after the other."""
        self.wait(self.start("one", ITEMS))

    def by_hosts(self) -> None:
        """One job on several instances."""
        self.wait(self.start("hosts", ITEMS))

    def by_children(self) -> None:
        """A Lambda function starts an execution for each item, all at once."""
        arn = self.start("parent", ITEMS)
        self.wait(arn)
        (step,) = self._client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        (output,) = step["Metadata"]["Lambda"]["OutputParameters"]
        executions = json.loads(output["Value"])
        # The service gives a text with its quotes.
        for child in json.loads(executions) if isinstance(executions, str) else executions:
            self.wait(child)

    def executions_at_a_time(self) -> None:
        """An execution for each item, so many at once, as mapped run operators with a limit."""
        left, live = list(ITEMS), set[str]()
        while left or live:
            while left and len(live) < AT_ONCE:
                live.add(self.start("one", [left.pop()]))
            live = {arn for arn in live if self.is_under_way(arn)}
            time.sleep(0.1)

    def for_each(self) -> None:
        """One execution with a ForEach step."""
        self.wait(self.start("each", ITEMS))

    def start(self, name: str, items: list[int]) -> str:
        """Start an execution; give its ARN."""
        given = [{"Name": "Items", "Value": json.dumps(items)}]
        arn: str = self._client.start_pipeline_execution(PipelineName=name, PipelineParameters=given)[
            "PipelineExecutionArn"
        ]
        return arn

    def wait(self, arn: str) -> None:
        """Return when the execution has ended."""
        while self.is_under_way(arn):
            time.sleep(0.1)

    def is_under_way(self, arn: str) -> bool:
        """Whether the execution runs; one that failed is an error."""
        status = self._client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status not in ("Executing", "Succeeded"):
            raise RuntimeError(f"{arn} {status}")
        return bool(status == "Executing")

    def _create(self, name: str, step: dict[str, Any]) -> None:
        text = json.dumps(
            {
                "Version": "2020-12-01",
                "Metadata": {},
                "Parameters": [{"Name": "Items", "Type": "String", "DefaultValue": "[]"}],
                "Steps": [step],
            }
        )
        self._client.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)


def _step(items: Any, *, hosts: int = 1) -> dict[str, Any]:
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1}
    application = {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", WORK], "ContainerArguments": [items]}
    return {
        "Name": "Work",
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": application,
            "RoleArn": ROLE,
        },
    }


def main() -> None:
    """Measure each way in turn, and print seconds with the machine's load before each."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "state") as server:

        def connect(service: str) -> Any:
            keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
            return boto3.client(service, endpoint_url=server.endpoint_url, region_name=server.region, **keys)

        ways = Ways(connect)
        ways.wait(ways.start("one", []))  # makes the image's environment
        for _ in range(ROUNDS):
            for way in (
                ways.one_instance,
                ways.by_hosts,
                ways.by_children,
                ways.executions_at_a_time,
                ways.for_each,
            ):
                load, begun = os.getloadavg()[0], time.monotonic()
                way()
                print(f"{way.__name__:22} {time.monotonic() - begun:6.1f} s   load {load:.1f}", flush=True)


if __name__ == "__main__":
    main()
