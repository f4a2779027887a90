"""Where the commands take definitions from: files, pipeline scripts, standard input."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.policy import TeamPolicy


class UnreadableSourceError(SageMakerPipelinesError):
    """A source that gives no definition text at all; its message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """A definition as text, and what to call it in messages."""

    name: str
    text: bytes


def read_source(source: str, options: argparse.Namespace) -> Source:
    """The text of a definition.

    :param source: a file, ``script.py:function``, or ``-``.
    :param options: the options for pipeline scripts.
    :raises UnreadableSourceError: when there is nothing to read.
    :raises CompileError: when a script gives no pipeline.
    """
    if source == "-":
        return Source("standard input", sys.stdin.buffer.read())
    if is_script(source):
        return Source(source, compile_source(source, options).definition_text.encode())
    try:
        return Source(source, Path(source).read_bytes())
    except IsADirectoryError:
        raise UnreadableSourceError(f"{source} is a directory. Name the definition file in it.") from None
    except OSError as error:
        hint = ""
        if source.endswith(".py"):
            hint = f" For a pipeline script, name the function too: {source}:get_pipeline"
        raise UnreadableSourceError(f"Cannot read {source}: {error.strerror}.{hint}") from None


def is_script(source: str) -> bool:
    """Whether a source names a function in a pipeline script."""
    path, separator, function = source.rpartition(":")
    return bool(separator) and path.endswith(".py") and function.isidentifier()


def compile_source(
    reference: str, options: argparse.Namespace, *, log: Callable[[str], None] | None = None
) -> CompiledPipeline:
    """The pipeline that a script's function returns.

    :param log: takes what the script and the SDK print; standard error where not given.

    :raises CompileError: one of its subclasses, by cause.
    """
    from airflow_sm_pipelines.compiler import compile_pipeline

    environment, region = _aws_environment(options.profile, options.region)
    return compile_pipeline(
        reference,
        config=_read_config(options.config, options.settings),
        role_arn=options.role_arn,
        region=region,
        pipeline_name=options.pipeline_name,
        default_bucket=options.default_bucket,
        interpreter=options.interpreter,
        aws_environment=environment,
        cache_dir=None,
        timeout_seconds=options.timeout,
        log=log or (lambda line: print(line, file=sys.stderr)),
    )


def read_policy(options: argparse.Namespace) -> TeamPolicy | None:
    """The policy that ``--policy`` names, if it names one.

    :raises PolicyError: when the file is no policy.
    """
    if options.policy is None:
        if options.apply_defaults:
            raise UnreadableSourceError("--apply-defaults fills in what a policy says: name one with --policy FILE.")
        return None
    from airflow_sm_pipelines.policy import load_policy

    return load_policy(options.policy)


def read_parameters(settings: list[str], *, option: str) -> dict[str, JsonValue]:
    """The pipeline parameters that are given as ``NAME=VALUE``; the values stay text.

    :param option: what the message calls the option.
    :raises UnreadableSourceError: when one is something else.
    """
    given: dict[str, JsonValue] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise UnreadableSourceError(
                f"{option} {setting!r} is not NAME=VALUE with the name of a pipeline parameter."
            )
        given[name] = value
    return given


def read_object(file: Path, *, name: str, what: str = "") -> JsonObject:
    """The JSON object that a file holds.

    :param name: what messages call the file.
    :param what: what they add of the object that is wanted.
    :raises UnreadableSourceError: when there is none to read.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableSourceError(f"Cannot read {name}: {error.strerror}.") from None
    except ValueError as error:
        raise UnreadableSourceError(f"{name} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UnreadableSourceError(f"{name} must hold a JSON object{what}.")
    return content


def _read_config(file: Path | None, settings: list[str]) -> dict[str, JsonValue]:
    config: dict[str, JsonValue] = {}
    if file is not None:
        config.update(read_object(file, name=f"--config {file}", what=": arguments of the function by name"))
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.isidentifier():
            raise UnreadableSourceError(f"--set {setting!r} is not NAME=VALUE with the name of an argument.")
        try:
            config[name] = json.loads(value)
        except ValueError:
            config[name] = value
    return config


def _aws_environment(profile: str | None, region: str | None) -> tuple[dict[str, str], str]:
    """The credentials and the endpoint that a script's interpreter gets, and its region."""
    import boto3
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    except ProfileNotFound:
        known = ", ".join(boto3.Session().available_profiles) or "none"
        raise UnreadableSourceError(f"There is no AWS profile {profile!r}. Configured: {known}.") from None
    except BotoCoreError as error:
        raise UnreadableSourceError(f"AWS credentials cannot be had: {error}.") from None
    if session.region_name is None:
        raise UnreadableSourceError(
            "The SageMaker SDK needs a region: give --region, set AWS_REGION, or run this under "
            "'sm-pipelines local exec --', which needs no AWS account."
        )
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")}
    if frozen is not None:
        environment["AWS_ACCESS_KEY_ID"] = frozen.access_key
        environment["AWS_SECRET_ACCESS_KEY"] = frozen.secret_key
        if frozen.token:
            environment["AWS_SESSION_TOKEN"] = frozen.token
    return environment, session.region_name
