"""``local replay``: one step of an execution on AWS, run again on this machine."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.shared_options import (
    EXECUTION_HELP,
    add_endpoint_options,
    add_progress_options,
    add_strict_option,
    parse_count,
)
from airflow_sm_pipelines.exceptions import ArgumentError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.client.recorded_jobs import RecordedJob
    from airflow_sm_pipelines.client.reports import StepReport
    from airflow_sm_pipelines.server import RunningServer

_MB = 1 << 20


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="run one step of an execution on AWS again, here",
        description="Run the job of one step of an execution on AWS again on this machine, with the inputs that are in "
        "S3 now. AWS is only read: calls that could change something are refused before they are sent. Its role needs "
        "DescribePipelineExecution, ListPipelineExecutionSteps, the Describe call of the job, and ListBucket and "
        "GetObject of the inputs; for a tuning job also ListTrainingJobsForHyperParameterTuningJob.",
        epilog="Exit codes: 0 the step succeeded here; 1 it ended otherwise; 2 it could not be run. Example: "
        "sm-pipelines local replay arn:aws:sagemaker:eu-west-1:111122223333:pipeline/price/execution/abc Train",
    )
    parser.add_argument("execution", metavar="EXECUTION", help=EXECUTION_HELP)
    parser.add_argument("step", metavar="STEP", help="a step with a processing, training, transform or tuning job")
    parser.add_argument(
        "--trial",
        metavar="NAME",
        help="the training job of a tuning job to run; by default the newest that failed, and if none did, the best",
    )
    parser.add_argument(
        "--max-mb", type=parse_count, default=2048, metavar="MB", help="refuse to copy more than this from S3 (2048)"
    )
    add_endpoint_options(parser, port=0, port_help="the port of the endpoint here (a free one)")
    parser.add_argument("--profile", help="the AWS profile")
    add_progress_options(parser)
    add_strict_option(parser)
    parser.set_defaults(run=run, quiet=False)


def run(arguments: argparse.Namespace) -> int:
    """Run the step again; 0 if it succeeded here.

    :raises ArgumentError: if the step has no job that can run here, or its inputs are too large.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment

    enter_local_environment(arguments)
    from airflow_sm_pipelines.cli.local_contents import now
    from airflow_sm_pipelines.cli.local_judgement import judge_run
    from airflow_sm_pipelines.cli.local_session import announced_endpoint
    from airflow_sm_pipelines.cli.progress import follow_execution
    from airflow_sm_pipelines.cli.shared_options import open_execution
    from airflow_sm_pipelines.cli.terminal import complain
    from airflow_sm_pipelines.client.recorded_jobs import choose_trial, forbid_writes, read_recorded_job
    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.definition.problems import suggest

    aws = open_execution(arguments)
    forbid_writes(aws)
    report = aws.describe_report(arguments.execution)
    step = report.latest_step(arguments.step)
    if step is None:
        names = [one.name for one in report.steps]
        raise ArgumentError(f"{report.arn} has no step '{arguments.step}'.{suggest(arguments.step, names)}")
    made, step = step.job_arn, choose_trial(aws, step, arguments.trial)
    if step.job_arn != made:
        complain(f"Of {made}: {step.job_arn}")
    job = read_recorded_job(aws, step)
    source = aws.client_of("s3")
    objects = _list_objects(source, job, max_mb=arguments.max_mb)
    arguments.region, since = aws.conn_region_name, now()
    with announced_endpoint(arguments) as server:
        _copy(source, server, objects)
        complain(f"Copied {len(objects)} objects of {step.job_arn}", *_explain(job))
        calls = SessionCalls.at_endpoint(server.environment())
        code = follow_execution(calls, _start(server, report.pipeline_name, step, job), arguments, is_judged=True)
        reason = f": {step.failure_reason}" if step.failure_reason else ""
        complain(f"On AWS it was {step.status}{reason}")
        return judge_run(server, since, code, arguments)


def _list_objects(s3: Any, job: RecordedJob, *, max_mb: int) -> list[tuple[str, str]]:
    """Bucket and key of every object that the job reads.

    :raises ArgumentError: if one is gone, or there is too much.
    """
    from airflow_sm_pipelines.definition.s3_uri import parse_s3_uri
    from airflow_sm_pipelines.engine.jobs.failures import JobFailure
    from airflow_sm_pipelines.engine.jobs.s3_transfer import list_input

    found: dict[tuple[str, str], None] = {}
    for one in job.inputs:
        if one.data_type == "ManifestFile":
            location = parse_s3_uri(one.uri)
            found[location.bucket, location.key] = None
        try:
            listed = list_input(s3, one.uri, data_type=one.data_type)
        except JobFailure as failure:
            if not one.is_optional:
                raise ArgumentError(f"An input of the job cannot be had any more. {failure}") from failure
        else:
            found |= {(item.location.bucket, item.location.key): None for item in listed}
    size = 0
    for bucket, key in found:
        size += s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        if size > max_mb * _MB:
            raise ArgumentError(f"The job's inputs are larger than {max_mb} MB. Allow more with --max-mb.")
    return list(found)


def _copy(source: Any, server: RunningServer, objects: list[tuple[str, str]]) -> None:
    target = server.make_client("s3")
    for bucket in {bucket for bucket, _ in objects}:
        server.make_bucket(bucket)
    for bucket, key in objects:
        target.upload_fileobj(source.get_object(Bucket=bucket, Key=key)["Body"], bucket, key)


def _start(server: RunningServer, pipeline: str, step: StepReport, job: RecordedJob) -> str:
    """Start a pipeline of this one step, and give the execution's ARN."""
    sagemaker = server.make_client("sagemaker")
    if job.model:
        with suppress(sagemaker.exceptions.ClientError):
            sagemaker.delete_model(ModelName=job.model["ModelName"])
        sagemaker.create_model(**job.model)
    definition = {
        "Version": "2020-12-01",
        "Steps": [{"Name": step.name, "Type": job.step_type, "Arguments": job.arguments}],
    }
    request = {"PipelineName": pipeline, "PipelineDefinition": json.dumps(definition)}
    role = str(job.arguments.get("RoleArn") or f"arn:aws:iam::{server.account_id}:role/Replay")
    try:
        sagemaker.create_pipeline(**request, RoleArn=role)
    except sagemaker.exceptions.ClientError:
        sagemaker.update_pipeline(**request, RoleArn=role)
    return str(sagemaker.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"])


def _explain(job: RecordedJob) -> list[str]:
    return [f"Left out, as a step cannot have it: {', '.join(job.left_out)}"] if job.left_out else []
