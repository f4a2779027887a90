"""Keeps the pipelines that scripts built, and tells whether a kept one still fits its sources.

A build is known by digests: of the script's folder, of the packages in its interpreter, of the arguments. A definition
also names code objects that the build uploaded to S3, and a script may read files outside its folder and environment
variables. An entry lists all of these, and is used only while they are as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.exceptions import CompileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonValue

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})


def json_digest(value: JsonValue) -> str:
    """The digest of a JSON value; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str | None:
    """The digest of a file's bytes; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def folder_digest(folder: Path) -> str:
    """The digest of every file under a folder, by relative name and content.

    Hidden entries, ``__pycache__`` and compiled Python do not count, nor do times and owners.

    :raises CompileError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in _iter_files(folder):
        content = file_digest(path)
        if content is None:
            raise CompileError(
                f"Cannot read {path}. Every file in the pipeline script's folder counts as part of the pipeline: "
                "move the script to a folder of its own, or make the file readable."
            )
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def packages_digest(interpreter: Path) -> str:
    """The digest of the packages and versions that are installed in an interpreter's environment."""
    environment = interpreter.parent.parent
    names = sorted(entry.name for entry in environment.glob("lib/python*/site-packages/*.dist-info"))
    return json_digest([str(interpreter), *names])


def _iter_files(folder: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(directory, name)
            if not name.startswith(".") and not name.endswith((".pyc", ".pyo")) and path.is_file():
                yield path


class BuildCache:
    """A directory with the worker's answers, one file for each key."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self, key: str, *, env: Mapping[str, str]) -> dict[str, Any] | None:
        """Load the answer of an earlier build, if the files and variables that it read are unchanged.

        :param env: the environment variables that the worker would get.
        :return: None if there is no answer, or something it read has changed.
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
        """Store an answer. Another process sees all of it or nothing.

        :raises OSError: the directory cannot be written to.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=self.directory, prefix=f"{key[:12]}-", suffix=".partial")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(answer, file)
            Path(scratch).replace(self._path(key))
        except BaseException:
            with suppress(OSError):
                Path(scratch).unlink()
            raise

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.json"


def variable_digest(value: str | None) -> str | None:
    """The digest of a variable's value, as the worker reports it, because values may be secret; None if unset."""
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def are_uploads_present(
    uploads: Sequence[Mapping[str, str]], *, aws_environment: Mapping[str, str], region: str | None
) -> bool:
    """Whether every object that a build uploaded to S3 is still there unchanged.

    :param uploads: ``{"uri": "s3://...", "etag": ...}`` each.
    :param aws_environment: the AWS variables of the worker: S3 is asked with its credentials, at its endpoint.
    """
    if not uploads:
        return True
    access_key = aws_environment.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return False  # without credentials it is unknown which account has the objects
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
        bucket, key = split_s3_uri(upload["uri"]) or ("", "")
        try:
            found = client.head_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError):
            return False  # a new build uploads it again, or fails and names the reason
        if found.get("ETag") != upload["etag"]:
            return False
    return True
