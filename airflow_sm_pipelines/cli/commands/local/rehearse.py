"""The command ``local rehearse``: a pipeline on this machine with what is missing stood in for."""

from __future__ import annotations

import fnmatch
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.sources import (
    UnreadableSourceError,
    compile_source,
    is_script,
    read_parameters,
    read_source,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.rehearsal import Rehearsal, RehearsalReport, StepReport

_NO = 1


def run_rehearse(arguments: argparse.Namespace) -> int:
    """Rehearse a pipeline, say how its steps fared and what was stood in for, and answer 0 if it succeeded."""
    try:
        from airflow_sm_pipelines.rehearsal import Rehearsal
    except ImportError as error:
        raise UnreadableSourceError(
            f"A rehearsal needs packages that are not installed ({error}). "
            "Install them: pip install 'airflow-sm-pipelines[local]'"
        ) from None
    parameters = read_parameters(arguments.parameters, option="--parameter")
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
    print(json.dumps(_as_json(report), indent=2) if arguments.as_json else "\n".join(_render(report)))
    return 0 if report.is_success else _NO


def _read_definition(arguments: argparse.Namespace, rehearsal: Rehearsal) -> tuple[str, str | bytes]:
    """The pipeline's name and definition; a script is compiled against the rehearsal, which gets what it uploads."""
    if not is_script(arguments.source):
        return arguments.pipeline_name or "rehearsal", read_source(arguments.source, arguments).text
    environment = rehearsal.server.environment()
    changed = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        compiled = compile_source(arguments.source, arguments)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return compiled.name, compiled.definition_text


def _read_upload(text: str) -> tuple[str, Path]:
    uri, separator, path = text.rpartition("=")
    if not separator or not uri.startswith("s3://"):
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


def _render_details(step: StepReport) -> Iterator[str]:
    for line in (step.failure_reason or "").splitlines():
        yield f"      {line}"
    for made in step.stood_in:
        yield f"      stood in: {made}"
