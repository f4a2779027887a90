"""Calls with boto3's own credentials: what the command line uses where the Airflow side has its calls."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.client.child_credentials import make_child_environment

if TYPE_CHECKING:
    import boto3


class SessionCalls(SageMakerCalls):
    """Calls through a boto3 session.

    :param session: has the credentials and the region; boto3's default session where not given.
    :param endpoint_url: where every service answers; boto3's own choice where not given.
    :raises PipelineAccessError: if there is no region.
    """

    def __init__(self, session: boto3.Session | None = None, *, endpoint_url: str | None = None) -> None:
        if session is None:
            import boto3

            session = boto3.Session()
        self._session = session
        self._endpoint_url = endpoint_url
        self._clients: dict[tuple[str, str | None], Any] = {}
        self.conn: Any = self.client_of("sagemaker")

    @property
    def conn_region_name(self) -> str:
        """The region that calls go to."""
        return str(self.conn.meta.region_name)

    @cached_property
    def account_id(self) -> str:
        """The caller's AWS account, 12 digits."""
        with mapped_errors("GetCallerIdentity", "the caller"):
            return str(self.client_of("sts").get_caller_identity()["Account"])

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        """A boto3 client of a service, made once.

        :param region_name: another region than the session's.
        """
        key = service, region_name
        if key not in self._clients:
            with mapped_errors("CreateClient", service):
                self._clients[key] = self._session.client(
                    service, region_name=region_name, endpoint_url=self._endpoint_url
                )
        return self._clients[key]

    def child_environment(self) -> dict[str, str]:
        """Credentials, region and endpoints as environment variables, for a child process that uses boto3.

        :raises PipelineAccessError: if there are no credentials.
        """
        with mapped_errors("GetCredentials", self._session.profile_name):
            found = self._session.get_credentials()
            credentials = None if found is None else found.get_frozen_credentials()
        return make_child_environment(credentials, region=self.conn_region_name, environment=os.environ)
