"""The hook: the calls of :mod:`airflow_sm_pipelines.client.calls` through an Airflow AWS connection.

Credentials, assumed roles, endpoints and proxies are those of the amazon provider's ``AwsBaseHook``. Importing this
module imports boto3, so operators and triggers import it where they use it.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from airflow_sm_pipelines.airflow_names import AirflowNotFoundException
from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.client.child_credentials import make_child_environment
from airflow_sm_pipelines.definition.partitions import AWS_DNS_SUFFIXES
from airflow_sm_pipelines.exceptions import PipelineAccessError

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

_SERVICES_OF_SCRIPTS = ("s3", "sagemaker", "sts", "iam", "lambda", "logs", "ecr")


class SageMakerPipelinesHook(AwsBaseHook, SageMakerCalls):
    """Talk to SageMaker Pipelines: deploy, start, watch, stop and read.

    Botocore retries in adaptive mode, ten attempts, unless the connection configures retries itself. Errors are
    :class:`~airflow_sm_pipelines.exceptions.PipelineApiError` and its subclasses.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain. One that does not exist is an
        error, but for ``aws_default``, without which boto3's own chain is used.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param config: botocore client settings; they win over this hook's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "sagemaker"
        super().__init__(*args, **kwargs)

    @property
    def config(self) -> Config:
        """The connection's botocore settings, with adaptive retries where it has none."""
        configured: Config = super().config
        if getattr(configured, "retries", None):
            return configured
        return configured.merge(Config(retries={"mode": "adaptive", "max_attempts": 10}))

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The connection, read from Airflow.

        The amazon provider falls back to boto3's own credentials where a connection is missing. A paid execution must
        not start under whatever these are. Only ``aws_default``, which nobody has to name, may be missing.

        :raises PipelineAccessError: naming the connection that does not exist.
        """
        name = self.aws_conn_id
        if name and name != self.default_conn_name:
            try:
                self.get_connection(name)
            except AirflowNotFoundException as error:
                raise PipelineAccessError(
                    f"There is no Airflow connection {name!r}. Create it, or correct aws_conn_id; aws_conn_id=None "
                    "asks for boto3's own credentials.",
                    code="ConnectionNotFound",
                ) from error
        found: AwsConnectionWrapper = super().conn_config
        return found

    @cached_property
    def conn(self) -> Any:
        """A boto3 client of SageMaker.

        :raises PipelineApiError: if it cannot be made: without a region, or with a connection that is not there.
        """
        with mapped_errors("CreateClient", "sagemaker"):
            return super().conn

    @cached_property
    def account_id(self) -> str:
        """The caller's AWS account, 12 digits."""
        return str(self.ask("get_caller_identity", "the caller", service="sts", required=("Account",))["Account"])

    # --- where calls go -----------------------------------------------------------------------------------------------

    @property
    def is_aws_endpoint(self) -> bool:
        """Whether calls go to AWS itself, so that its console shows what they create."""
        host = urlsplit(self.conn_client_meta.endpoint_url).hostname or ""
        return host.endswith(AWS_DNS_SUFFIXES)

    def child_environment(self) -> dict[str, str]:
        """Credentials, region and endpoints as environment variables, for a child process that uses boto3.

        A child without credentials gets none: a script that calls nothing needs none.

        :raises PipelineAccessError: if the credentials cannot be had, such as an expired single sign-on.
        """
        with mapped_errors("GetCredentials", self.aws_conn_id or "boto3's default chain"):
            found = self.get_session(region_name=self.region_name).get_credentials()
            # The provider's own method also masks them in logs, but dies where there are none.
            credentials = None if found is None else self.get_credentials(region_name=self.region_name)
        urls = {name: self.conn_config.get_service_endpoint_url(name) for name in _SERVICES_OF_SCRIPTS}
        return make_child_environment(
            credentials,
            region=self.conn_region_name,
            environment=os.environ,
            endpoint_urls={name: url for name, url in urls.items() if url},
        )

    @cached_property
    def _clients(self) -> dict[tuple[str, str | None], Any]:
        return {}

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        """A boto3 client of another service on the same connection.

        :param region_name: another region than the connection's.
        """
        key = service, region_name
        if key not in self._clients:
            with mapped_errors("CreateClient", service):
                self._clients[key] = self.get_session(region_name=region_name or self.region_name).client(
                    service,
                    endpoint_url=self.conn_config.get_service_endpoint_url(service),
                    config=self.config,
                    verify=self.verify,
                )
        return self._clients[key]
