"""The hook against an endpoint at the network's edge: every page, typed answers, errors by code."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.exceptions import SSOTokenLoadError

from airflow_sm_pipelines import exceptions
from airflow_sm_pipelines.client.calls import plan_version_arguments
from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
from tests.airflow_fakes import DEFINITION, FAILED_STEPS, SUCCEEDED_STEPS, Fault

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

TOKEN = "t" * 40


def test_every_page_of_steps_is_read(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p")
    fake.page_size = 3
    fake.steps = [{**SUCCEEDED_STEPS[0], "StepName": f"S{number}"} for number in range(10)]
    arn = hook.start_execution({"PipelineName": "p"}, token=TOKEN)
    assert [step.name for step in hook.describe_execution_steps(arn)] == [f"S{number}" for number in range(10)]
    assert fake.count("ListPipelineExecutionSteps") == 4


def test_versions_come_newest_first_from_every_page(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p")
    for _ in range(4):
        hook.update_pipeline("p", PipelineDefinition="{}")
    fake.page_size = 2
    assert [version.id for version in hook.list_versions("p")] == [5, 4, 3, 2, 1]


def test_a_report_carries_reasons_durations_and_jobs(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p")
    fake.statuses, fake.steps, fake.failure_reason = ["Failed"], FAILED_STEPS, "Step failure"
    report = hook.describe_report(hook.start_execution({"PipelineName": "p"}, token=TOKEN))
    (failed,) = report.failed_steps
    assert (report.status, report.failure_reason, report.pipeline_name) == ("Failed", "Step failure", "p")
    assert (failed.name, failed.type, failed.seconds) == ("Evaluate", "Processing", 3.0)
    assert failed.job_arn is not None
    assert failed.job_arn.endswith("processing-job/pipelines-abc-Evaluate")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ResourceNotFound", 400, exceptions.PipelineNotFoundError),
        ("AccessDeniedException", 400, exceptions.PipelineAccessError),
        ("UnrecognizedClientException", 400, exceptions.PipelineAccessError),
        ("ValidationException", 400, exceptions.PipelineRequestError),
        ("ConflictException", 400, exceptions.PipelineConflictError),
        ("ThrottlingException", 400, exceptions.PipelineUnavailableError),
        ("InternalFailure", 500, exceptions.PipelineUnavailableError),
        ("SomethingNew", 503, exceptions.PipelineUnavailableError),
        ("ResourceLimitExceeded", 400, exceptions.PipelineApiError),
        ("SomethingNew", 400, exceptions.PipelineApiError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_code(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, code: str, status: int, expected: type[Exception]
) -> None:
    fake.fail_next("DescribePipeline", Fault(code, status))
    with pytest.raises(exceptions.PipelineApiError) as caught:
        hook.describe_pipeline("p")
    assert type(caught.value) is expected
    assert caught.value.code == code
    assert f"DescribePipeline on 'p' was refused: {code}: refused by the test" in str(caught.value)


def test_an_endpoint_that_is_not_there_is_an_unavailable_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    hook = SageMakerPipelinesHook(aws_conn_id=None, region_name="us-east-1", config={"retries": {"max_attempts": 0}})
    told = "got no answer: EndpointConnectionError.*No local endpoint answers there: start it with 'sm-pipelines local "
    with pytest.raises(exceptions.PipelineUnavailableError, match=told):
        hook.describe_pipeline("p")


def test_a_missing_region_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for ask in (
        lambda hook: hook.describe_pipeline("p"),
        lambda hook: hook.conn_region_name,
        lambda hook: hook.is_aws_endpoint,
        lambda hook: hook.child_environment(),
    ):
        with pytest.raises(exceptions.PipelineAccessError, match=r"no region is known.*'sm-pipelines local exec --'"):
            ask(SageMakerPipelinesHook(aws_conn_id=None))


def test_a_child_gets_no_credentials_where_there_are_none() -> None:
    hook = SageMakerPipelinesHook(aws_conn_id=None, region_name="us-east-1")
    environment = hook.child_environment()
    assert "AWS_ACCESS_KEY_ID" not in environment
    with pytest.raises(exceptions.PipelineAccessError, match=r"there are no AWS credentials.*AWS Secret Access Key"):
        hook.describe_pipeline("p")


def test_retries_are_adaptive_unless_the_caller_says_otherwise(fake: FakeSageMaker) -> None:
    assert SageMakerPipelinesHook(aws_conn_id=None).config.retries == {"mode": "adaptive", "max_attempts": 10}
    own = SageMakerPipelinesHook(aws_conn_id=None, config={"retries": {"max_attempts": 2, "mode": "standard"}})
    assert own.config.retries["mode"] == "standard"


def test_stopping_what_has_ended_is_no_error(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p")
    fake.statuses = ["Succeeded"]
    assert hook.stop_execution(hook.start_execution({"PipelineName": "p"}, token=TOKEN), token=TOKEN) is False


@pytest.mark.parametrize("code", ["ExpiredTokenException", "AccessDeniedException", "InternalFailure"])
def test_a_stop_that_is_refused_for_a_moment_is_asked_again(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, code: str
) -> None:
    fake.add_pipeline("p")
    fake.statuses = ["Executing"]
    arn = hook.start_execution({"PipelineName": "p"}, token=TOKEN)
    hook.answer_pauses = (0.0,)
    fake.fail_next("StopPipelineExecution", Fault(code))
    assert hook.stop_execution(arn, token=TOKEN) is True
    assert fake.executions[arn].stops == [TOKEN]


def test_the_child_environment_holds_credentials_region_and_endpoints(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    environment = hook.child_environment()
    assert environment["AWS_ACCESS_KEY_ID"] == "local"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:9"
    assert "AWS_PROFILE" not in environment


def test_a_client_of_another_service_has_the_connections_region_endpoint_and_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra = {"service_config": {"s3": {"endpoint_url": "http://127.0.0.1:7"}}, "region_name": "eu-west-1"}
    monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps({"conn_type": "aws", "extra": extra}))
    hook = SageMakerPipelinesHook(aws_conn_id="ours", config={"retries": {"max_attempts": 3}})
    found, sqs, elsewhere = hook.client_of("s3"), hook.client_of("sqs"), hook.client_of("s3", region_name="us-west-2")
    assert (found.meta.endpoint_url, sqs.meta.endpoint_url) == (
        "http://127.0.0.1:7",
        "https://sqs.eu-west-1.amazonaws.com",
    )
    assert [one.meta.region_name for one in (found, sqs, elsewhere)] == ["eu-west-1", "eu-west-1", "us-west-2"]
    assert found.meta.config.retries["total_max_attempts"] == 4
    assert hook.client_of("s3") is found  # made once


def test_a_client_of_another_service_has_the_region_that_the_task_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert (
        SageMakerPipelinesHook(aws_conn_id=None, region_name="eu-west-1").client_of("sqs").meta.region_name
        == "eu-west-1"
    )
    with pytest.raises(exceptions.PipelineAccessError, match="CreateClient on 'sqs'"):
        SageMakerPipelinesHook(aws_conn_id=None).client_of("sqs")


@pytest.mark.parametrize(("conn_id", "named"), [("ours", "'ours'"), (None, "(?i)'boto3's default chain'")])
def test_credentials_that_cannot_be_had_are_an_error_that_names_where_they_should_come_from(
    monkeypatch: pytest.MonkeyPatch, conn_id: str | None, named: str
) -> None:
    def refuse(**_: object) -> None:
        raise SSOTokenLoadError(error_msg="expired")

    monkeypatch.setenv("AIRFLOW_CONN_OURS", "aws://")
    hook = SageMakerPipelinesHook(aws_conn_id=conn_id, region_name="us-east-1")
    monkeypatch.setattr(hook, "get_session", refuse)
    with pytest.raises(exceptions.PipelineAccessError, match=named) as caught:
        hook.child_environment()
    assert "expired. Run 'aws sso login'" in str(caught.value)


def test_a_loopback_endpoint_is_not_aws(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    assert hook.is_aws_endpoint is False


def test_the_aws_endpoint_is_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    session = botocore.session.get_session()
    partitions = {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
    assert partitions <= set(session.get_available_partitions())
    # A botocore that is older than a partition's first region has the partition without it.
    regions = {one: session.get_available_regions("s3", one) for one in session.get_available_partitions()}
    for partition, (region, *_) in ((one, found) for one, found in regions.items() if found):
        hook = SageMakerPipelinesHook(aws_conn_id=None, region_name=region)
        assert hook.is_aws_endpoint, hook.conn_client_meta.endpoint_url
        assert hook.conn_partition == partition


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, {}),
        ("", {}),
        ("None", {}),
        (3, {"PipelineVersionId": 3}),
        ("3", {"PipelineVersionId": 3}),
        ("prod", {"PipelineVersionAlias": "prod"}),
        ("2.1", {"PipelineVersionAlias": "2.1"}),
    ],
)
def test_digits_are_a_version_and_words_an_alias(version: str | int | None, expected: dict[str, object]) -> None:
    assert plan_version_arguments(version) == expected


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "https://bucket/key", "bucket/key"])
def test_what_is_no_s3_object_is_refused(hook: SageMakerPipelinesHook, uri: str) -> None:
    with pytest.raises(exceptions.PipelineApiError, match="expected s3://bucket/key"):
        hook.read_s3_text(uri)
    with pytest.raises(exceptions.PipelineApiError, match="expected s3://bucket/key"):
        hook.write_s3_text(uri, "text")


def test_text_survives_s3(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    hook.write_s3_text("s3://bucket/defs/a.json", '{"a": "ü"}')
    assert hook.read_s3_text("s3://bucket/defs/a.json") == '{"a": "ü"}'
    with pytest.raises(exceptions.PipelineNotFoundError, match="NoSuchKey"):
        hook.read_s3_text("s3://bucket/defs/b.json")


def test_a_version_is_described_by_id_or_alias(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p", DEFINITION)
    assert hook.describe_pipeline("p", version=1).definition_text == hook.describe_pipeline("p").definition_text
    if not hook.knows_aliases():
        with pytest.raises(exceptions.OldClientError, match=r"boto3 1\.44\.0 or later is needed"):
            hook.describe_pipeline("p", version="prod")
        return
    hook.update_version_aliases("arn:aws:sagemaker:us-east-1:123456789012:pipeline/p", 1, add=["prod"])
    assert hook.describe_pipeline("p", version="prod").definition_text == hook.describe_pipeline("p").definition_text
    with pytest.raises(exceptions.PipelineNotFoundError):
        hook.describe_pipeline("p", version="staging")


@pytest.mark.skipif(
    version("apache-airflow-core").startswith("3.1."),
    reason="Airflow 3.1 cannot look for a connection in a process that it does not supervise, such as this one",
)
def test_a_connection_that_does_not_exist_is_an_error_that_names_it(
    fake: FakeSageMaker, fake_is_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add_pipeline("p")
    lost = SageMakerPipelinesHook(aws_conn_id="no_such")
    for call in (lambda: lost.describe_pipeline("p"), lambda: lost.client_of("s3"), lost.child_environment):
        with pytest.raises(
            exceptions.PipelineAccessError, match=r"no Airflow connection 'no_such'\. Create it"
        ) as caught:
            call()
        assert caught.value.is_final
    assert not fake.count("DescribePipeline")
    monkeypatch.setenv("AIRFLOW_CONN_OURS", "aws://")
    assert SageMakerPipelinesHook(aws_conn_id="ours").describe_pipeline("p").name == "p"
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    for name in (None, "aws_default"):
        assert SageMakerPipelinesHook(aws_conn_id=name).describe_pipeline("p").name == "p"


def test_tags_are_written_as_they_are_meant_or_refused(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.add_pipeline("p")
    arn = hook.describe_pipeline("p").arn
    hook.add_tags(arn, [{"Key": "team", "Value": "risk"}, {"Key": "env", "Value": "prod"}])
    assert hook.list_tags(arn) == {"team": "risk", "env": "prod"}
    for wrong in ({"Key": "team", "Value": "risk"}, [{"Key": "team"}], ["team=risk"], "team=risk"):
        with pytest.raises(exceptions.ArgumentError, match="tags="):
            hook.add_tags(arn, wrong)  # type: ignore[arg-type]
    assert fake.count("AddTags") == 1


def test_a_success_without_steps_is_asked_again_and_then_no_success(
    fake: FakeSageMaker, hook: SageMakerPipelinesHook
) -> None:
    fake.add_pipeline("p")
    hook.answer_pauses = (0.0, 0.0)
    fake.statuses, fake.steps = ["Succeeded"], []
    arn = hook.start_execution({"PipelineName": "p"}, token=TOKEN)
    with pytest.raises(exceptions.PipelineUnavailableError, match="names no step, though the execution has succeeded"):
        hook.describe_report(arn)
    assert fake.count("ListPipelineExecutionSteps") == 3
