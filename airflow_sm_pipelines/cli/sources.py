"""Where the commands take definitions from (files, pipeline scripts, standard input), and where they write."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import UnreadableSourceError as UnreadableSourceError
from airflow_sm_pipelines.cli.shared_options import open_calls
from airflow_sm_pipelines.cli.terminal import complain, show_elapsed
from airflow_sm_pipelines.definition.arns import parse_execution_arn
from airflow_sm_pipelines.printable_text import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.policy import TeamPolicy


def read_source(source: str, arguments: argparse.Namespace) -> Source:
    """The text of one definition.

    :param source: a file, a script or notebook as :func:`is_script` takes it, the ARN of a pipeline or an
        execution, or ``-``.
    :param arguments: has the options for pipeline scripts, and the values for placeholders.
    :raises UnreadableSourceError: when there is nothing to read.
    :raises DefinitionError: when a file holds no pipeline, or several and the source names none of them.
    :raises CompileError: when a script gives no pipeline.
    """
    (found,) = read_sources(source, arguments, is_one=True)
    return found


def read_sources(source: str, arguments: argparse.Namespace, *, is_one: bool = False) -> list[Source]:
    """All definitions of a source: a file or a folder may hold several.

    :param is_one: whether exactly one is wanted; the rest is as for :func:`read_source`.
    """
    from airflow_sm_pipelines.cli.definition_files import Source, read_definition_files

    if source.startswith("arn:"):
        return [Source(source, _read_deployed(source, arguments).encode())]
    if is_script(source):
        return [Source(source, compile_source(source, arguments).definition_text.encode())]
    return read_definition_files(source, arguments, is_one=is_one)


def _read_deployed(arn: str, arguments: argparse.Namespace) -> str:
    """The definition of the pipeline or the execution that an ARN names."""
    pipeline, execution = parse_execution_arn(arn)
    if not pipeline:
        raise UnreadableSourceError(
            f"{arn} is neither a pipeline nor an execution: expected arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME."
        )
    calls = open_calls(arguments, arn=arn)
    return calls.describe_execution_definition(arn) if execution else calls.describe_pipeline(arn).definition_text


def check_script(source: str) -> None:
    """Refuse a script that is not there, before anything is asked or started.

    :param source: a script or notebook, or anything else, which is let pass.
    :raises ScriptNotFoundError: naming files with similar names.
    """
    from airflow_sm_pipelines.compiler.script import find_reference, read_script

    reference = find_reference(source)
    if reference is not None:
        read_script(reference.path)


def is_script(source: str) -> bool:
    """Whether a source names a pipeline in a script or notebook."""
    from airflow_sm_pipelines.compiler.script import find_reference

    return find_reference(source) is not None


def compile_source(
    reference: str,
    arguments: argparse.Namespace,
    *,
    calls: SageMakerCalls | None = None,
    log: Callable[[str], None] | None = None,
) -> CompiledPipeline:
    """The pipeline that a script makes. On a terminal, a line shows how long it has taken so far.

    :param calls: gives the script its credentials and its region; those of ``--profile`` and ``--region`` by default.
    :param log: takes what the script and the SDK print; standard error where not given.
    :raises CompileError: one of its subclasses, by cause.
    """
    from airflow_sm_pipelines.deployment.options import DeployOptions
    from airflow_sm_pipelines.deployment.source import compile_script

    check_script(reference)
    options = DeployOptions.of(
        arguments,
        pipeline=reference,
        folder=str(Path.cwd()),
        config=read_config(arguments),
        script_env=read_script_env(arguments),
    )
    options.check()
    with show_elapsed(f"Building {reference}"):
        return compile_script(
            calls or open_calls(arguments),
            options,
            log=log or complain,
            chatter=complain if arguments.verbose else None,
        )


def read_policy(arguments: argparse.Namespace) -> TeamPolicy | None:
    """The policy that ``--policy-file`` names, if it names one.

    :raises ArgumentError: when ``--policy`` is wrong, or needs a file.
    :raises PolicyError: when the file is no policy.
    """
    from airflow_sm_pipelines.deployment.options import DeployOptions

    DeployOptions.of(arguments, pipeline="", script_env=read_script_env(arguments)).check()
    if arguments.policy not in ("enforce", "apply"):
        raise UnreadableSourceError(f"--policy {arguments.policy}: this command deploys nothing: enforce or apply.")
    if arguments.policy_file is None:
        return None
    from airflow_sm_pipelines.policy import load_policy

    return load_policy(Path(arguments.policy_file))


def read_pairs(
    settings: Sequence[str], *, option: str, what: str = "the name of a pipeline parameter", member: str = "Name"
) -> dict[str, str]:
    """Options that are given as ``NAME=VALUE``, by name; the values stay text.

    :param option: what the message calls the option.
    :param what: what the name is.
    :param member: what the AWS CLI calls the name: ``Name=NAME,Value=VALUE`` will do as well.
    :raises UnreadableSourceError: when one is something else.
    """
    given: dict[str, str] = {}
    for setting in settings:
        as_aws = re.fullmatch(f"{member}=([^,]+),Value=(.*)", setting, re.DOTALL)
        name, separator, value = (as_aws[1], "=", as_aws[2]) if as_aws else setting.partition("=")
        if not separator or not name:
            raise UnreadableSourceError(f"{option} {setting!r} is not NAME=VALUE with {what}.")
        given[name] = value
    return given


def read_script_env(arguments: argparse.Namespace) -> dict[str, str]:
    """The environment variables that ``--script-env`` gives a script; none where a command has no such option."""
    return read_pairs(getattr(arguments, "script_env", ()), option="--script-env", what="the name of a variable")


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


def write_output(path: Path | None, text: str) -> None:
    """Write what a command makes to its ``--output`` file, or to standard output for None.

    :raises UnreadableSourceError: when the file cannot be written.
    """
    if path is None:
        sys.stdout.write(clean(text))
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnreadableSourceError(f"Cannot write {path}: {error.strerror}.") from None


def parse_literal(text: str) -> JsonValue:
    """A value as JSON or as Python writes it; None where the text is neither.

    AWS's project template takes both for its options.
    """
    from airflow_sm_pipelines.option_reader import parse_literal as parse

    try:
        return json.loads(json.dumps(parse(text)))  # type: ignore[no-any-return]
    except (ValueError, TypeError):
        return None


def read_config(arguments: argparse.Namespace) -> dict[str, JsonValue]:
    """The arguments of a script's function: those of ``--config``'s file, of ``--kwargs``, and of each ``--set``.

    :raises UnreadableSourceError: when one cannot be read.
    """
    config: dict[str, JsonValue] = {}
    if arguments.config is not None:
        config.update(
            read_object(
                arguments.config, name=f"--config {arguments.config}", what=": arguments of the function by name"
            )
        )
    if arguments.kwargs is not None:
        given = parse_literal(arguments.kwargs)
        if not isinstance(given, dict):
            raise UnreadableSourceError(f"--kwargs {arguments.kwargs!r} is no dict of arguments by name.")
        config.update(given)
    for name, value in read_pairs(arguments.settings, option="--set", what="the name of an argument").items():
        if not name.isidentifier():
            raise UnreadableSourceError(f"--set '{name}={value}' is not NAME=VALUE with the name of an argument.")
        try:
            config[name] = json.loads(value)
        except ValueError:
            config[name] = value
    return config
