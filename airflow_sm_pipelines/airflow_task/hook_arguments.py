"""The arguments of a hook, and the one place where operators, sensors and triggers make theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

_NO_RETRIES = {"retries": {"mode": "standard", "total_max_attempts": 1}}


@dataclass(frozen=True, slots=True)
class HookArguments:
    """Where calls go, and as whom.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param botocore_config: botocore client settings, such as ``{"connect_timeout": 5}``.
    """

    aws_conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None
    botocore_config: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two sets of arguments whose calls go to the same place as the same caller.

        A connection names its endpoint, so connection and region cover it.
        """
        config = json.dumps(self.to_json()["botocore_config"], sort_keys=True, default=str)
        return (self.aws_conn_id, self.region_name, self.verify, config)

    def to_json(self) -> dict[str, Any]:
        """The arguments by name, as a trigger takes them and Airflow stores them."""
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": None if self.botocore_config is None else dict(self.botocore_config),
        }

    def make_hook(self) -> SageMakerPipelinesHook:
        """A hook on this connection. Imports boto3."""
        return self._make(self.botocore_config)

    def make_hook_without_retries(self) -> SageMakerPipelinesHook:
        """A hook that passes each refusal on at once, for a caller that slows down all its calls by itself."""
        hook = self._make({**_NO_RETRIES, **(self.botocore_config or {})})
        hook.answer_pauses = ()
        return hook

    def _make(self, config: Mapping[str, Any] | None) -> SageMakerPipelinesHook:
        from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.aws_conn_id or None,
            region_name=self.region_name or None,
            verify=self.verify,
            config=None if config is None else dict(config),
        )
