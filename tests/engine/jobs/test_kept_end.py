"""Programs that had ended when the engine died do not run again: their outputs are uploaded, their end is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.kept_end import read_kept_end
from tests.engine.jobs.test_processing import OUTPUT, processing_request, s3_outputs
from tests.engine.jobs.test_training import entry_point_request
from tests.engine.jobs.test_transform import DOUBLER, container, transform_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs import JobContext, JobOutcome
    from tests.engine.jobs.conftest import Storage

    Run = Callable[..., JobOutcome]


class KilledError(BaseException):
    """The engine dies here."""


class DyingClient:
    """An S3 client with which the engine dies at the first upload."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in {"upload_file", "upload_fileobj", "put_object"}:
            raise KilledError
        return getattr(self._client, name)


def die_then_run(run: Run, context: JobContext, kind: str, request: dict[str, Any], **given: Any) -> JobOutcome:
    with pytest.raises(KilledError):
        run(kind, request, context=replace(context, s3=DyingClient(context.s3)), **given)
    return run(kind, request, **given)


def once(ran: Path, rest: str) -> str:
    """A program that fails where it runs a second time."""
    return f"import pathlib\npathlib.Path({str(ran)!r}).touch(exist_ok=False)\n{rest}"


def test_a_processing_job_uploads_what_its_program_had_written(
    run: Run, context: JobContext, storage: Storage, tmp_path: Path
) -> None:
    script = once(tmp_path / "ran", "print('said')\nopen('/opt/ml/processing/output/a.txt', 'w').write('made')")
    request = processing_request("python3", "-c", script, ProcessingOutputConfig=s3_outputs(OUTPUT))
    outcome = die_then_run(run, context, "Processing", request)
    assert outcome.status == "Completed", outcome
    assert storage.get("out/a.txt") == b"made"
    assert outcome.log_tail == ("said",)
    assert outcome.details["ProcessingEndTime"] > outcome.details["ProcessingStartTime"]


def test_a_training_job_keeps_its_model_and_its_metrics(
    run: Run, context: JobContext, storage: Storage, tmp_path: Path
) -> None:
    request = entry_point_request(once(tmp_path / "ran", "print('loss=0.25')\nopen('/opt/ml/model/m', 'w').write('w')"))
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    outcome = die_then_run(run, context, "Training", request)
    assert outcome.status == "Completed", outcome
    assert storage.keys("models/") == ["models/training-job/output/model.tar.gz"]
    (metric,) = outcome.details["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)


def test_a_transform_job_uploads_its_results(run: Run, context: JobContext, storage: Storage, tmp_path: Path) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": once(tmp_path / "ran", DOUBLER)})
    storage.put("in/a.csv", "1,2\n")
    outcome = die_then_run(run, context, "Transform", transform_request("s3://bucket/in"), containers=(model,))
    assert outcome.status == "Completed", outcome
    assert storage.get("out/a.csv.out") == b"6.0\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"end": {"ends": {}}}'], ids=["empty", "cut", "list", "incomplete"])
def test_a_file_that_is_cut_is_no_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "end.json").write_text(text)
    assert read_kept_end(tmp_path) is None
