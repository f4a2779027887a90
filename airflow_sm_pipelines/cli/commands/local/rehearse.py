"""``local rehearse``: a pipeline on this machine, with stand-ins for what is missing."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.shared_options import (
    add_json_option,
    add_parameter_option,
    add_script_options,
    add_source,
    add_strict_option,
    add_variable_option,
    parse_amount,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.cli.definition_files import Source
    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.rehearsal import Rehearsal, RehearsalReport, RehearsedStep

NOT_SUCCEEDED = 1
"""The exit code for an execution that ended otherwise."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rehearse",
        help="run a pipeline with stand-ins for what is missing",
        description="Run a pipeline to its end on an endpoint of its own. Scripts, data, Lambda functions, models and "
        "programs of closed images that are not there are made up, and callbacks are answered; what is there is "
        "used as it is. Parameters, references, conditions, dependencies and the jobs' contract are the real ones.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it could not be run. Example: "
        "sm-pipelines local rehearse pipeline.json --else CheckQuality",
    )
    add_source(parser, "source", metavar="SOURCE")
    add_parameter_option(
        parser, help_text="a parameter of the execution; those without a value and a default are made up"
    )
    parser.add_argument(
        "--else",
        action="append",
        default=[],
        metavar="STEP",
        dest="else_steps",
        help="a Condition step that is to take its Else branch (the If branch by default); * and ? work",
    )
    parser.add_argument(
        "--upload",
        action="append",
        default=[],
        metavar="S3-ADDRESS=PATH",
        dest="uploads",
        help="a real file or folder, put there before the pipeline runs",
    )
    add_json_option(parser, "the report")
    parser.add_argument(
        "--execution-timeout", type=parse_amount, default=3600, metavar="SECONDS", help="for the execution (3600)"
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="a local endpoint's state directory to run on, with what it holds; by default a fresh one that is removed",
    )
    add_strict_option(parser)
    add_variable_option(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rehearse a pipeline, say how its steps ended and what was made up for them; 0 if it succeeded."""
    from airflow_sm_pipelines.cli.local_contents import now
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment
    from airflow_sm_pipelines.cli.local_judgement import judge_run
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError, read_pairs
    from airflow_sm_pipelines.cli.terminal import say, say_json

    enter_local_environment(arguments)
    from airflow_sm_pipelines.rehearsal import Rehearsal

    parameters = read_pairs(arguments.parameters, option="--parameter")
    since = now()
    uploads = [_read_upload(text) for text in arguments.uploads]
    with Rehearsal(arguments.state_dir, region=arguments.region) as rehearsal:
        for uri, path in uploads:
            rehearsal.upload(uri, path)
        name, text = _read_definition(arguments, rehearsal)
        try:
            report = rehearsal.run(
                text,
                name=name,
                parameters=parameters,
                takes_else=lambda step: any(fnmatch.fnmatchcase(step, pattern) for pattern in arguments.else_steps),
                timeout_seconds=arguments.execution_timeout,
            )
        except TimeoutError as error:
            raise UnreadableSourceError(f"{error} Give it longer with --execution-timeout SECONDS.") from None
        if arguments.as_json:
            say_json(_as_json(report))
        else:
            say(*_render(report))
        code = 0 if report.is_success else NOT_SUCCEEDED
        return judge_run(rehearsal.server, since, code, arguments, made_up=_list_made_up(report))


def _read_definition(arguments: argparse.Namespace, rehearsal: Rehearsal) -> tuple[str, str | bytes]:
    """The pipeline's name and definition; a script is compiled against the rehearsal, which gets what it uploads."""
    from airflow_sm_pipelines.cli.definition_files import refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import compile_source, is_script, read_source
    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.local_endpoint import MAKE_BUCKETS_VARIABLE

    if not is_script(arguments.source):
        source = read_source(arguments.source, arguments)
        refuse_unused_variables(arguments)
        name = arguments.pipeline_name or (source.held.name if source.held else None) or "rehearsal"
        return name, _fill_in(source)
    calls = SessionCalls.at_endpoint(rehearsal.server.environment())
    os.environ[MAKE_BUCKETS_VARIABLE] = "1"
    try:
        compiled = compile_source(arguments.source, arguments, calls=calls)
    finally:
        del os.environ[MAKE_BUCKETS_VARIABLE]
    return compiled.name, compiled.definition_text


def _fill_in(source: Source) -> str | bytes:
    """The definition, with values made up for what is unknown in it; standard error says which."""
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.rehearsal.unknown_values import with_made_values

    if source.held is None or source.held.marked is None:
        return source.text
    held, made = with_made_values(source.held)
    complain(*(f"{name} is not filled in; made up: {value!r}" for name, value in made.items()))
    return held.text


def _list_made_up(report: RehearsalReport) -> list[str]:
    """The steps for which something stood in, by name."""
    return [step.name for step in report.steps if step.stood_in]


def _read_upload(text: str) -> tuple[str, Path]:
    from airflow_sm_pipelines.cli.sources import UnreadableSourceError
    from airflow_sm_pipelines.definition.s3_uri import split_s3_uri

    uri, _, path = text.rpartition("=")
    if split_s3_uri(uri) is None:
        raise UnreadableSourceError(f"--upload {text!r} is not S3-ADDRESS=PATH, such as s3://bucket/data.csv=data.csv.")
    if not Path(path).exists():
        raise UnreadableSourceError(f"--upload {text!r}: there is no file or folder {path}.")
    return uri, Path(path)


def _as_json(report: RehearsalReport) -> dict[str, Any]:
    return {
        "pipeline": report.pipeline,
        "status": report.status,
        "failure_reason": report.failure_reason,
        "seconds": round(report.seconds, 1),
        "steps": [
            {
                "name": step.name,
                "type": step.type,
                "status": step.status,
                "failure_reason": step.failure_reason,
                "stood_in": list(step.stood_in),
            }
            for step in report.steps
        ],
        "not_started": list(report.not_started),
        "made_parameters": dict(report.made_parameters),
    }


def _render(report: RehearsalReport) -> Iterator[str]:
    yield f"{report.pipeline}: {report.status} after {report.seconds:.0f} s"
    for name, value in report.made_parameters.items():
        yield f"  parameter {name} has no value and no default; made up: {value!r}"
    width = max((len(step.name) for step in report.steps), default=0)
    kinds = max((len(step.type) for step in report.steps), default=0)
    for step in report.steps:
        yield f"  {step.name:{width}}  {step.type:{kinds}}  {step.status}".rstrip()
        yield from _render_details(step)
    if report.not_started:
        yield f"  not started: {', '.join(report.not_started)}"
    count = sum(1 for step in report.steps if step.stood_in)
    yield f"{count} of {len(report.steps)} steps ran with something stood in for."


def _render_details(step: RehearsedStep) -> Iterator[str]:
    for line in (step.failure_reason or "").splitlines():
        yield f"      {line}"
    for made in step.stood_in:
        yield f"      stood in: {made}"
