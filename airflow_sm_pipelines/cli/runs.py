"""The commands ``run`` and ``watch``: start an execution, and see it to its end."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.service import open_calls, open_reader
from airflow_sm_pipelines.cli.sources import (
    UnreadableSourceError,
    compile_source,
    is_script,
    read_parameters,
    read_source,
)
from airflow_sm_pipelines.exceptions import CompileError, PipelineNotFoundError, PipelineUnavailableError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.following import ExecutionReader, ExecutionView
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.compiler import CompiledPipeline
    from airflow_sm_pipelines.definition import JsonObject

NOT_SUCCEEDED = 1
"""The exit code for an execution that ended otherwise."""

_LOCAL_INTERVAL = 0.3
_INTERVAL = 5.0


def run_run(arguments: argparse.Namespace) -> int:
    """Deploy the pipeline if it is a source, start an execution, follow it."""
    from airflow_sm_pipelines.client.api_errors import mapped_errors
    from airflow_sm_pipelines.client.calls import plan_version_arguments
    from airflow_sm_pipelines.definition import encode_parameters, parse_definition

    calls = open_calls(arguments)
    name = arguments.pipeline
    if arguments.pipeline == "-" or is_script(arguments.pipeline) or Path(arguments.pipeline).is_file():
        if arguments.version is not None:
            raise UnreadableSourceError("--version runs what is deployed: name the pipeline instead of a file.")
        name = _deploy(calls, arguments)
    deployed = calls.describe_pipeline(name, version=arguments.version)
    given = read_parameters(arguments.parameters, option="-p")
    encoded = encode_parameters(parse_definition(deployed.definition_text, name=f"pipeline {name}"), given)
    with mapped_errors("StartPipelineExecution", name):
        arn: str = calls.conn.start_pipeline_execution(
            PipelineName=name,
            PipelineParameters=encoded,
            ClientRequestToken=str(uuid.uuid4()),
            **plan_version_arguments(arguments.version),
        )["PipelineExecutionArn"]
    if arguments.no_follow:
        print(json.dumps({"execution_arn": arn}, indent=2) if arguments.as_json else arn)
        return 0
    return _follow(arn, arguments)


def run_watch(arguments: argparse.Namespace) -> int:
    """Follow an execution that was started elsewhere."""
    return _follow(arguments.execution, arguments)


def _follow(arn: str, arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.progress import open_progress

    if not arguments.as_json:
        print(arn, flush=True)
    # With --json, standard output is for programs; people look at standard error.
    progress, is_live = open_progress(sys.stderr if arguments.as_json else sys.stdout)
    reader = open_reader(arguments, log_lines=arguments.log_lines, is_live=is_live)
    interval = arguments.interval or (_LOCAL_INTERVAL if reader.is_local else _INTERVAL)
    try:
        with progress:
            while True:
                began = time.monotonic()
                view = _read(reader, arn)
                if view is not None:
                    progress.show([view])
                    if view.report.is_terminal:
                        break
                threading.Event().wait(max(0.05, interval - (time.monotonic() - began)))
    except KeyboardInterrupt:
        print(f"\nNo longer watching; the execution goes on. Look again: sm-pipelines watch {arn}", file=sys.stderr)
        raise
    if arguments.as_json:
        print(json.dumps(view.report.to_json(), indent=2))
    return 0 if view.report.status == "Succeeded" else NOT_SUCCEEDED


def _read(reader: ExecutionReader, arn: str) -> ExecutionView | None:
    """The execution; ``None`` when the service cannot be reached just now, which passes."""
    try:
        return reader.read(arn)
    except PipelineUnavailableError as error:
        print(f"sm-pipelines: {error}; trying again.", file=sys.stderr)
        return None


def _deploy(calls: SageMakerCalls, arguments: argparse.Namespace) -> str:
    """Write the definition where it differs from what is deployed; the pipeline's name."""
    from airflow_sm_pipelines.definition import definition_hash, parse_definition
    from airflow_sm_pipelines.policy import check_definition, render_findings

    more: JsonObject = {}
    name = arguments.pipeline_name
    if is_script(arguments.pipeline):
        compiled = _compile(arguments)
        text, name = compiled.definition_text, name or compiled.name
        if compiled.parallelism:
            more["ParallelismConfiguration"] = compiled.parallelism
    else:
        text = read_source(arguments.pipeline, arguments).text.decode("utf-8", "replace")
        name = name or ("" if arguments.pipeline == "-" else Path(arguments.pipeline).stem.replace("_", "-"))
    if not name:
        raise UnreadableSourceError("A definition on standard input has no name: give --pipeline-name.")
    definition = parse_definition(text, name=arguments.pipeline)
    findings = check_definition(definition)
    if findings:
        print(render_findings(findings), file=sys.stderr)
    try:
        deployed = calls.describe_pipeline(name)
    except PipelineNotFoundError:
        deployed = None
    role = arguments.role_arn or (deployed.role_arn if deployed else None)
    if role is None:
        raise UnreadableSourceError(
            "A new pipeline needs the role that its steps run under: give --role-arn. "
            "On the local endpoint any role's ARN will do."
        )
    if deployed is None:
        calls.create_pipeline(name, PipelineDefinition=text, RoleArn=role, ClientRequestToken=str(uuid.uuid4()), **more)
        print(f"Pipeline '{name}' created.", file=sys.stderr)
    elif definition_hash(parse_definition(deployed.definition_text)) != definition_hash(definition):
        _, version = calls.update_pipeline(name, PipelineDefinition=text, RoleArn=role, **more)
        print(f"Pipeline '{name}' updated: version {version}.", file=sys.stderr)
    else:
        print(f"Pipeline '{name}' unchanged.", file=sys.stderr)
    return str(name)


def _compile(arguments: argparse.Namespace) -> CompiledPipeline:
    """The script's pipeline; what the SDK says on the way is shown only where it failed."""
    said: list[str] = []
    print(f"Building {arguments.pipeline} ...", file=sys.stderr)
    try:
        return compile_source(arguments.pipeline, arguments, log=said.append)
    except CompileError:
        print(*said, sep="\n", file=sys.stderr)
        raise
