"""The pytest fixture ``sm_local``: a SageMaker on this machine that builds and runs pipelines in a test.

Each test that asks for it has an empty account of its own. pytest loads this module in every session of an environment
where the package is installed, so nothing but pytest is imported before a test uses the fixture.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.client.outputs import OutputReader
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.client.session_calls import SessionCalls

ROLE_ARN = "arn:aws:iam::123456789012:role/SageMakerExecution"
"""The execution role where a test names none; on this machine it grants nothing and refuses nothing."""

_START_SECONDS = 300.0
"""How long the endpoint may take to start: the first time, an environment may be made for it."""


@dataclass(frozen=True)
class LocalStep:
    """One step of an execution.

    :param status: ``"Succeeded"``, ``"Failed"``, ...
    :param cached: whether its result came from an earlier execution.
    :param attempts: how often it was tried.
    """

    name: str
    status: str
    cached: bool
    attempts: int
    failure_reason: str | None


class LocalRun:
    """An execution that has ended.

    :ivar arn: its ARN.
    :ivar status: ``"Succeeded"``, ``"Failed"``, ...
    """

    def __init__(self, calls: SessionCalls, report: ExecutionReport) -> None:
        self.arn = report.arn
        self.status = str(report.status)
        self._calls = calls
        self._report = report

    @property
    def steps(self) -> dict[str, LocalStep]:
        """The steps that were begun, by name, in the order of their start."""
        return {step.name: _parse_step(step) for step in self._report.steps}

    def step(self, name: str) -> LocalStep:
        """One step.

        :raises KeyError: if it was not begun; the message names those that were.
        """
        if name not in self.steps:
            raise KeyError(f"step {name!r} was not begun; these were: {', '.join(self.steps) or 'none'}")
        return self.steps[name]

    def output(self, reference: str) -> Any:
        """A value that a step has yielded, as the run operator's ``outputs`` reads it.

        :param reference: ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or
            ``"Steps.Train.PropertyFiles.Metrics#rmse"`` for a place in a property file.
        :raises OutputError: if there is no such value.
        """
        from airflow_sm_pipelines.client.outputs import parse_output_requests, parse_output_text

        wanted = {"value": {**parse_output_text(reference), "required": True}}
        return self._reader().read(parse_output_requests(wanted))["value"]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What each step that succeeded has yielded, by the step's name: models, metrics, addresses in S3."""
        return self._reader().read_defaults(max_steps=len(self._report.steps))

    def _reader(self) -> OutputReader:
        from airflow_sm_pipelines.client.outputs import OutputReader

        return OutputReader(self._calls, self._report, warn=lambda _: None)


class LocalSageMaker:
    """SageMaker on this machine, with an empty account.

    :ivar environment: variables that point a process to it.
    """

    def __init__(self, environment: Mapping[str, str], *, folder: Path) -> None:
        from airflow_sm_pipelines.client.session_calls import SessionCalls

        self.environment = dict(environment)
        self._folder = folder
        self._calls = SessionCalls.at_endpoint(environment)

    def client(self, service: str) -> Any:
        """A boto3 client of the endpoint, such as that of ``"s3"``."""
        return self._calls.conn if service == "sagemaker" else self._calls.client_of(service)

    def run(
        self,
        pipeline: str | dict[str, Any],
        *,
        status: str | None = "Succeeded",
        role_arn: str = ROLE_ARN,
        **parameters: Any,
    ) -> LocalRun:
        """Deploy a pipeline if it differs from what is deployed, run it, and wait for its end.

        :param pipeline: ``"script.py:function"``, a definition's file, both relative to the folder of pytest's
            configuration; or a definition.
        :param status: how it must end; None for any end.
        :param parameters: of the pipeline, by name.
        :raises Failed: pytest's own, if it ends otherwise: with the failed steps and the last lines of their logs.
        """
        import logging
        import uuid

        from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
        from airflow_sm_pipelines.deployment.options import DeployOptions
        from airflow_sm_pipelines.deployment.provenance import CommandProvenance
        from airflow_sm_pipelines.runs.start_request import StartOptions, plan_start_request
        from airflow_sm_pipelines.runs.submitter import start_once

        log = logging.getLogger("sm_local")
        options = DeployOptions(
            pipeline=pipeline,
            folder=str(self._folder),
            role_arn=role_arn,
            pipeline_name="pipeline-of-the-test" if isinstance(pipeline, dict) else None,
        )
        options.check()
        deployed = PipelineDeployer(
            self._calls, options, provenance=CommandProvenance(None), log=log, script_log=log.info
        ).deploy()
        start = StartOptions(
            pipeline_name=deployed.pipeline_name, version=deployed.version_id, parameters=parameters or None
        )
        request = plan_start_request(self._calls, start, identity=None, log=log)
        return self._await_end(start_once(self._calls, request, token=str(uuid.uuid4()), log=log), status)

    def _await_end(self, arn: str, status: str | None) -> LocalRun:
        from airflow_sm_pipelines.client.job_logs import read_log_tails
        from airflow_sm_pipelines.client.wait_policy import render_failure

        while not self._calls.describe_execution(arn).is_terminal:
            time.sleep(0.1)
        report = self._calls.describe_report(arn)
        if status is not None and report.status != status:
            tails = read_log_tails(self._calls, report.failed_steps, max_lines=20, warn=lambda _: None)
            pytest.fail(f"{render_failure(report, log_tails=tails)}\nExpected {status}.", pytrace=False)
        return LocalRun(self._calls, report)


@pytest.fixture
def sm_local(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[LocalSageMaker]:
    """A SageMaker on this machine, with an empty account for this test; see :class:`LocalSageMaker`."""
    folder = tmp_path_factory.mktemp("sm-local")
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "local", "serve", "--port", "0"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--state-dir", str(folder / "state")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        environment = _await_endpoint(process, folder)
        yield LocalSageMaker(environment, folder=Path(request.config.rootpath))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_endpoint(process: subprocess.Popen[bytes], folder: Path) -> dict[str, str]:
    from airflow_sm_pipelines.local_endpoint import DEFAULT_REGION, child_environment
    from airflow_sm_pipelines.server import find_running_server, read_secret

    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found, secret = find_running_server(folder / "state"), read_secret(folder / "state")
        if found is not None and secret is not None:
            return child_environment(os.environ, found["url"], found.get("region") or DEFAULT_REGION, secret=secret)
        time.sleep(0.05)
    pytest.fail(f"The local endpoint did not start:\n{(folder / 'log.txt').read_text()}", pytrace=False)


def _parse_step(step: StepReport) -> LocalStep:
    return LocalStep(step.name, str(step.status), step.cached_from is not None, step.attempts or 1, step.failure_reason)
