"""The arguments that every operator of this package takes for its AWS connection, and the hook made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

AWS_TEMPLATE_FIELDS = ("aws_conn_id", "region_name")


class SageMakerPipelinesOperator(BaseOperator):
    """An operator that talks to SageMaker Pipelines; a base for the others.

    It does not stand on the amazon provider's ``AwsBaseOperator``: importing that costs every parse of a DAG file a
    second.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param botocore_config: botocore client settings, such as ``{"connect_timeout": 5}``.
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Hold the arguments; nothing is checked or called before the task runs."""
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.link_addresses: dict[str, str] = {}

    def publish_links(self, ti: Any, addresses: Mapping[str, str]) -> None:
        """Make links visible now, while the task still runs: addresses by XCom key."""
        self.link_addresses.update(addresses)
        if self.do_xcom_push:
            for key, address in addresses.items():
                ti.xcom_push(key=key, value=address)

    def make_hook(self) -> SageMakerPipelinesHook:
        """A hook on this operator's connection."""
        from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.aws_conn_id or None,
            region_name=self.region_name or None,
            verify=self.verify,
            config=None if self.botocore_config is None else dict(self.botocore_config),
        )
