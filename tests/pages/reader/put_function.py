"""The function ``f`` in the account."""

import io
import zipfile
from pathlib import Path

import boto3

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.write(Path(__file__).with_name("handler.py"), "handler.py")
boto3.client("lambda").create_function(
    FunctionName="f",
    Runtime="python3.11",
    Handler="handler.handler",
    Role="arn:aws:iam::123456789012:role/f",
    Timeout=120,
    Code={"ZipFile": packed.getvalue()},
)
