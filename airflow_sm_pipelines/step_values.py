"""Lists, objects and other values that are not primitive, as the text that goes from one step to the next.

AWS's guide sends ``str(value)`` and reads it with ``eval``, which runs whatever stands there. Here it is JSON both
ways. A text that is too long for its way is put into S3, and its address goes in its stead:

    dump_value([{"alpha": 1.0}])                           # '[{"alpha":1.0}]'
    dump_value(rows, s3_uri="s3://bucket/run-7/rows.json")  # the same, or the address if that is over 1024 characters
    load_value(text)                                        # the value, in either case

One file, with nothing of this package and no library but boto3 (for S3 only), so that it goes along with a Lambda
function's or a step's code: ``python -m airflow_sm_pipelines.step_values > steps/step_values.py`` writes a copy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: An output of a Lambda or Callback step, and a pipeline's parameter (API shape ``String1024``).
MAX_OUTPUT_CHARACTERS = 1024

#: An argument of a processing job (API shape ``ContainerArgument``).
MAX_ARGUMENT_CHARACTERS = 256

_S3 = "s3://"


def dump_value(
    value: Any, *, s3_uri: str | None = None, max_characters: int = MAX_OUTPUT_CHARACTERS, s3_client: Any = None
) -> str:
    """Give a value's text: JSON, or the address of the object in S3 that was written with it.

    :param value: what JSON has a form for; keys of objects are texts.
    :param s3_uri: where a longer text goes; give each execution a place of its own.
    :param max_characters: the longest text its way takes; `MAX_ARGUMENT_CHARACTERS` if it becomes a job's argument.
    :param s3_client: a boto3 client; one of the environment where not given.
    :raises ValueError: the value has no JSON form, or is too long and no `s3_uri` was given.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The value has no JSON form: {error}.") from error
    _check_keys(value)
    if len(text) <= max_characters:
        return text
    if s3_uri is None:
        raise ValueError(
            f"The value's text has {len(text)} characters, and {max_characters} are allowed here. "
            "Give s3_uri=, a place in S3 for it."
        )
    bucket, key = _parse_uri(s3_uri)
    if len(s3_uri) > max_characters:
        raise ValueError(f"Even the address {s3_uri} has more than {max_characters} characters.")
    _s3(s3_client).put_object(Bucket=bucket, Key=key, Body=text.encode("utf-8"), ContentType="application/json")
    return s3_uri


def load_value(text: Any, *, s3_client: Any = None) -> Any:
    """Give the value of a text that `dump_value` made; what is no text (a number, a boolean) comes back as it is.

    :param s3_client: a boto3 client; one of the environment where not given.
    :raises ValueError: the text is neither JSON nor an address in S3 where JSON is.
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
    """Refuse keys that would come back as texts."""
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
