"""Links lead to the right console in every partition, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.links.addresses import (
    make_logs_url,
    make_pipeline_url,
    resolve_logs_link,
    resolve_pipeline_links,
    resolve_queue_link,
    resolve_step_logs,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/train/execution/abc"


def hook(*, is_aws: bool = True, partition: str = "aws", region: str = "us-east-1") -> Any:
    return SimpleNamespace(is_aws_endpoint=is_aws, conn_partition=partition, conn_region_name=region)


def test_an_execution_is_shown_in_studio() -> None:
    links = resolve_pipeline_links(hook(), pipeline="train", execution_arn=ARN, studio_domain_id="d-1")
    assert links == {
        "sagemaker_pipeline_link": "https://studio-d-1.studio.us-east-1.sagemaker.aws/pipelines/view/train/executions",
        "sagemaker_execution_link": (
            "https://studio-d-1.studio.us-east-1.sagemaker.aws/pipelines/view/train/executions/abc/graph"
        ),
    }


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(partition: str, region: str, host: str) -> None:
    for url in (
        make_pipeline_url("train", region=region, partition=partition),
        make_logs_url("/aws/sagemaker/TrainingJobs", "job", region=region, partition=partition),
    ):
        assert url is not None
        assert url.startswith(f"https://{host}/")


@pytest.mark.parametrize("partition", ["aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "aws-new"])
@pytest.mark.parametrize("studio", [None, "d-1"])
def test_a_partition_whose_console_is_not_known_here_has_no_links(partition: str, studio: str | None) -> None:
    one = hook(partition=partition, region="us-iso-east-1")
    assert resolve_pipeline_links(one, pipeline="train", execution_arn=ARN, studio_domain_id=studio) == {}
    arn = f"arn:{partition}:sagemaker:us-iso-east-1:123456789012:training-job/t"
    report = ExecutionReport(ARN, "Failed", steps=(StepReport("T", "Training", "Failed", job_arn=arn),))
    assert resolve_logs_link(one, report) == {}


def test_log_groups_are_quoted_as_the_cloudwatch_console_wants_them() -> None:
    url = make_logs_url("/aws/sagemaker/TrainingJobs", "pipelines-a/b", region="us-east-1", partition="aws")
    assert url is not None
    assert url.endswith(
        "#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dpipelines-a$252Fb"
    )


def test_no_link_leads_to_a_console_that_does_not_know_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SM_PIPELINES_CONSOLE_URL", raising=False)
    report = ExecutionReport(
        ARN,
        "Failed",
        steps=(
            StepReport("T", "Training", "Failed", job_arn="arn:aws:sagemaker:us-east-1:123456789012:training-job/t"),
        ),
    )
    assert resolve_pipeline_links(hook(is_aws=False), pipeline="p", execution_arn=ARN, studio_domain_id="d-1") == {}
    assert resolve_logs_link(hook(is_aws=False), report) == {}
    assert "TrainingJobs" in resolve_logs_link(hook(), report)["sagemaker_logs_link"]


def test_each_failing_job_has_an_address_of_its_logs() -> None:
    steps = tuple(
        StepReport(name, "Training", "Failed", job_arn=f"arn:aws:sagemaker:us-east-1:1:{kind}/{name.lower()}")
        for name, kind in (("A", "training-job"), ("B", "processing-job"), ("C", "model"))
    )
    found = resolve_step_logs(hook(), steps)
    assert list(found) == ["A", "B"]
    assert found["A"].endswith("TrainingJobs$3FlogStreamNameFilter$3Da")
    assert found["B"].endswith("ProcessingJobs$3FlogStreamNameFilter$3Db")


def test_an_endpoint_with_pages_of_its_own_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_PIPELINES_CONSOLE_URL", "http://127.0.0.1:4566/console/")
    links = resolve_pipeline_links(hook(is_aws=False), pipeline="p", execution_arn=ARN, studio_domain_id=None)
    assert links["sagemaker_execution_link"] == "http://127.0.0.1:4566/console/pipelines/p/executions/abc"
    report = ExecutionReport(
        ARN, "Failed", steps=(StepReport("T", "Training", "Failed", job_arn="arn:aws:s:r:1:training-job/t-1"),)
    )
    assert resolve_logs_link(hook(is_aws=False), report) == {
        "sagemaker_logs_link": "http://127.0.0.1:4566/console/logs/training-job/t-1"
    }


def test_a_callback_step_that_waits_links_to_its_queue() -> None:
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/work"
    metadata = {"Callback": {"CallbackToken": "abcdefghij", "SqsQueueUrl": url}}
    waits, ended = (StepReport("S", "Callback", status, metadata=metadata) for status in ("Executing", "Succeeded"))
    quoted = "https%3A%2F%2Fsqs.us-east-1.amazonaws.com%2F123456789012%2Fwork"
    assert resolve_queue_link(hook(), waits) == {
        "sagemaker_queue_link": f"https://us-east-1.console.aws.amazon.com/sqs/v3/home?region=us-east-1#/queues/{quoted}"
    }
    assert resolve_queue_link(hook(), ended) == resolve_queue_link(hook(is_aws=False), waits) == {}
    assert resolve_queue_link(hook(), None) == {}
