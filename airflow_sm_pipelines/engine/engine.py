"""The engine as others use it: API operations as calls, and the threads behind them.

There is no HTTP here. Requests and answers are dictionaries of the API's shapes; times in them are aware datetimes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.driver.event_publisher import EventPublisher
from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinitions
from airflow_sm_pipelines.engine.driver.runner import Runner
from airflow_sm_pipelines.engine.operations import OperationContext, all_operations
from airflow_sm_pipelines.engine.operations.reliances import Reliance, find_reliances, log_reliances
from airflow_sm_pipelines.engine.operations.tags import owns_arn
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.services import SteadyClock
from airflow_sm_pipelines.engine.store import Store
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.endpoint_host import Invocation
    from airflow_sm_pipelines.engine.services import EngineServices


class Engine:
    """SageMaker Pipelines on this machine, with its state in one directory.

    :param state_dir: made if it does not exist; one engine at a time may use it.
    :param services: what the engine needs from outside.
    :param max_workers: how many jobs and functions run at once; by default four, or two for each CPU if that is more.
    :raises LocalEndpointError: the directory cannot be used.
    """

    def __init__(self, state_dir: Path, services: EngineServices, *, max_workers: int | None = None) -> None:
        self._store = Store(state_dir)
        latest = from_ms(self._store.executions.latest_change_ms())
        services = replace(services, clock=SteadyClock(services.clock, not_before=latest))
        self._services = services
        definitions = ParsedDefinitions()
        self._runner = Runner(
            self._store,
            services,
            definitions,
            jobs_directory=state_dir / "jobs",
            max_workers=max_workers or max(4, 2 * (os.cpu_count() or 1)),
        )
        self._publisher = EventPublisher(self._store, services, definitions)
        self._context = OperationContext(
            store=self._store,
            services=services,
            arns=ArnFactory(services.region, services.account_id),
            runner=self._runner,
            definitions=definitions,
        )
        self._runner.on_end = partial(log_reliances, self._context)
        self._operations = all_operations()

    @property
    def operations(self) -> frozenset[str]:
        """The names of the API operations that ``call`` takes."""
        return frozenset(self._operations)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one API call. When this returns, the changes are on disk.

        :param request: of the input shape of the API, and checked against it; times are aware datetimes.
        :return: of the output shape of the API.
        :raises ServiceError: what the service would answer instead.
        """
        if operation not in self._operations:
            raise ServiceError("UnknownOperationException", f"The engine does not know the operation {operation}.")
        # An operation that only reads sees one state: a pipeline does not lose its versions between two reads.
        reads = self._store.snapshot() if operation.startswith(("Describe", "List", "Search")) else nullcontext()
        try:
            with reads:
                return self._operations[operation](self._context, request)
        except sqlite3.Error as error:
            raise ServiceError(
                "InternalFailure", f"The engine's state could not be read or written, nothing was changed: {error}."
            ) from error

    def invoke_endpoint(
        self,
        name: str,
        body: bytes,
        *,
        content_type: str | None,
        accept: str | None,
        variant: str | None = None,
        unserved: str | None = None,
    ) -> Invocation:
        """Answer one payload by the model behind an endpoint (:meth:`EndpointHost.invoke`).

        :raises ServiceError: what the service would answer instead.
        """
        return self._runner.endpoints.invoke(
            name, body, content_type=content_type, accept=accept, variant=variant, unserved=unserved
        )

    def find_reliances(self, since: datetime) -> list[Reliance]:
        """What may differ on AWS of the executions that were started, or have gone on, since a moment."""
        return find_reliances(self._context, since)

    def owns(self, arn: str) -> bool:
        """Whether the engine keeps what this ARN names, and so answers for its tags."""
        return owns_arn(self._context, arn)

    def start(self) -> None:
        """Start working, and continue what was open when the last engine on this directory ended."""
        self._publisher.start()
        self._runner.start()

    def stop(self) -> None:
        """Stop working. The next start continues open executions."""
        self._runner.close()
        self._publisher.close()
        self._services.launcher.close()
        self._store.close()
