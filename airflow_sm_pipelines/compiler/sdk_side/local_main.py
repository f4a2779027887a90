"""Runs a script of the SDK's local mode unchanged, as ``__main__``, with its pipelines on the local endpoint.

As in the SDK's local mode, ``pipeline.start()`` returns when the execution has ended. By then, what the execution wrote
for a ``file://`` address is in its folder.
"""

from __future__ import annotations

import functools
import re
import runpy
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aws_calls import AwsCalls, guard_network
from .build_errors import BuildError
from .local_mode import LocalMode
from .sdk import load_sdk
from .sdk_patches import silence_telemetry

if TYPE_CHECKING:
    from .sdk import Sdk

_POLL_SECONDS = 0.5


class LocalExecution:
    """An execution with the interface of the SDK's local mode. All other attributes are the regular execution's.

    :ivar status: how it ended.
    :ivar failure_reason: why it failed, or None.
    """

    def __init__(self, execution: Any, session: Any) -> None:
        self._execution = execution
        self._session = session
        self.pipeline_execution_name = execution.arn.rpartition("/")[2]
        self.status = "Executing"
        self.failure_reason: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._execution, name)

    def list_steps(self) -> dict[str, Any]:
        """The steps in the order in which they started, as an answer of the API."""
        pages = self._session.sagemaker_client.get_paginator("list_pipeline_execution_steps")
        found = pages.paginate(PipelineExecutionArn=self._execution.arn, SortOrder="Ascending")
        return {"PipelineExecutionSteps": [step for page in found for step in page["PipelineExecutionSteps"]]}

    def wait(self, *args: object, **options: object) -> None:
        """Return at once: the execution has already ended."""

    def follow(self) -> None:
        """Print the steps' statuses until the execution has ended."""
        said: set[tuple[str, str]] = set()
        print(f"Execution {self._execution.arn}", file=sys.stderr, flush=True)
        while True:
            described = self._execution.describe()
            for step in self.list_steps()["PipelineExecutionSteps"]:
                event = (step["StepName"], step["StepStatus"])
                if event not in said and step["StepStatus"] != "Starting":
                    said.add(event)
                    reason = f": {step['FailureReason']}" if step.get("FailureReason") else ""
                    print(f"  {event[0]} {event[1]}{reason}", file=sys.stderr, flush=True)
            self.status = described["PipelineExecutionStatus"]
            self.failure_reason = described.get("FailureReason")
            if self.status not in ("Executing", "Stopping"):
                print(f"Execution {self.status}", file=sys.stderr, flush=True)
                return
            time.sleep(_POLL_SECONDS)


def main() -> int:
    """Run the script that the command line names, with the arguments after it."""
    script = Path(sys.argv[1]).absolute()
    sys.argv = [sys.argv[1], *sys.argv[2:]]
    sys.path[0] = str(script.parent)
    guard_network()
    try:
        sdk = load_sdk()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    AwsCalls(refuses_jobs=False)
    silence_telemetry()
    mode = LocalMode(sdk)
    mode.install()
    _start_and_wait(sdk, mode)
    try:
        runpy.run_path(str(script), run_name="__main__")
    except BuildError as error:
        print(f"{script.name}: {error}", file=sys.stderr)
        return 1
    return 0


def _start_and_wait(sdk: Sdk, mode: LocalMode) -> None:
    pipeline_class: Any = sdk.pipeline_class
    start, create, update = pipeline_class.start, pipeline_class.create, pipeline_class.update

    @functools.wraps(create)
    def create_or_update(pipeline: Any, *args: Any, **options: Any) -> Any:
        # In local mode a pipeline lives only as long as the process, so scripts create it at each run.
        try:
            return create(pipeline, *args, **options)
        except Exception as error:
            message = getattr(error, "response", {}).get("Error", {}).get("Message", "")
            if not isinstance(pipeline.sagemaker_session, sdk.local_session_class) or "already exists" not in message:
                raise
            role = args[0] if args else options.get("role_arn")
            return update(pipeline, role, description=options.get("description"))

    @functools.wraps(start)
    def start_and_wait(pipeline: Any, parameters: Any = None, *args: Any, **options: Any) -> Any:
        session = pipeline.sagemaker_session
        if not isinstance(session, sdk.local_session_class):
            return start(pipeline, parameters, *args, **options)
        given = {name: mode.upload_value(value, session) for name, value in (parameters or {}).items()}
        execution = LocalExecution(start(pipeline, given or None, *args, **options), session)
        execution.follow()
        for prefix, folder in mode.folders(pipeline.name, execution.pipeline_execution_name):
            _download(session, prefix, folder)
        return execution

    pipeline_class.create = create_or_update
    pipeline_class.start = start_and_wait


def _download(session: Any, prefix: str, folder: Path) -> None:
    """Download everything below a key to a folder, as the SDK's local mode leaves it there."""
    bucket = session.default_bucket()
    count = 0
    for page in session.s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page.get("Contents", ()):
            relative = entry["Key"][len(prefix) + 1 :]
            # Local mode leaves a training job's `<job>/output/model.tar.gz` as `model.tar.gz`.
            target = folder / re.sub(r"^pipelines-[^/]+/output/", "", relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            session.s3_client.download_file(bucket, entry["Key"], str(target))
            count += 1
    print(f"{folder}: {count} file{'s' * (count != 1)} written", file=sys.stderr, flush=True)
