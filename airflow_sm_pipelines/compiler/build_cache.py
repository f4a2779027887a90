"""Keeps the pipelines that scripts built, and tells whether a kept one still fits its sources.

A build is known by digests: of the script's folder, of the packages in its interpreter, of the arguments. A definition
also names code objects that the build uploaded to S3, and a script may read files outside its folder and environment
variables. An entry lists all of these, and is used only while they are as they were.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.compiler.sdk_side import questions
from airflow_sm_pipelines.compiler.sdk_side.input_recorder import ALL_VARIABLES, describe_path, names_digest
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.exceptions import CompileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonValue

_THREADS = 16
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
        # A file name need not be UTF-8.
        digest.update(os.fsencode(f"{path.relative_to(folder).as_posix()}\0{content}\n"))
    return digest.hexdigest()


def packages_digest(interpreter: Path) -> str:
    """The digest of the packages and versions that are installed in an interpreter's environment.

    The environment's own place does not count: packages lie below the Python's version in it.
    """
    environment = interpreter.parent.parent
    found = environment.glob("lib/python*/site-packages/*.dist-info")
    names = sorted(f"{entry.parent.parent.name}/{entry.name}" for entry in found)
    return json_digest([*names])


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

    def load(self, key: str, *, folder: Path, env: Mapping[str, str]) -> dict[str, Any] | None:
        """Load the answer of an earlier build, if the files and variables that it read are unchanged.

        :param folder: the script's folder, from which the names of the project's files are seen.
        :param env: the environment variables that the worker would get.
        :return: None if there is no answer, or something it read has changed.
        """
        try:
            answer = json.loads(self._path(key).read_text(encoding="utf-8"))
            files, asked, variables = answer["files_read"], answer["files_asked"], answer["variables_read"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        are_files_same = all(read_digest(folder / name) == digest for name, digest in files.items())
        is_told_the_same = all(
            describe_path(folder / name, is_whole=" " in told) == told for name, told in asked.items()
        )
        are_variables_same = all(variable_digest(env, name) == digest for name, digest in variables.items())
        return answer if are_files_same and is_told_the_same and are_variables_same else None

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


def variable_digest(env: Mapping[str, str], name: str) -> str | None:
    """The digest of a variable's value, as the worker reports it, because values may be secret; None if unset."""
    if name == ALL_VARIABLES:
        return names_digest(list(env))
    value = env.get(name)
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


def read_digest(path: Path) -> str | None:
    """The digest of what a build read: a file's bytes, or the names in a folder; None if it is not there."""
    if not path.is_dir():
        return file_digest(path)
    try:
        return names_digest([entry.name for entry in path.iterdir()])
    except OSError:
        return None


def find_change_in_aws(
    kept: Mapping[str, Any], *, aws_environment: Mapping[str, str], region: str | None
) -> str | None:
    """Ask AWS, side by side, whether a kept build's uploads are still there and its questions have the same answers.

    :param kept: the worker's answer: ``uploads`` with ``uri`` and ``etag``, ``questions`` with their answers' digests.
    :param aws_environment: the AWS variables of the worker: AWS is asked with its credentials, at its endpoints.
    :return: what has changed, in words; None if nothing has.
    """
    checks = [*_iter_upload_checks(kept["uploads"]), *kept["questions"]]
    if not checks:
        return None
    if not aws_environment.get("AWS_ACCESS_KEY_ID"):
        return "without credentials it is unknown whether what AWS holds for it is unchanged"
    ask_aws = _Asking(aws_environment, region, checks)
    if len(checks) == 1:
        return ask_aws(checks[0])
    with ThreadPoolExecutor(min(len(checks), _THREADS)) as pool:
        return next((change for change in pool.map(ask_aws, checks) if change is not None), None)


def _iter_upload_checks(uploads: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    for upload in uploads:
        bucket, key = split_s3_uri(upload["uri"]) or ("", "")
        arguments = {"Bucket": bucket, "Key": key}
        yield {"service": "s3", "operation": "HeadObject", "arguments": arguments, "etag": upload["etag"]}


@functools.lru_cache(maxsize=1)
def _service_data() -> Any:
    """Botocore's loader of service descriptions. It keeps what it has read; reading takes longer than the questions.

    Botocore looks through the descriptions of all services to see whether it knows one; these it has asked already.
    It also keeps a description's order by a class that takes twice as long to read as Python's own dicts, which have
    kept theirs since Python 3.7.
    """
    from botocore.loaders import JSONFileLoader, Loader

    class EveryName:
        def __contains__(self, name: object) -> bool:
            return True

    class PlainFiles(JSONFileLoader):  # type: ignore[misc]
        def load_file(self, file_path: str) -> Any:
            with suppress(FileNotFoundError):
                return json.loads(Path(f"{file_path}.json").read_bytes())
            with suppress(FileNotFoundError), gzip.open(f"{file_path}.json.gz") as file:
                return json.loads(file.read())
            return None

    class KnownServices(Loader):  # type: ignore[misc]
        FILE_LOADER_CLASS = PlainFiles

        def list_available_services(self, type_name: str) -> EveryName:
            return EveryName()

    return KnownServices()


class _Asking:
    """Asks AWS again what a build asked. The clients are made first: making one is not safe in threads."""

    def __init__(
        self, aws_environment: Mapping[str, str], region: str | None, checks: Sequence[Mapping[str, Any]]
    ) -> None:
        import botocore.session

        self._env = aws_environment
        self._region = region
        # As the child was: without the profiles and settings of this process's user.
        own = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        session = botocore.session.Session(session_vars=own)
        session.register_component("data_loader", _service_data())
        session.set_credentials(
            aws_environment.get("AWS_ACCESS_KEY_ID"),
            aws_environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_environment.get("AWS_SESSION_TOKEN"),
        )
        places = dict.fromkeys((check["service"], check.get("region") or region) for check in checks)
        self._clients = {place: self._make_client(session, *place) for place in places}

    def __call__(self, check: Mapping[str, Any]) -> str | None:
        from botocore.exceptions import BotoCoreError

        what = f"{check['service']}:{check['operation']}"
        client = self._clients[check["service"], check.get("region") or self._region]
        try:
            answer, digest = questions.ask(check, client._make_api_call)
        except BotoCoreError as error:
            return f"{what} cannot be asked again ({type(error).__name__})"
        if "etag" not in check:
            return None if digest == check["digest"] else f"{what} has another answer now"
        place = f"s3://{check['arguments']['Bucket']}/{check['arguments']['Key']}"
        if answer is None:
            return f"{place} is no longer there"
        return None if answer["ETag"] == check["etag"] else f"{place} is no longer what it was"

    def _make_client(self, session: Any, service: str, region: str | None) -> Any:
        from botocore.config import Config

        specific = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
        return session.create_client(
            service,
            region_name=region,
            endpoint_url=self._env.get(specific) or self._env.get("AWS_ENDPOINT_URL"),
            config=Config(
                connect_timeout=5,
                read_timeout=15,
                retries={"total_max_attempts": 2},
                ignore_configured_endpoint_urls=True,
                max_pool_connections=_THREADS,
            ),
        )
