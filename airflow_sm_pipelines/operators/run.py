"""The operator that starts a pipeline execution exactly once, waits for it, and publishes its outputs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.airflow_task.run_progress import RunProgress
from airflow_sm_pipelines.airflow_task.stop_on_kill import ExecutionStopper
from airflow_sm_pipelines.airflow_task.task_result import (
    make_result,
    publish_assets,
    raise_failure,
    raise_timeout,
    raise_watch_error,
)
from airflow_sm_pipelines.client.execution_watch import ExecutionWatch, ended_event
from airflow_sm_pipelines.client.outputs import OutputReader, OutputRequest, parse_output_requests
from airflow_sm_pipelines.client.reports import ExecutionReport, parse_report
from airflow_sm_pipelines.client.wait_policy import ProgressLog, Verdict, WaitPolicy, parse_event, render_failure
from airflow_sm_pipelines.exceptions import ArgumentError, PipelineExecutionFailedError
from airflow_sm_pipelines.links.console import (
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.runs.start_request import StartOptions, plan_start_request
from airflow_sm_pipelines.runs.submission import RETRY_CHOICES, SubmissionStore, TaskIdentity, parse_identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

STREAM_DELAY_SECONDS = 30.0
"""Between two looks at a deferred execution's steps, where logs are streamed and the author names no other time."""


class SageMakerRunPipelineOperator(SageMakerPipelinesOperator):
    """Run a SageMaker pipeline: start one execution, wait for it, publish what it made.

    **Exactly once.** The start call carries a token made from the task instance and a submission counter; token,
    request and ARN go to Airflow's task state store (3.3) around the call. A retry goes on with the execution there
    is; a clear stops it, if it still runs, and starts another.

    **XComs.** ``multiple_outputs`` is on: the return value is one dict, and each of its keys is an XCom of its own, so
    ``run.output["rmse"]`` and ``run.output`` both resolve. The keys: ``pipeline_name``, ``pipeline_execution_arn``,
    ``pipeline_version_id``, ``status``, ``failure_reason``, ``steps`` (a list of name, type, status, seconds, job
    ARN), ``step_outputs`` (what each step yields, by step name) and one for each of ``outputs``. All are pushed, None
    where there is no value. A task that fails pushes the default keys before it does.

    **Retries.** See :mod:`airflow_sm_pipelines.airflow_task.retry_mapping` for the faults that are not retried.

    :param pipeline_name: name or ARN of the pipeline.
    :param version: version id or alias to run; None for the latest.
    :param parameters: pipeline parameters, typed or as text; checked against the deployed definition before the call.
    :param outputs: what to read from the ended execution, by XCom key:
        ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``{"property_file":
        "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"}``. An output whose step did not run
        is None; ``{"property": "Steps.…", "required": True}`` makes its absence an error.
    :param max_step_outputs: of how many steps at most ``step_outputs`` tells what they yield, whatever ``outputs``
        asks: model and metrics, S3 addresses, package ARN, outcome, report... One call for each step that made a job.
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
        in the task's log and its XCom ``steps`` while it waits; None leaves them for its end. A task that does not
        defer shows them always.
    :param stream_logs: write the log lines of the running jobs to the task's log, each once, whatever is retried or
        deferred meanwhile. A deferred task then looks at its steps each 30 seconds where ``progress_delay`` is None.
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
        max_step_outputs: int = 25,
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
        stream_logs: bool = False,
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
        self.max_step_outputs = max_step_outputs
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
        self.stream_logs = stream_logs
        self.max_wait_seconds = max_wait_seconds
        self.on_stopped = on_stopped
        self.on_completed_with_failures = on_completed_with_failures
        self.on_retry = on_retry
        self.stop_on_kill = stop_on_kill
        self.log_lines = log_lines
        self.studio_domain_id = studio_domain_id
        self._execution_arn: str | None = None
        self._identity: TaskIdentity | None = None
        self._stopper: ExecutionStopper | None = None
        self._ended: tuple[OutputReader, ExecutionReport] | None = None

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Start, or take up, the execution; wait for its end, or defer; publish."""
        from airflow_sm_pipelines.runs.submitter import ExecutionSubmitter

        identity = self._identity = parse_identity(context)
        policy, _ = self._checked()
        hook = self.make_hook()
        submitter = ExecutionSubmitter(
            hook,
            store=SubmissionStore(context.get("task_state_store")),
            identity=identity,
            policy=policy,
            on_retry=self.on_retry,
            log=self.log,
        )
        request = plan_start_request(hook, self.start_options(), identity=identity, log=self.log)
        arn = self._execution_arn = submitter.submit(request)
        self._announce(context, hook, arn)
        if not self.wait_for_completion:
            return make_result(hook.describe_execution(arn))
        deadline = self._deadline()
        progress = self._progress(context, hook)
        if self._is_deferrable():
            self._defer(arn, deadline, log_cursor=progress.cursor)
        if self.stop_on_kill:
            self._stopper = self._make_stopper()
            self._stopper.prepare()
        watch = ExecutionWatch(
            arn,
            waiter_delay=self.waiter_delay,
            deadline=deadline,
            log=self.log.info,
            warn=self.log.warning,
            notice=progress.note,
        )
        while (event := watch.look(hook)) is None:
            time.sleep(watch.delay_seconds)
        return self._finish(context, hook, event, progress)

    @failing_fast()
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
        return self._finish(context, hook, event, self._progress(context, hook, cursor=event.get("log_cursor")))

    def on_kill(self) -> None:
        """Stop the execution, unless only the worker is going away and the next attempt will take it up."""
        if self.stop_on_kill and self._execution_arn is not None:
            (self._stopper or self._make_stopper()).stop(self._execution_arn)

    def _make_stopper(self) -> ExecutionStopper:
        return ExecutionStopper(self.make_hook, identity=self._identity, log=self.log)

    def start_options(self) -> StartOptions:
        """What this task says of its execution."""
        return StartOptions(
            pipeline_name=self.pipeline_name,
            version=self.version,
            parameters=self.parameters,
            display_name=self.display_name,
            description=self.description,
            max_parallel_steps=self.max_parallel_steps,
            select_steps=self.select_steps,
            from_step=self.from_step,
            source_execution_arn=self.source_execution_arn,
            role_arn=self.role_arn,
            mlflow_experiment_name=self.mlflow_experiment_name,
        )

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """OpenLineage: the data that the steps read and wrote, and the execution as a run facet.

        Called in the process in which the task ended, deferred or not; None where it ended without an execution.
        """
        from airflow_sm_pipelines.airflow_task.lineage import make_execution_lineage

        if self._ended is None:
            return None
        return make_execution_lineage(*self._ended, url=self.link_addresses.get(SageMakerPipelineExecutionLink.key))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """OpenLineage: the same for a task that failed."""
        return self.get_openlineage_facets_on_complete(task_instance)

    # --- before the execution ---------------------------------------------------------------------------------------

    def _checked(self) -> tuple[WaitPolicy, tuple[OutputRequest, ...]]:
        """The wait policy and the outputs, checked.

        :raises AirflowFailException: naming the argument that is wrong.
        """
        requests = parse_output_requests(self.outputs or {})
        if self.on_retry not in RETRY_CHOICES:
            raise ArgumentError(f"on_retry={self.on_retry!r}: expected one of {', '.join(map(repr, RETRY_CHOICES))}.")
        unknown = set(self.assets or ()) - {request.name for request in requests}
        if unknown:
            raise ArgumentError(f"assets names outputs that are not in outputs: {', '.join(sorted(unknown))}.")
        if requests and not self.wait_for_completion:
            raise ArgumentError("outputs need wait_for_completion=True: they exist only when the execution has ended.")
        try:
            policy = WaitPolicy(on_stopped=self.on_stopped, on_completed_with_failures=self.on_completed_with_failures)
        except ValueError as error:
            raise ArgumentError(str(error)) from error
        return policy, requests

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _announce(self, context: Context, hook: SageMakerPipelinesHook, arn: str) -> None:
        from airflow_sm_pipelines.airflow_task.link_addresses import resolve_pipeline_links

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

    def _progress(
        self, context: Context, hook: SageMakerPipelinesHook, *, cursor: Mapping[str, Any] | None = None
    ) -> RunProgress:
        return RunProgress(
            context, hook, is_pushed=self.do_xcom_push, is_streamed=self.stream_logs, log=self.log, cursor=cursor
        )

    def _defer(self, arn: str, deadline: datetime | None, *, log_cursor: Mapping[str, Any] | None = None) -> None:
        from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

        progress_delay = self.progress_delay
        if progress_delay is None and self.stream_logs:
            progress_delay = STREAM_DELAY_SECONDS
        self.defer(
            trigger=SageMakerPipelineExecutionTrigger(
                execution_arn=arn,
                waiter_delay=self.waiter_delay,
                progress_delay=progress_delay,
                deadline=None if deadline is None else deadline.isoformat(),
                stop_on_kill=self.stop_on_kill,
                publish_steps=self.do_xcom_push,
                stream_logs=self.stream_logs,
                log_cursor=None if log_cursor is None else dict(log_cursor),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=None if self.botocore_config is None else dict(self.botocore_config),
            ),
            method_name="execute_complete",
            kwargs={"execution_arn": arn},
        )

    # --- at its end -------------------------------------------------------------------------------------------------

    def _finish(
        self, context: Context, hook: SageMakerPipelinesHook, event: Mapping[str, Any], progress: RunProgress
    ) -> dict[str, Any]:
        policy, requests = self._checked()
        kind, payload = parse_event(event)
        if kind == "error":
            raise_watch_error(payload)
        report = parse_report(payload)
        if "steps" not in payload:
            report = hook.describe_report(report.arn)
            if kind == "ended" and not report.is_terminal:
                self.log.info("Somebody has resumed %s since it ended; waiting on.", report.arn)
                self._defer(report.arn, self._deadline(), log_cursor=progress.cursor)
            kind = "ended" if report.is_terminal else kind
            for line in ProgressLog().lines(report):
                self.log.info(line)
        progress.finish(report)
        reader = OutputReader(hook, report, warn=self.log.warning)
        self._ended = (reader, report)
        result = make_result(report)
        if self.do_xcom_push:
            for key, value in result.items():
                context["ti"].xcom_push(key=key, value=value)
        self._publish_all_links(context, hook, report)
        if kind == "timeout":
            raise_timeout(hook, report, is_stopped=self.stop_on_kill)
        verdict = policy.verdict(report.status)
        if verdict is Verdict.SKIP:
            from airflow.providers.common.compat.sdk import AirflowSkipException

            raise AirflowSkipException(render_failure(report))
        if verdict is not Verdict.SUCCEED:
            raise_failure(hook, report, on_retry=self.on_retry, log_lines=self.log_lines, log=self.log)
        result |= reader.read(requests)
        result["step_outputs"] = reader.read_defaults(max_steps=self.max_step_outputs)
        publish_assets(context, self.assets or {}, result, log=self.log)
        return result

    def _publish_all_links(self, context: Context, hook: SageMakerPipelinesHook, report: ExecutionReport) -> None:
        from airflow_sm_pipelines.airflow_task.link_addresses import resolve_logs_link, resolve_pipeline_links

        links = resolve_pipeline_links(
            hook, pipeline=report.pipeline_name, execution_arn=report.arn, studio_domain_id=self.studio_domain_id
        )
        self.publish_links(context["ti"], {**links, **resolve_logs_link(hook, report)})


def _as_list(outlets: Any) -> list[Any]:
    if outlets is None:
        return []
    return list(outlets) if isinstance(outlets, (list, tuple)) else [outlets]
