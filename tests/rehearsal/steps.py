"""Steps of which nothing is there."""

from __future__ import annotations

from typing import Any

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
RESOURCES = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
CODE = "s3://nowhere/code/prepare.py"


def processing(name: str, *, inputs: dict[str, Any], script: str = CODE, **rest: Any) -> dict[str, Any]:
    """A processing step with a script and one output, in an image that nobody has."""
    local = f"/opt/ml/processing/input/code/{script.rpartition('/')[2]}"
    code = {"S3Uri": script, "LocalPath": "/opt/ml/processing/input/code"}
    sources = {**{key: {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{key}"} for key, uri in inputs.items()}}
    target = {"S3Uri": f"s3://results/{name}", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    kind = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    arguments = {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": f"{REGISTRY}/ours:1", "ContainerEntrypoint": ["python3", local]},
        "ProcessingResources": {"ClusterConfig": RESOURCES},
        "ProcessingInputs": [
            {"InputName": key, "S3Input": {**source, **kind}} for key, source in {**sources, "code": code}.items()
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
    }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **rest}
