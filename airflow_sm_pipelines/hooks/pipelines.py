"""SageMaker Pipelines through an Airflow AWS connection: typed calls, every page, our errors.

Everything about credentials, assumed roles, endpoints and proxies comes from the amazon provider's ``AwsBaseHook``.
Importing this module imports boto3, so operators and triggers import it where they use it.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.calls import DeployedPipeline, PipelineCalls, PipelineVersion, plan_version_arguments
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineConflictError, PipelineRequestError

__all__ = [
    "DeployedPipeline",
    "PipelineVersion",
    "SageMakerPipelinesHook",
    "parse_s3_uri",
    "plan_version_arguments",
]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.definition.json_value import JsonObject

_AWS_DNS_SUFFIXES = (
    *(".amazonaws.com", ".api.aws"),  # aws, aws-us-gov
    *(".amazonaws.com.cn", ".api.amazonwebservices.com.cn"),  # aws-cn
    *(".amazonaws.eu", ".api.amazonwebservices.eu"),  # aws-eusc
    *(".c2s.ic.gov", ".sc2s.sgov.gov", ".cloud.adc-e.uk", ".csp.hci.ic.gov"),  # aws-iso, -iso-b, -iso-e, -iso-f
)
"""Source: ``dnsSuffix`` of every partition in botocore's ``endpoints.json``."""
_SERVICES_OF_SCRIPTS = ("s3", "sagemaker", "sts", "iam", "lambda", "logs", "ecr")


class SageMakerPipelinesHook(PipelineCalls, AwsBaseHook):
    """Talk to SageMaker Pipelines: deploy, start, watch, stop and read.

    Botocore retries in adaptive mode, ten attempts, unless the connection configures retries itself. Errors are
    :class:`~airflow_sm_pipelines.exceptions.PipelineApiError` and its subclasses.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param config: botocore client settings; they win over this hook's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Bind the hook to the SageMaker client."""
        kwargs["client_type"] = "sagemaker"
        super().__init__(*args, **kwargs)

    @property
    def config(self) -> Config:
        """The connection's botocore settings, with adaptive retries where it has none."""
        configured: Config = super().config
        if getattr(configured, "retries", None):
            return configured
        return configured.merge(Config(retries={"mode": "adaptive", "max_attempts": 10}))

    # --- executions -------------------------------------------------------------------------------------------------

    def start_execution(self, request: Mapping[str, Any], *, token: str) -> str:
        """Start an execution and give its ARN; the same token and request give the same execution again.

        :param request: ``StartPipelineExecution``'s input without ``ClientRequestToken``.
        :param token: 32 to 128 characters.
        """
        with mapped_errors("StartPipelineExecution", str(request.get("PipelineName"))):
            return str(self.conn.start_pipeline_execution(**request, ClientRequestToken=token)["PipelineExecutionArn"])

    def retry_execution(self, arn: str, *, token: str, parallelism: Mapping[str, Any] | None = None) -> None:
        """Resume a failed or stopped execution from the steps that did not succeed."""
        request: dict[str, Any] = {"PipelineExecutionArn": arn, "ClientRequestToken": token}
        if parallelism:
            request["ParallelismConfiguration"] = dict(parallelism)
        with mapped_errors("RetryPipelineExecution", arn):
            self.conn.retry_pipeline_execution(**request)

    def stop_execution(self, arn: str, *, token: str) -> bool:
        """Ask for an execution to stop; False if it had already ended or was stopping."""
        try:
            with mapped_errors("StopPipelineExecution", arn):
                self.conn.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
        except (PipelineConflictError, PipelineRequestError):
            # The service has one code for 'already ended' and for a wrong ARN; the state tells them apart.
            if self.describe_execution(arn).status != "Executing":
                return False
            raise
        return True

    def describe_execution_start(self, arn: str) -> tuple[ExecutionReport, datetime | None]:
        """An execution's state, without its steps, and when it was created."""
        report, created, _ = self.describe_execution_times(arn)
        return report, created

    def list_executions_page(self, *, token: str | None = None, **request: Any) -> tuple[list[JsonObject], str | None]:
        """One page of executions of a pipeline, newest first, and the token of the next page.

        :param token: what the page before gave; None for the first.
        :param request: ``ListPipelineExecutions``' arguments.
        """
        request |= {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
        if token is not None:
            request["NextToken"] = token
        with mapped_errors("ListPipelineExecutions", str(request.get("PipelineName"))):
            answer = self.conn.list_pipeline_executions(**request)
        return list(answer.get("PipelineExecutionSummaries") or ()), answer.get("NextToken")

    def describe_report(self, arn: str) -> ExecutionReport:
        """An execution's state with all its steps: two calls, and one more for each further hundred steps.

        The state is read first, so that a terminal state never comes with steps that are still running.
        """
        return self.describe_execution(arn).with_steps(self.describe_execution_steps(arn))

    def describe_execution_definition(self, arn: str) -> str:
        """The definition an execution runs, JSON text."""
        with mapped_errors("DescribePipelineDefinitionForExecution", arn):
            answer = self.conn.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
        return str(answer["PipelineDefinition"])

    def describe_resource(self, operation: str, argument: str, value: str) -> JsonObject:
        """The answer of one ``Describe*`` call, such as ``describe_training_job``.

        :param operation: the boto3 method.
        :param argument: its one argument.
        :param value: the argument's value.
        """
        with mapped_errors(operation, value):
            answer = getattr(self.conn, operation)(**{argument: value})
        return {key: item for key, item in answer.items() if key != "ResponseMetadata"}

    # --- S3 and logs ------------------------------------------------------------------------------------------------

    def read_s3_text(self, uri: str) -> str:
        """The text of an S3 object.

        :param uri: ``s3://bucket/key``.
        """
        bucket, key = parse_s3_uri(uri)
        with mapped_errors("GetObject", uri):
            body: bytes = self.client_of("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.decode("utf-8")

    def write_s3_text(self, uri: str, text: str) -> None:
        """Put a text into an S3 object."""
        bucket, key = parse_s3_uri(uri)
        with mapped_errors("PutObject", uri):
            self.client_of("s3").put_object(Bucket=bucket, Key=key, Body=text.encode("utf-8"))

    def read_log_tail(self, group: str, stream_prefix: str, *, max_lines: int) -> list[str]:
        """The last lines of the newest CloudWatch log stream with this prefix; empty when there is none."""
        from airflow_sm_pipelines.client.job_logs import read_stream_tail

        return read_stream_tail(self.client_of("logs"), group, stream_prefix, max_lines=max_lines)

    # --- where calls go -----------------------------------------------------------------------------------------------

    @property
    def is_aws_endpoint(self) -> bool:
        """Whether calls go to AWS itself, so that its console knows what they make."""
        host = urlsplit(self.conn_client_meta.endpoint_url).hostname or ""
        return host.endswith(_AWS_DNS_SUFFIXES)

    def child_environment(self) -> dict[str, str]:
        """Credentials, region and endpoints as environment variables, for a child process that uses boto3.

        :raises PipelineAccessError: if the connection yields no credentials.
        """
        with mapped_errors("GetCredentials", self.aws_conn_id or "boto3's default chain"):
            credentials = self.get_credentials(region_name=self.region_name)
        region = self.conn_region_name
        found = {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }
        if credentials.token:
            found["AWS_SESSION_TOKEN"] = credentials.token
        for name in (
            "AWS_CA_BUNDLE",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_USE_FIPS_ENDPOINT",
            "AWS_USE_DUALSTACK_ENDPOINT",
        ):
            if name in os.environ:
                found[name] = os.environ[name]
        found |= {name: value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")}
        for service in _SERVICES_OF_SCRIPTS:
            url = self.conn_config.get_service_endpoint_url(service)
            if url:
                found[f"AWS_ENDPOINT_URL_{service.upper()}"] = url
        return found

    @cached_property
    def _clients(self) -> dict[tuple[str, str | None], Any]:
        return {}

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        """A boto3 client of another service on the same connection.

        :param region_name: another region than the connection's.
        """
        key = service, region_name
        if key not in self._clients:
            self._clients[key] = self.get_session(region_name=region_name or self.region_name).client(
                service,
                endpoint_url=self.conn_config.get_service_endpoint_url(service),
                config=self.config,
                verify=self.verify,
            )
        return self._clients[key]


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """The bucket and key of ``s3://bucket/key``.

    :raises PipelineApiError: if it is something else.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise PipelineApiError(f"'{uri}' is not an S3 object: expected s3://bucket/key.", code="InvalidS3Uri")
    return bucket, key
