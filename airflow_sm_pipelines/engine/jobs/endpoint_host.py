"""Serves endpoints: starts the models of their variants, sends payloads to them, and keeps their records true.

Each endpoint that is made or changed has a thread until that is done; its models then run until it is changed again or
deleted, or the engine ends. After a restart, the models of an endpoint in service start with the first payload.

An endpoint is ``InService`` at once, as a record, if nothing here stands in for an image of it. Its payloads are
refused then. Choices where the service's behaviour is not documented: a failed change leaves the endpoint as it was,
with a FailureReason; a variant has one instance, whatever its count.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.engine.jobs.failures import JobFailure, shorten_reason
from airflow_sm_pipelines.engine.jobs.job_host import JobServices
from airflow_sm_pipelines.engine.jobs.job_log import JobLog, PatientLog
from airflow_sm_pipelines.engine.jobs.model_server import can_serve
from airflow_sm_pipelines.engine.jobs.served_model import ModelAnswer, ServedModel
from airflow_sm_pipelines.engine.registry.endpoints import (
    ENDPOINT,
    PLAN,
    SERVED,
    add_endpoint,
    end_plan,
    update_endpoint,
)
from airflow_sm_pipelines.engine.rules.errors import Interrupted, ModelError, ServiceError
from airflow_sm_pipelines.engine.rules.request_members import Effect, iter_members
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.engine.jobs.images import ImageCatalog
    from airflow_sm_pipelines.engine.jobs.job_directories import JobDirectories
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

_LOG = logging.getLogger(__name__)
LOG_GROUP = "/aws/sagemaker/Endpoints"
_INVOCATION_SECONDS = 60.0
"""The developer guide: a container must answer within 60 seconds."""
_NOT_HEALTHY = (
    " The primary container for production variant {variant} did not pass the ping health check. Please check "
    "CloudWatch logs for this endpoint."
)
"""The service's words."""
_PLAN_ID_ALPHABET = "0123456789abcdef"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Invocation:
    """The answer of a model.

    :param variant: which one answered.
    """

    body: bytes
    content_type: str | None
    variant: str


class EndpointServices(JobServices, Protocol):
    """What the endpoint host needs from outside; ``EngineServices`` has it."""

    @property
    def images(self) -> ImageCatalog:
        """What stands in for which image."""
        ...

    @property
    def new_id(self) -> Callable[[int, str], str]:
        """Gives random text of a length from an alphabet."""
        ...

    @property
    def serves_endpoints(self) -> bool:
        """Whether endpoints are served, or are records only."""
        ...


@dataclass(slots=True)
class _Serving:
    """The running models of an endpoint, by the names of its variants.

    :param lock: held while they are started or ended.
    :param ends: ends them and removes their files.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    models: dict[str, ServedModel] = field(default_factory=dict)
    ends: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        with self.lock:
            self.ends.close()
            self.models.clear()


class EndpointHost:
    """Makes, changes and deletes endpoints, and answers their payloads."""

    def __init__(self, store: Store, services: EndpointServices, *, directories: JobDirectories) -> None:
        self._store, self._services, self._directories = store, services, directories
        self._arns = ArnFactory(services.region, services.account_id)
        self._serving: dict[str, _Serving] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._numbers = itertools.count(1)

    def create(self, request: Mapping[str, Any]) -> ResourceRecord:
        """Record an endpoint, in the caller's transaction; :meth:`start` then makes it.

        :raises ServiceError: the service would refuse it.
        """
        plan_id = self._services.new_id(16, _PLAN_ID_ALPHABET)
        now = self._services.clock()
        return self._end_if_unserved(add_endpoint(self._store, self._arns, request, now=now, plan_id=plan_id), now)

    def update(self, request: Mapping[str, Any]) -> ResourceRecord:
        """Record the change of an endpoint, in the caller's transaction; :meth:`start` then makes it.

        :raises ServiceError: the service would refuse it.
        """
        plan_id = self._services.new_id(16, _PLAN_ID_ALPHABET)
        now = self._services.clock()
        return self._end_if_unserved(update_endpoint(self._store, self._arns, request, now=now, plan_id=plan_id), now)

    def start(self, name: str) -> None:
        """Carry out what is planned for an endpoint, in a thread."""
        record = self._store.resources.find(ENDPOINT, name)
        if record is None or self._closing.is_set():
            return
        if PLAN not in record.document:
            self.stop(name)  # a change to what nothing serves is done
            return
        thread = threading.Thread(target=self._carry_out, args=(record,), name="sm-endpoint-change", daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive()]
            self._threads.append(thread)
        thread.start()

    def resume(self) -> None:
        """Go on with what was planned when the last engine ended."""
        for name in self._store.resources.names(ENDPOINT, statuses=("Creating", "Updating")):
            self.start(name)

    def wait(self, name: str, stop: threading.Event) -> ResourceRecord | None:
        """Wait until an endpoint has what was planned for it, or `stop` is set; None if it is gone."""
        while True:
            record = self._store.resources.find(ENDPOINT, name)
            if record is None or PLAN not in record.document or stop.wait(_POLL_SECONDS):
                return record

    def stop(self, name: str) -> None:
        """End the models of an endpoint that was deleted."""
        with self._lock:
            serving = self._serving.pop(name, None)
        if serving is not None:
            serving.close()

    def close(self) -> None:
        """End all models; the records stay as they are."""
        self._closing.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        for name in list(self._serving):
            self.stop(name)

    def invoke(
        self,
        name: str,
        body: bytes,
        *,
        content_type: str | None,
        accept: str | None,
        variant: str | None = None,
        unserved: str | None = None,
    ) -> Invocation:
        """Send a payload to an endpoint.

        :param variant: the variant that must answer; by default one is drawn by the weights.
        :param unserved: what of the call nothing here serves, by its name in the API.
        :raises ServiceError: ``ValidationError``: the endpoint or the variant is not there, or nothing here serves it;
            ``ModelError``: the model gave no good answer.
        """
        record = self._store.resources.find(ENDPOINT, name)
        if record is None or record.status not in ("InService", "Updating"):
            raise _refusal(f"Endpoint {name} of account {self._services.account_id} not found.")
        served = record.document.get(SERVED) or []
        if reason := self._find_unserved(served):
            raise _refusal(
                f"Endpoint {name} is a record only: {reason} Score with a batch transform where that runs, or call the "
                "endpoint on AWS."
            )
        if unserved:
            raise _refusal(f"{unserved} is not served here. Call InvokeEndpoint without it, or the endpoint on AWS.")
        chosen = _choose(served, variant)
        model = self._require_model(name, served, chosen)
        try:
            answer = model.invoke(body, content_type=content_type, accept=accept, timeout_seconds=_INVOCATION_SECONDS)
        except TimeoutError:
            said = "Your invocation timed out while waiting for a response from container primary."
            answer = ModelAnswer(0, said.encode(), None, "primary")
        except OSError as error:
            answer = ModelAnswer(0, f"The container ended ({error}).".encode(), None, "primary")
        if answer.status != 200:
            raise self._explain(name, answer)
        return Invocation(answer.body, answer.content_type, chosen)

    def _end_if_unserved(self, record: ResourceRecord, now: datetime) -> ResourceRecord:
        if self._find_unserved(record.document[PLAN][SERVED]) is None:
            return record
        return end_plan(self._store, record, failure_reason=None, now=now)

    def _find_unserved(self, variants: Sequence[Mapping[str, Any]]) -> str | None:
        """Why nothing here serves these variants, in a sentence; None if it does."""
        if not self._services.serves_endpoints:
            return "endpoints are not served here."
        if not variants:
            return "an earlier version of the local endpoint made it; update it, and it is served."
        for variant in variants:
            if not variant["containers"]:
                return f"its variant '{variant['name']}' has no model, and inference components are not served here."
            for container in variant["containers"]:
                if not can_serve(container, self._services.images):
                    return f"the local endpoint serves no models of the image '{container.get('Image')}'."
        return None

    def _carry_out(self, record: ResourceRecord) -> None:
        plan = record.document[PLAN]
        serving = _Serving()
        reason: str | None
        try:
            reason = self._start_models(
                record.name,
                plan[SERVED],
                serving,
                config=plan["config"],
                is_over=lambda: self._closing.is_set() or self._find_planned(record) is None,
            )
        except Exception as error:  # noqa: BLE001 - what goes wrong in the engine fails the endpoint, not the thread
            _LOG.exception("Endpoint %s failed in the engine", record.name)
            reason = f"InternalServerError: {error}"
        before = None
        if reason is None:
            with self._lock:
                before, self._serving[record.name] = self._serving.get(record.name), serving
        is_wanted = False
        with suppress(Interrupted):
            if not self._closing.is_set():
                is_wanted = self._directories.room.write_surely(lambda: self._end(record, reason), self._closing)
        if before is not None:
            before.close()
        if reason is not None or not is_wanted:
            serving.close()

    def _end(self, record: ResourceRecord, reason: str | None) -> bool:
        """Record how a plan ended; False if nobody wants it any more."""
        with self._store.transaction():
            current = self._find_planned(record)
            if current is None:
                return False
            end_plan(self._store, current, failure_reason=reason, now=self._services.clock())
            return True

    def _find_planned(self, record: ResourceRecord) -> ResourceRecord | None:
        current = self._store.resources.find(ENDPOINT, record.name)
        plan = current.document.get(PLAN) if current is not None else None
        return current if plan is not None and plan["id"] == record.document[PLAN]["id"] else None

    def _start_models(
        self,
        name: str,
        variants: Sequence[Mapping[str, Any]],
        serving: _Serving,
        *,
        config: Mapping[str, Any],
        is_over: Callable[[], bool],
    ) -> str | None:
        """Start the models of variants, and give the reason if one cannot be.

        :param config: of the endpoint; a line says what of it has no effect.
        :param is_over: tells when nobody wants them any more.
        """
        for variant in variants:
            model, log = self._prepare_model(name, variant, serving)
            for rule in iter_members("CreateEndpointConfig", config, Effect.SAID):
                log.add("container-1", f"WARNING: {rule.name} has no effect here: {rule.reason}.")
            try:
                model.start(is_over)
            except (JobFailure, SageMakerPipelinesError, OSError) as error:
                log.add("container-1", str(error))
                log.flush()
                reason = f"{str(error).rstrip('.')}."
                if model.has_started:
                    reason += _NOT_HEALTHY.format(variant=variant["name"])
                return shorten_reason(reason)
        return None

    def _prepare_model(self, name: str, variant: Mapping[str, Any], serving: _Serving) -> tuple[ServedModel, JobLog]:
        """A model with a directory and a log, which ends with the others of its endpoint."""
        directory = self._directories.claim(f"endpoint-{name}-{next(self._numbers)}")
        context = self._services.job_context(f"{LOG_GROUP}/{name}")
        check = partial(self._directories.check, directory)
        context = replace(context, log=PatientLog(context.log).write, check_disk=check)
        log = JobLog(context.log, variant["name"])
        model = ServedModel(variant["containers"], context, log, directory=directory, is_offline=variant["is_offline"])
        serving.models[variant["name"]] = model
        serving.ends.enter_context(self._directories.room.used_by(directory))
        serving.ends.callback(self._directories.discard, directory)
        serving.ends.callback(model.close)
        return model, log

    def _require_model(self, name: str, variants: Sequence[Mapping[str, Any]], chosen: str) -> ServedModel:
        """The running model of a variant; it is started where it does not run, after a restart or its own end."""
        with self._lock:
            serving = self._serving.setdefault(name, _Serving())
        with serving.lock:
            model = serving.models.get(chosen)
            if model is not None and model.is_alive:
                return model
            wanted = [variant for variant in variants if variant["name"] == chosen]
            reason = self._start_models(name, wanted, serving, config={}, is_over=self._closing.is_set)
        if reason:
            raise self._explain(name, ModelAnswer(0, reason.encode(), None, "primary"))
        return serving.models[chosen]

    def _explain(self, name: str, answer: ModelAnswer) -> ModelError:
        """The error of a model that gave no good answer, in the service's words."""
        said = answer.body.decode("utf-8", errors="replace")
        whose = "client" if 400 <= answer.status < 500 else "server"
        group, region = f"{LOG_GROUP}/{name}", self._services.region
        return ModelError(
            f'Received {whose} error ({answer.status}) from {answer.container} with message "{said}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in "
            f"account {self._services.account_id} for more information.",
            status=answer.status,
            said=said,
            log_stream_arn=f"arn:aws:logs:{region}:{self._services.account_id}:log-group:{group}",
        )


def _choose(variants: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    names = [str(variant["name"]) for variant in variants]
    if wanted is not None and wanted not in names:
        raise _refusal(f"Variant {wanted} was not found; the endpoint has {', '.join(names)}.")
    weights = [variant["weight"] for variant in variants]
    if wanted is not None or not any(weights):
        return wanted or names[0]
    return secrets.SystemRandom().choices(names, weights)[0]


def _refusal(message: str) -> ServiceError:
    # The code of SageMaker Runtime, whose API model differs from SageMaker's in it.
    return ServiceError("ValidationError", message)
