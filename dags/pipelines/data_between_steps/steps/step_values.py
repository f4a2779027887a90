"""Passes lists, objects and other values from one step to the next as text.

AWS's guide sends ``str(value)`` and reads it with ``eval``, which runs any code in the text. Here it is JSON both ways.
A text that is too long for its place is written to S3, and its address is passed instead:

    dump_value([{"alpha": 1.0}])                           # '[{"alpha":1.0}]'
    dump_value(rows, s3_uri="s3://bucket/run-7/rows.json")  # the text, or the address if it has over 1024 characters
    load_value(text)                                        # the value, in either case

This file imports nothing of this package, and no library but boto3 (for S3 only), so you can put it beside a Lambda
function's or a step's code: ``python -m airflow_sm_pipelines.step_values > steps/step_values.py`` writes a copy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_OUTPUT_CHARACTERS = 1024
"""For an output of a Lambda or Callback step, and for a pipeline's parameter (API shape ``String1024``)."""

MAX_ARGUMENT_CHARACTERS = 256
"""For an argument of a processing job (API shape ``ContainerArgument``)."""

_S3 = "s3://"


def dump_value(
    value: Any, *, s3_uri: str | None = None, max_characters: int = MAX_OUTPUT_CHARACTERS, s3_client: Any = None
) -> str:
    """Turn a value into text: JSON, or the address of an S3 object with the JSON.

    :param value: a value that JSON can hold; the keys of objects are texts.
    :param s3_uri: where a longer text is written; give each execution a place of its own.
    :param max_characters: the longest text that fits; ``MAX_ARGUMENT_CHARACTERS`` for a job's argument.
    :param s3_client: a boto3 client; by default one made from the environment.
    :raises ValueError: JSON cannot hold the value, or its text is too long and there is no ``s3_uri``.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The value cannot be written as JSON: {error}.") from error
    _check_keys(value)
    if len(text) <= max_characters:
        return text
    if s3_uri is None:
        raise ValueError(
            f"The value's text has {len(text)} characters, and {max_characters} are allowed here. "
            "Give s3_uri=, an address in S3 for it."
        )
    bucket, key = _parse_uri(s3_uri)
    if len(s3_uri) > max_characters:
        raise ValueError(f"Even the address {s3_uri} has more than {max_characters} characters.")
    _s3(s3_client).put_object(Bucket=bucket, Key=key, Body=text.encode("utf-8"), ContentType="application/json")
    return s3_uri


def load_value(text: Any, *, s3_client: Any = None) -> Any:
    """Turn a text that :func:`dump_value` made into its value. A number or a boolean is returned unchanged.

    :param s3_client: a boto3 client; by default one made from the environment.
    :raises ValueError: the text is neither JSON nor the address of an S3 object with JSON.
    """
    if not isinstance(text, str):
        return text
    if text.startswith(_S3):
        bucket, key = _parse_uri(text)
        content = _s3(s3_client).get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
        return _parse(content, f"The object {text}")
    return _parse(text, f"The text {text[:80]!r}")


def _parse(content: str, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}. Was it made with str()? dump_value makes JSON.") from error


def _check_keys(value: Any) -> None:
    """Refuse keys that JSON would turn into texts."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"The key {key!r} would come back as a text: keys in JSON are texts.")
            _check_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item)


def _parse_uri(uri: str) -> tuple[str, str]:
    bucket, _, key = uri[len(_S3) :].partition("/")
    if not uri.startswith(_S3) or not bucket or not key:
        raise ValueError(f"{uri!r} is not the address of an object, such as s3://bucket/run-7/rows.json.")
    return bucket, key


def _s3(client: Any) -> Any:
    if client is not None:
        return client
    import boto3

    return boto3.client("s3")


if __name__ == "__main__":
    print(Path(__file__).read_text(encoding="utf-8"), end="")
