"""Calls with boto3's own credentials: what the command line uses where the Airflow side has its connection."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.calls import SageMakerCalls
from airflow_sm_pipelines.client.child_credentials import make_child_environment
from airflow_sm_pipelines.exceptions import PipelineAccessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from botocore.session import Session


class SessionCalls(SageMakerCalls):
    """Calls through a boto3 session, which is made with the first client: its import takes longer than botocore's.

    :param session: has the credentials and the region, of boto3 or botocore; boto3's default session where not given.
    :param endpoint_url: where every service answers; boto3's own choice where not given.
    :param environment: the variables whose endpoints a child process gets; this process's where not given.
    """

    def __init__(
        self,
        session: boto3.Session | Session | None = None,
        *,
        endpoint_url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if session is None:
            import botocore.session

            session = botocore.session.Session()
        # boto3's session wraps one of botocore, and no other may wrap the same.
        self._given = session
        self._session: Session = getattr(session, "_session", session)
        self._endpoint_url = endpoint_url
        self._environment = environment
        self._clients: dict[tuple[str, str | None], Any] = {}

    @classmethod
    def open(cls, *, profile: str | None = None, region: str | None = None) -> SessionCalls:
        """Calls with the credentials of a profile, or of boto3's own chain.

        :param profile: the AWS profile; that of ``AWS_PROFILE``, or the default one, where not given.
        :param region: ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or the profile's where not given. boto3 itself does not
            look at ``AWS_REGION``.
        :raises PipelineAccessError: if there is no such profile, or no region.
        """
        import botocore.session
        from botocore.exceptions import ProfileNotFound

        session = botocore.session.Session(profile=profile)
        try:
            if chosen := region or os.environ.get("AWS_REGION"):
                session.set_config_variable("region", chosen)
            found = session.get_config_variable("region")
            session.get_scoped_config()
        except ProfileNotFound:
            if profile is None:
                raise
            known = ", ".join(botocore.session.Session().available_profiles) or "none"
            raise PipelineAccessError(
                f"There is no AWS profile {profile!r}. Configured: {known}.", code="ProfileNotFound"
            ) from None
        if found is None:
            raise PipelineAccessError(
                "No region is known: give --region, set AWS_REGION, or run this under 'sm-pipelines local exec --', "
                "which needs no AWS account.",
                code="NoRegionError",
            )
        return cls(session)

    @classmethod
    def at_endpoint(cls, environment: Mapping[str, str]) -> SessionCalls:
        """Calls to a local endpoint.

        :param environment: what a child of the endpoint gets, with its URL, region and credentials.
        """
        import boto3

        session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
        )
        return cls(session, endpoint_url=environment["AWS_ENDPOINT_URL"], environment=environment)

    @cached_property
    def conn(self) -> Any:
        """A boto3 client of SageMaker."""
        return self.client_of("sagemaker")

    @property
    def conn_region_name(self) -> str:
        """The region that calls go to."""
        return str(self._session.get_config_variable("region"))

    @cached_property
    def account_id(self) -> str:
        """The caller's AWS account, 12 digits."""
        return str(self.ask("get_caller_identity", "the caller", service="sts", required=("Account",))["Account"])

    @cached_property
    def _boto3_session(self) -> boto3.Session:
        import boto3

        return self._given if isinstance(self._given, boto3.Session) else boto3.Session(botocore_session=self._session)

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        """A boto3 client of a service, made once.

        :param region_name: another region than the session's.
        """
        key = service, region_name
        if key not in self._clients:
            with mapped_errors("CreateClient", service):
                self._clients[key] = self._boto3_session.client(
                    service, region_name=region_name, endpoint_url=self._endpoint_url
                )
        return self._clients[key]

    def on_call(self, check: Callable[..., None]) -> None:
        """Call a function before each request of the clients that are made from now on.

        :param check: gets botocore's ``model`` of the operation, and may raise.
        """
        self._session.get_component("event_emitter").register_first("before-parameter-build", check)
        self._clients.clear()
        self.__dict__.pop("conn", None)

    def child_environment(self) -> dict[str, str]:
        """Credentials, region and endpoints as environment variables, for a child process that uses boto3.

        A child without credentials gets none: a script that calls nothing needs none.

        :raises PipelineAccessError: if the credentials cannot be had, such as an expired single sign-on.
        """
        with mapped_errors("GetCredentials", self._session.profile or "default"):
            found = self._session.get_credentials()
            credentials = None if found is None else found.get_frozen_credentials()
        environment = os.environ if self._environment is None else self._environment
        return make_child_environment(credentials, region=self.conn_region_name, environment=environment)
