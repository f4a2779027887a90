"""Keeps compiled pipelines by content, and says whether a kept one still stands for its sources.

A definition refers to code objects that the build put into S3, and a script may read files outside its folder, and
environment variables: an entry lists them all, and counts only while they are as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.build_cache import file_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DefinitionCache:
    """A directory of worker answers, one file for each key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, key: str, *, env: Mapping[str, str]) -> dict[str, Any] | None:
        """Give the kept answer if the files and variables it was made from are unchanged.

        :param env: the environment variables the worker would get.
        """
        try:
            answer = json.loads(self._path(key).read_text(encoding="utf-8"))
            files, variables = answer["files_read"], answer["variables_read"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        are_files_same = all(file_digest(Path(name)) == digest for name, digest in files.items())
        are_variables_same = all(variable_digest(env.get(name)) == digest for name, digest in variables.items())
        return answer if are_files_same and are_variables_same else None

    def store(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer; a reader sees all of it or nothing.

        :raises OSError: the directory cannot be written to.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=self._directory, prefix=f"{key[:12]}-", suffix=".partial")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(answer, file)
            Path(scratch).replace(self._path(key))
        except BaseException:
            with suppress(OSError):
                Path(scratch).unlink()
            raise

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.json"


def variable_digest(value: str | None) -> str | None:
    """Give the digest by which the worker reports a variable's value, which may be secret; None for an unset one."""
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def are_uploads_present(
    uploads: Sequence[Mapping[str, str]], *, aws_environment: Mapping[str, str], region: str | None
) -> bool:
    """Say whether every object that a build put into S3 is still there, unchanged; S3 is asked as the child would."""
    if not uploads:
        return True
    access_key = aws_environment.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return False  # whose account to ask is not known
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.session.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=aws_environment.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=aws_environment.get("AWS_SESSION_TOKEN"),
        region_name=region,
    ).client(
        "s3",
        endpoint_url=aws_environment.get("AWS_ENDPOINT_URL_S3") or aws_environment.get("AWS_ENDPOINT_URL"),
        config=Config(
            connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2}, ignore_configured_endpoint_urls=True
        ),
    )
    for upload in uploads:
        bucket, _, key = upload["uri"].removeprefix("s3://").partition("/")
        try:
            found = client.head_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError):
            return False  # a build either puts it there, or meets the fault itself and names it
        if found.get("ETag") != upload["etag"]:
            return False
    return True
