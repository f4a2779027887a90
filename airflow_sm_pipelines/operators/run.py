"""The operator that starts a pipeline execution exactly once, waits for it, and publishes its outputs."""

from __future__ import annotations

import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from airflow_sm_pipelines.exceptions import (
    DefinitionError,
    PipelineAccessError,
    PipelineApiError,
    PipelineExecutionFailedError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.hooks.outputs import OutputReader, OutputRequest, parse_output_requests, to_json_value
from airflow_sm_pipelines.hooks.reports import ExecutionReport, parse_report
from airflow_sm_pipelines.hooks.tokens import make_stop_token
from airflow_sm_pipelines.hooks.waiting import ProgressLog, Verdict, WaitPolicy, parse_event, render_failure
from airflow_sm_pipelines.hooks.watch import ExecutionWatch, ended_event
from airflow_sm_pipelines.links.console import (
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.operators.aws_arguments import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.operators.faults import failing_fast, raise_final
from airflow_sm_pipelines.operators.naming import make_display_name
from airflow_sm_pipelines.operators.submission import (
    RETRY_CHOICES,
    SubmissionStore,
    TaskIdentity,
    is_resumable,
    parse_identity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

_KILL_PATIENCE_SECONDS = 4.0
_DEATH_PATIENCE_SECONDS = 10.0


class SageMakerRunPipelineOperator(SageMakerPipelinesOperator):
    """Run a SageMaker pipeline: start one execution, wait for it, publish what it made.

    **Exactly once.** The start call carries a token made from the task instance and a submission counter; token,
    request and ARN go to Airflow's task state store (3.3) around the call. A retry goes on with the execution there
    is; a clear stops it, if it still runs, and starts another.

    **XComs.** ``multiple_outputs`` is on: the return value is one dict, and each of its keys is an XCom of its own, so
    ``run.output["rmse"]`` and ``run.output`` both resolve. The keys: ``pipeline_name``, ``pipeline_execution_arn``,
    ``pipeline_version_id``, ``status``, ``failure_reason``, ``steps`` (a list of name, type, status, seconds, job
    ARN), and one for each of ``outputs``. All are pushed, None where there is no value. A task that fails pushes the
    default keys before it does.

    **Retries.** See :mod:`airflow_sm_pipelines.operators.faults` for the faults that are not retried.

    :param pipeline_name: name or ARN of the pipeline.
    :param version: version id or alias to run; None for the latest.
    :param parameters: pipeline parameters, typed or as text; checked against the deployed definition before the call.
    :param outputs: what to read from the ended execution, by XCom key:
        ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``{"property_file":
        "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"}``. An output whose step did not run
        is None; ``{"property": "Steps.…", "required": True}`` makes its absence an error.
    :param display_name: of the execution; made from DAG and run where not given.
    :param description: of the execution; names DAG, run and task where not given.
    :param max_parallel_steps: steps of this execution that may run at once; the pipeline's own setting where not given.
    :param select_steps: run only these steps.
    :param from_step: run only this step and all that depends on it.
    :param source_execution_arn: the execution whose results selected steps take; the newest one that will do, where
        not given.
    :param role_arn: the role of this execution; the pipeline's where not given.
    :param mlflow_experiment_name: the MLflow experiment of this execution; the definition's where not given.
    :param assets: outputs that become assets when the task succeeds: the name of an ``AssetAlias`` by output name,
        as ``{"model": "trained-models"}``; the output must be a URI. DAGs scheduled on the alias then run.
    :param wait_for_completion: wait for the end; False returns as soon as the execution has started, without outputs.
    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``.
    :param waiter_delay: seconds between two looks at a long execution; a young one is looked at more often.
    :param progress_delay: seconds between two looks at the steps of a deferred execution, whose transitions are then
        in the task's log while it waits; None leaves them for its end. A task that does not defer logs them always.
    :param max_wait_seconds: give up after so long; ``execution_timeout`` limits a deferred wait as well.
    :param on_stopped: ``"fail"``, ``"succeed"`` or ``"skip"`` when somebody stopped the execution.
    :param on_completed_with_failures: the same for an execution that ended although a step failed.
    :param on_retry: what an Airflow retry does about a failed execution: ``"resume"`` it from its failed steps,
        ``"restart"`` with a new one, or ``"fail"`` at once, without retries. One that a Fail step ended cannot be
        resumed.
    :param stop_on_kill: stop the execution when the task is marked, cleared or timed out while it waits.
    :param log_lines: last log lines of each failed job to put into the error; 0 for none.
    :param studio_domain_id: ``d-…``: lets the links lead to the execution itself instead of to Studio.
    """

    template_fields: Sequence[str] = (
        "pipeline_name",
        "version",
        "parameters",
        "outputs",
        "display_name",
        "description",
        "select_steps",
        "from_step",
        "source_execution_arn",
        "role_arn",
        "mlflow_experiment_name",
        *AWS_TEMPLATE_FIELDS,
    )
    template_fields_renderers = {"parameters": "json", "outputs": "json"}
    operator_extra_links = (SageMakerPipelineExecutionLink(), SageMakerPipelineLink(), SageMakerJobLogsLink())
    ui_color = "#e8f3ef"

    def __init__(
        self,
        *,
        pipeline_name: str,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        description: str | None = None,
        max_parallel_steps: int | None = None,
        select_steps: Sequence[str] | None = None,
        from_step: str | None = None,
        source_execution_arn: str | None = None,
        role_arn: str | None = None,
        mlflow_experiment_name: str | None = None,
        assets: Mapping[str, str] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        waiter_delay: float = 30,
        progress_delay: float | None = None,
        max_wait_seconds: float | None = None,
        on_stopped: str = "fail",
        on_completed_with_failures: str = "fail",
        on_retry: str = "resume",
        stop_on_kill: bool = True,
        log_lines: int = 20,
        studio_domain_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Hold the arguments; they are checked when the task runs."""
        kwargs.setdefault("multiple_outputs", True)
        if assets:
            kwargs["outlets"] = [*_as_list(kwargs.get("outlets")), *map(AssetAlias, dict.fromkeys(assets.values()))]
        super().__init__(**kwargs)
        self.pipeline_name = pipeline_name
        self.version = version
        self.parameters = parameters
        self.outputs = outputs
        self.display_name = display_name
        self.description = description
        self.max_parallel_steps = max_parallel_steps
        self.select_steps = select_steps
        self.from_step = from_step
        self.source_execution_arn = source_execution_arn
        self.role_arn = role_arn
        self.mlflow_experiment_name = mlflow_experiment_name
        self.assets = assets
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.progress_delay = progress_delay
        self.max_wait_seconds = max_wait_seconds
        self.on_stopped = on_stopped
        self.on_completed_with_failures = on_completed_with_failures
        self.on_retry = on_retry
        self.stop_on_kill = stop_on_kill
        self.log_lines = log_lines
        self.studio_domain_id = studio_domain_id
        self._execution_arn: str | None = None
        self._identity: TaskIdentity | None = None
        self._is_ended_by_hand = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, or take up, the execution; wait for its end, or defer; publish."""
        from airflow_sm_pipelines.operators.submitter import ExecutionSubmitter

        identity = self._identity = parse_identity(context)
        policy, _ = self._checked()
        hook = self.make_hook()
        with failing_fast():
            submitter = ExecutionSubmitter(
                hook,
                store=SubmissionStore(context.get("task_state_store")),
                identity=identity,
                policy=policy,
                on_retry=self.on_retry,
                log=self.log,
            )
            arn = self._execution_arn = submitter.submit(self._plan_request(hook, identity))
            self._announce(context, hook, arn)
            if not self.wait_for_completion:
                return self._result(hook.describe_execution(arn))
        deadline = self._deadline()
        if self._is_deferrable():
            self._defer(arn, deadline)
        watch = ExecutionWatch(
            arn, waiter_delay=self.waiter_delay, deadline=deadline, log=self.log.info, warn=self.log.warning
        )
        while (event := watch.look(hook)) is None:
            time.sleep(watch.delay_seconds)
        return self._finish(context, hook, event)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, execution_arn: str | None = None
    ) -> dict[str, Any]:
        """Go on after the deferral: publish, or fail with the reason.

        :param event: the trigger's event; None where Airflow lost it, and then the execution is asked again.
        :param execution_arn: what was waited for; ``airflow dags test`` drops it.
        """
        self._identity = parse_identity(context)
        hook = self.make_hook()
        if event is None:
            with failing_fast():
                last = SubmissionStore(context.get("task_state_store")).load()
                arn = execution_arn or (last.execution_arn if last else None)
                if arn is None:
                    raise PipelineExecutionFailedError(
                        "The deferred wait ended without an event, and its execution is unknown."
                    )
                self._execution_arn = arn
                report = hook.describe_report(arn)
                if not report.is_terminal:
                    self._defer(arn, self._deadline())
                event = ended_event(report)
        self._execution_arn = event.get("execution_arn")
        return self._finish(context, hook, event)

    def on_kill(self) -> None:
        """Stop the execution, unless only the worker is going away and the next attempt will take it up.

        Airflow calls this in a signal handler, on top of whatever call was interrupted; so the stop is sent from a
        thread and a client of its own, within the five seconds that Airflow leaves.
        """
        if not self.stop_on_kill or self._execution_arn is None:
            return
        is_timeout = sys.exc_info()[0] is not None and sys.exc_info()[0].__name__ == "AirflowTaskTimeout"  # type: ignore[union-attr]
        thread = threading.Thread(target=self._stop_execution, args=(self._execution_arn, is_timeout), daemon=True)
        thread.start()
        thread.join(_KILL_PATIENCE_SECONDS)
        if self._is_ended_by_hand:
            # Airflow lets the interrupted code go on until SIGKILL: it would see the execution stopped, and report a
            # failure that may reach the task's next attempt.
            time.sleep(_DEATH_PATIENCE_SECONDS)

    # --- before the execution ---------------------------------------------------------------------------------------

    def _checked(self) -> tuple[WaitPolicy, tuple[OutputRequest, ...]]:
        """The wait policy and the outputs, checked.

        :raises AirflowFailException: naming the argument that is wrong.
        """
        with failing_fast():
            requests = parse_output_requests(self.outputs or {})
        if self.on_retry not in RETRY_CHOICES:
            raise_final(f"on_retry={self.on_retry!r}: expected one of {', '.join(map(repr, RETRY_CHOICES))}.")
        unknown = set(self.assets or ()) - {request.name for request in requests}
        if unknown:
            raise_final(f"assets names outputs that are not in outputs: {', '.join(sorted(unknown))}.")
        if requests and not self.wait_for_completion:
            raise_final("outputs need wait_for_completion=True: they exist only when the execution has ended.")
        try:
            policy = WaitPolicy(on_stopped=self.on_stopped, on_completed_with_failures=self.on_completed_with_failures)
        except ValueError as error:
            raise_final(str(error), error)
        return policy, requests

    def _plan_request(self, hook: SageMakerPipelinesHook, identity: TaskIdentity) -> dict[str, Any]:
        from airflow_sm_pipelines.hooks.pipelines import plan_version_arguments

        index = f"-{identity.map_index}" if identity.map_index >= 0 else ""
        display_name = self.display_name or f"{identity.dag_id}-{identity.task_id}{index}-{identity.run_id}"
        description = self.description or (
            f"Started by Airflow: DAG {identity.dag_id}, run {identity.run_id}, task {identity.task_id}{index}"
        )
        request: dict[str, Any] = {
            "PipelineName": self.pipeline_name,
            "PipelineExecutionDisplayName": make_display_name(display_name),
            "PipelineExecutionDescription": description[:3072],
            **plan_version_arguments(self.version),
        }
        if self.parameters:
            request["PipelineParameters"] = self._encode_parameters(hook)
        if self.select_steps or self.from_step:
            request["SelectiveExecutionConfig"] = self._plan_selection(hook)
        for key, value in (("RoleArn", self.role_arn), ("MlflowExperimentName", self.mlflow_experiment_name)):
            if value:
                request[key] = value
        if self.max_parallel_steps is not None:
            request["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": int(self.max_parallel_steps)}
        return request

    def _plan_selection(self, hook: SageMakerPipelinesHook) -> dict[str, Any]:
        from airflow_sm_pipelines.definition import parse_definition
        from airflow_sm_pipelines.operators.selection import find_source, plan_selection, write_selection

        deployed = hook.describe_pipeline(self.pipeline_name, version=self.version)
        definition = parse_definition(deployed.definition_text, name=deployed.name)
        selection = plan_selection(definition, steps=self.select_steps or (), from_step=self.from_step or None)
        source = self.source_execution_arn or find_source(hook, self.pipeline_name, selection)
        self.log.info("Selected steps: %s; source execution: %s", ", ".join(selection.steps), source or "none needed")
        return write_selection(selection, source)

    def _encode_parameters(self, hook: SageMakerPipelinesHook) -> list[dict[str, str]]:
        from airflow_sm_pipelines.definition import encode_parameters, parse_definition

        given = {str(name): value for name, value in (self.parameters or {}).items()}
        try:
            deployed = hook.describe_pipeline(self.pipeline_name, version=self.version)
            definition = parse_definition(deployed.definition_text, name=deployed.name)
        except (PipelineAccessError, DefinitionError) as error:
            self.log.warning("The parameters are sent unchecked, as text: %s", error)
            return [{"Name": name, "Value": str(value)} for name, value in given.items()]
        return encode_parameters(definition, given)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _announce(self, context: Context, hook: SageMakerPipelinesHook, arn: str) -> None:
        from airflow_sm_pipelines.operators.link_addresses import resolve_pipeline_links

        self.log.info("Pipeline execution: %s", arn)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="pipeline_execution_arn", value=arn)
        links = resolve_pipeline_links(
            hook, pipeline=self.pipeline_name, execution_arn=arn, studio_domain_id=self.studio_domain_id
        )
        self.publish_links(context["ti"], links)

    def _deadline(self) -> datetime | None:
        limits = [self.max_wait_seconds] if self.max_wait_seconds is not None else []
        if self.execution_timeout is not None:
            limits.append(self.execution_timeout.total_seconds())
        return datetime.now(timezone.utc) + timedelta(seconds=min(limits)) if limits else None

    def _is_deferrable(self) -> bool:
        if self.deferrable is not None:
            return self.deferrable
        from airflow.providers.common.compat.sdk import conf

        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))

    def _defer(self, arn: str, deadline: datetime | None) -> None:
        from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

        self.defer(
            trigger=SageMakerPipelineExecutionTrigger(
                execution_arn=arn,
                waiter_delay=self.waiter_delay,
                progress_delay=self.progress_delay,
                deadline=None if deadline is None else deadline.isoformat(),
                stop_on_kill=self.stop_on_kill,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=None if self.botocore_config is None else dict(self.botocore_config),
            ),
            method_name="execute_complete",
            kwargs={"execution_arn": arn},
        )

    # --- at its end -------------------------------------------------------------------------------------------------

    def _finish(self, context: Context, hook: SageMakerPipelinesHook, event: Mapping[str, Any]) -> dict[str, Any]:
        policy, requests = self._checked()
        kind, payload = parse_event(event)
        if kind == "error":
            self._raise_watch_error(payload)
        report = parse_report(payload)
        if "steps" not in payload:
            with failing_fast():
                report = hook.describe_report(report.arn)
            if kind == "ended" and not report.is_terminal:
                self.log.info("Somebody has resumed %s since it ended; waiting on.", report.arn)
                self._defer(report.arn, self._deadline())
            kind = "ended" if report.is_terminal else kind
            for line in ProgressLog().lines(report):
                self.log.info(line)
        result = self._result(report)
        if self.do_xcom_push:
            for key, value in result.items():
                context["ti"].xcom_push(key=key, value=value)
        self._publish_all_links(context, hook, report)
        if kind == "timeout":
            self._time_out(hook, report)
        verdict = policy.verdict(report.status)
        if verdict is Verdict.SKIP:
            from airflow.providers.common.compat.sdk import AirflowSkipException

            raise AirflowSkipException(render_failure(report))
        if verdict is not Verdict.SUCCEED:
            self._fail(hook, report)
        reader = OutputReader(hook, report, warn=self.log.warning)
        with failing_fast():
            result |= reader.read(requests)
        self._publish_assets(context, result)
        return result

    def _publish_assets(self, context: Context, result: Mapping[str, Any]) -> None:
        for output, alias in (self.assets or {}).items():
            uri = result.get(output)
            if not uri:
                self.log.warning("Output '%s' is %r, so no asset comes of it.", output, uri)
                continue
            extra = {key: result[key] for key in ("pipeline_name", "pipeline_execution_arn", "pipeline_version_id")}
            context["outlet_events"][AssetAlias(alias)].add(Asset(uri=str(uri), name=str(uri)), extra=extra)

    def _publish_all_links(self, context: Context, hook: SageMakerPipelinesHook, report: ExecutionReport) -> None:
        from airflow_sm_pipelines.operators.link_addresses import resolve_logs_link, resolve_pipeline_links

        links = resolve_pipeline_links(
            hook, pipeline=report.pipeline_name, execution_arn=report.arn, studio_domain_id=self.studio_domain_id
        )
        self.publish_links(context["ti"], {**links, **resolve_logs_link(hook, report)})

    def _result(self, report: ExecutionReport) -> dict[str, Any]:
        result: dict[str, Any] = to_json_value(
            {
                "pipeline_name": report.pipeline_name,
                "pipeline_execution_arn": report.arn,
                "pipeline_version_id": report.pipeline_version_id,
                "status": report.status,
                "failure_reason": report.failure_reason,
                "steps": [step.summary() for step in report.steps],
            }
        )
        return result

    def _fail(self, hook: SageMakerPipelinesHook, report: ExecutionReport) -> None:
        from airflow_sm_pipelines.hooks.job_logs import read_log_tails

        tails = read_log_tails(hook, report.failed_steps, max_lines=self.log_lines, warn=self.log.warning)
        message = render_failure(report, log_tails=tails)
        if self.on_retry == "fail":
            raise_final(message)
        if self.on_retry == "resume" and not is_resumable(report):
            raise_final(f"{message}\nNot retried: a Fail step ended it, and such an execution cannot be resumed.")
        raise PipelineExecutionFailedError(message)

    def _time_out(self, hook: SageMakerPipelinesHook, report: ExecutionReport) -> None:
        running = ", ".join(step.name for step in report.steps if not step.is_terminal) or "no step"
        message = (
            f"Pipeline execution {report.arn} is still {report.status} at the end of the wait; running: {running}."
        )
        if self.stop_on_kill:
            stopped = hook.stop_execution(report.arn, token=make_stop_token(report.arn))
            message += " It was told to stop." if stopped else " It was stopping already."
        raise PipelineExecutionFailedError(message)

    def _raise_watch_error(self, payload: Mapping[str, Any]) -> None:
        from airflow_sm_pipelines.hooks.api_errors import parse_error_class

        code = str(payload["code"])
        error_class = parse_error_class(code)
        if error_class is PipelineApiError and code.endswith("Error"):
            error_class = PipelineUnavailableError
        with failing_fast():
            raise error_class(str(payload["message"]), code=code)

    def _stop_execution(self, arn: str, is_timeout: bool) -> None:
        state = None if is_timeout else self._task_state()
        if state == "running":
            self.log.info("The worker is going away; execution %s goes on for the next attempt.", arn)
            return
        self._is_ended_by_hand = state is not None
        try:
            stopped = self.make_hook().stop_execution(arn, token=make_stop_token(arn))
        except PipelineApiError as error:
            self.log.warning("Execution %s could not be stopped: %s", arn, error)
            return
        self.log.info("Execution %s: %s.", arn, "told to stop" if stopped else "had ended")

    def _task_state(self) -> str | None:
        """The state Airflow has for this task instance now; None in ``airflow dags test``, where nobody else has it."""
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time import task_runner

        identity = self._identity
        comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
        if identity is None or comms is None or type(comms).__name__ == "InProcessSupervisorComms":
            return None
        try:
            states = task_runner.RuntimeTaskInstance.get_task_states(
                dag_id=identity.dag_id,
                task_ids=[identity.task_id],
                run_ids=[identity.run_id],
                map_index=identity.map_index,
            ).get(identity.run_id, {})
        except (AirflowRuntimeError, OSError) as error:
            self.log.warning("Airflow does not say why this task is killed, so its execution goes on: %s", error)
            return "running"
        state = states.get(identity.task_id, states.get(f"{identity.task_id}_{identity.map_index}"))
        return None if state is None else str(getattr(state, "value", state))


def _as_list(outlets: Any) -> list[Any]:
    if outlets is None:
        return []
    return list(outlets) if isinstance(outlets, (list, tuple)) else [outlets]
