"""The arguments of a hook, and the one place where operators, sensors and triggers make theirs."""

from __future__ import annotations

import json
import threading
import time
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


class SharedHooks:
    """Hooks that many threads of a triggerer share. Making one costs a third of a second of processor time.

    :param lifetime_seconds: how long one is used, so that changed credentials are seen.
    """

    def __init__(self, *, lifetime_seconds: float = 60.0) -> None:
        self._lifetime = lifetime_seconds
        self._lock = threading.Lock()
        self._hooks: dict[tuple[object, ...], tuple[float, SageMakerPipelinesHook]] = {}

    def get(self, arguments: HookArguments) -> SageMakerPipelinesHook:
        """The hook for these arguments; its client is made."""
        with self._lock:
            made_at, hook = self._hooks.get(arguments.key, (0.0, None))
            if hook is None or time.monotonic() - made_at > self._lifetime:
                hook = arguments.make_hook()
                _ = hook.conn
                self._hooks[arguments.key] = (time.monotonic(), hook)
            return hook

    def forget(self, arguments: HookArguments) -> None:
        """Make the next one anew: this one's calls are refused."""
        with self._lock:
            self._hooks.pop(arguments.key, None)


SHARED_HOOKS = SharedHooks()
"""The one state of this module: a thousand tasks that are ended together stop their executions through one client."""
