"""The operator that starts a pipeline execution exactly once, waits for it, and publishes its outputs.

Its methods import what only a running task needs, so that parsing a DAG file stays cheap.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.airflow_task.run_arguments import read_run_arguments
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS, check_choice
from airflow_sm_pipelines.exceptions import ArgumentError, PipelineExecutionFailedError
from airflow_sm_pipelines.links.buttons import (
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator, is_deferrable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.airflow_task.run_progress import RunProgress
    from airflow_sm_pipelines.airflow_task.stop_on_kill import ExecutionStopper
    from airflow_sm_pipelines.client.outputs import OutputReader, OutputRequest
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.client.wait_policy import Outcome, WaitPolicy
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.option_reader import PolicyMode
    from airflow_sm_pipelines.runs.start_request import StartOptions
    from airflow_sm_pipelines.runs.submission import ClearChoice, RetryChoice, Submission, TaskIdentity

PROGRESS_DELAY_SECONDS = 30.0
"""Seconds between two checks of a deferred execution's steps where the author names no time."""


class SageMakerRunPipelineOperator(SageMakerPipelinesOperator):
    """Run a SageMaker pipeline: start one execution, wait for it, and publish its outputs.

    **Exactly once.** The start call carries a token made from the task instance and a submission counter. The operator
    writes token, request and ARN to Airflow's task state store (3.3) before and after the call. A retry goes on with
    the execution of the attempt before; a clear stops that execution, if it still runs, and starts another.

    **XComs.** ``multiple_outputs`` is on: the return value is one dict, and each of its keys is an XCom of its own, so
    ``run.output["rmse"]`` and ``run.output`` both resolve. The keys: ``pipeline_name``, ``pipeline_execution_arn``,
    ``pipeline_version_id``, ``status``, ``failure_reason``, ``steps`` (a list of name, type, status, seconds, job
    ARN), ``step_outputs`` (what each step yields, by step name) and one for each of ``outputs``. All are pushed, None
    where there is no value. A task that fails pushes the default keys before it does.

    **Retries.** :mod:`airflow_sm_pipelines.airflow_task.retry_mapping` lists the errors that are not retried.

    :param pipeline_name: name or ARN of the pipeline.
    :param version: version id or alias to run; None for the latest.
    :param parameters: pipeline parameters, typed or as text; checked against the deployed definition before the call.
        The API's list of ``{"Name": ..., "Value": ...}`` will do as well. Of one template that gives a dict, as
        ``"{{ params }}"``, only the parameters that the pipeline has are taken, and no nulls.
    :param outputs: the values to read from the ended execution, by XCom key:
        ``"Steps.Train.ModelArtifacts.S3ModelArtifacts"``, or ``{"property_file":
        "Steps.Evaluate.PropertyFiles.Metrics", "path": "regression.rmse.value"}``. A step that the pipeline does not
        have is refused before the start. After success a missing output fails the task, but is None if its step stands
        under a condition and did not run; ``{"property": "Steps.…", "required": True}``, or False, decides either way.
    :param max_step_outputs: the most steps in ``step_outputs``, which holds what each step yields (model and metrics,
        S3 addresses, package ARN, outcome, report...) whether ``outputs`` names it or not. One call for each step that
        made a job.
    :param display_name: of the execution; made from DAG and run where not given.
    :param description: of the execution; names DAG, run and task where not given.
    :param max_parallel_steps: steps of this execution that may run at once; the pipeline's own setting where not given.
    :param select_steps: run only these steps.
    :param from_step: run only this step and all steps that depend on it.
    :param source_execution_arn: the execution whose results the selected steps use; where not given, the newest one
        that has all of them.
    :param role_arn: the role of this execution; the pipeline's where not given.
    :param mlflow_experiment_name: the MLflow experiment of this execution; the definition's where not given.
    :param policy_file: a TOML file with the team's rules. The deployed definition is held to it before the start,
        with the parameters of this start. Relative paths start at the DAG file's folder.
    :param policy: ``"enforce"`` (or ``"apply"``) refuses starts that break it, ``"warn"`` logs it, ``"off"`` does not.
    :param assets: outputs that become assets when the task succeeds: the name of an ``AssetAlias`` by output name,
        as ``{"model": "trained-models"}``; the output must be a URI. DAGs scheduled on the alias then run.
    :param wait_for_completion: wait for the end; False returns as soon as the execution has started, without outputs.
    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``.
    :param waiter_delay: seconds between two checks of a long execution; a new one is checked more often.
    :param progress_delay: seconds between two checks of a deferred execution's steps. Their changes are in the task's
        log and its XCom ``steps`` while it waits; with None they are there at the end only. All waits of a triggerer
        share five such checks a second, so with many waits a check comes later. A task that does not defer always shows
        them.
    :param stream_logs: write the log lines of the running jobs to the task's log, each once, even if the task is
        retried or deferred meanwhile. A deferred task reads them at each check of its steps.
    :param max_wait_seconds: give up after so many seconds; ``execution_timeout`` limits a deferred wait as well.
    :param max_refused_seconds: give up when each check has been refused for so long: by throttling, expired credentials
        or a wrong clock, or by a denied access after checks that were answered. The execution goes on.
    :param on_stopped: ``"fail"``, ``"succeed"`` or ``"skip"`` when somebody stopped the execution.
    :param on_completed_with_failures: the same for an execution that ended although a step failed.
    :param on_retry: what an Airflow retry does with a failed execution: ``"resume"`` it from its failed steps,
        ``"restart"`` with a new one, or ``"fail"`` at once, without retries. An execution that a Fail step has ended
        cannot be resumed.
    :param on_clear: what a cleared task does about its earlier execution: ``"restart"`` stops it, if it still runs, and
        starts another; ``"resume"`` goes on with it: waits for it, resumes it from its failed steps, or publishes its
        outputs again. After a Fail step it starts another one all the same.
    :param stop_on_kill: stop the execution when the task is marked, cleared, deleted or timed out while it waits.
    :param log_lines: last log lines of each failed job to put into the error; 0 for none.
    :param studio_domain_id: ``d-…``: lets the links lead to the execution itself instead of to Studio.
    """

    custom_operator_name = "SM run pipeline"
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
        "policy_file",
        "policy",
        "max_parallel_steps",
        "max_step_outputs",
        "wait_for_completion",
        "deferrable",
        "waiter_delay",
        "progress_delay",
        "stream_logs",
        "max_wait_seconds",
        "max_refused_seconds",
        "on_stopped",
        "on_completed_with_failures",
        "on_retry",
        "on_clear",
        "stop_on_kill",
        "log_lines",
        "studio_domain_id",
        *AWS_TEMPLATE_FIELDS,
    )
    template_fields_renderers = {"parameters": "json", "outputs": "json"}
    operator_extra_links = (SageMakerPipelineExecutionLink(), SageMakerPipelineLink(), SageMakerJobLogsLink())

    def __init__(
        self,
        *,
        pipeline_name: str,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | None = None,
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
        policy_file: str | None = None,
        policy: PolicyMode = "enforce",
        assets: Mapping[str, str] | None = None,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        waiter_delay: float = 30,
        progress_delay: float | None = PROGRESS_DELAY_SECONDS,
        stream_logs: bool = False,
        max_wait_seconds: float | None = None,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
        on_stopped: Outcome = "fail",
        on_completed_with_failures: Outcome = "fail",
        on_retry: RetryChoice = "resume",
        on_clear: ClearChoice = "restart",
        stop_on_kill: bool = True,
        log_lines: int = 20,
        studio_domain_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        if assets:
            given = kwargs.get("outlets") or []
            given = given if isinstance(given, (list, tuple)) else [given]
            kwargs["outlets"] = [*given, *map(AssetAlias, dict.fromkeys(assets.values()))]
        super().__init__(**kwargs)
        self.pipeline_name = pipeline_name
        self.version = version
        self.parameters = parameters
        self.is_one_template = isinstance(parameters, str)
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
        self.policy_file = policy_file
        self.policy = policy
        self.assets = assets
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.progress_delay = progress_delay
        self.stream_logs = stream_logs
        self.max_wait_seconds = max_wait_seconds
        self.max_refused_seconds = max_refused_seconds
        self.on_stopped = on_stopped
        self.on_completed_with_failures = on_completed_with_failures
        self.on_retry = on_retry
        self.on_clear = on_clear
        self.stop_on_kill = stop_on_kill
        self.log_lines = log_lines
        self.studio_domain_id = studio_domain_id
        self._execution_arn: str | None = None
        self._identity: TaskIdentity | None = None
        self._pending: Submission | None = None
        self._stopper: ExecutionStopper | None = None
        self._ended: tuple[OutputReader, ExecutionReport] | None = None

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Start an execution, or go on with an earlier attempt's; wait for its end, or defer; publish its outputs."""
        with self._marking_failure(context):
            return self._execute(context)

    @failing_fast()
    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        execution_arn: str | None = None,
        try_number: int | None = None,
    ) -> dict[str, Any]:
        """Go on after the deferral: publish the outputs, or fail with the reason.

        :param event: the trigger's event; None where Airflow lost it, and then the execution is asked for again.
        :param execution_arn: the execution; ``airflow dags test`` drops it.
        :param try_number: the attempt that deferred. Airflow 3.3.2 may also go on here with a task that was cleared in
            the moment of its deferral; that is a new attempt, which begins anew.
        """
        from airflow_sm_pipelines.airflow_task.task_identity import parse_task_identity

        with self._marking_failure(context):
            self._identity = parse_task_identity(context)
            if try_number not in (None, self._identity.try_number):
                self.log.info("The task was cleared as it deferred; this attempt begins anew.")
                return self._execute(context)
            self._check_arguments()
            hook = self.make_hook()
            if event is None:
                event = self._replace_event(context, hook, execution_arn)
            self._execution_arn = event.get("execution_arn")
            return self._finish(context, hook, event, self._progress(context, hook, event=event))

    def on_kill(self) -> None:
        """Stop the execution, unless only the worker is going away and the next attempt will go on with it."""
        if self.stop_on_kill and (self._execution_arn is not None or self._pending is not None):
            (self._stopper or self._make_stopper()).stop(self._execution_arn, pending=self._pending)

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
        from airflow_sm_pipelines.client.execution_watch import ExecutionWatch
        from airflow_sm_pipelines.runs.results import make_result

        policy, requests = self._check_arguments()
        hook = self.make_hook()
        arn = self._submit(context, hook, policy, requests)
        progress = self._progress(context, hook)
        self._publish_start(context, hook, arn, progress)
        if not self.wait_for_completion:
            if self.stop_on_kill:
                TaskStateStore(context).delete_stop_arguments()
            return self._return(make_result(hook.describe_execution(arn)), progress)
        deadline = self._deadline()
        if self.deferrable:
            self._check_wanted(arn, hook)
            self._defer(arn, deadline, log_cursor=progress.cursor)
        if self._stopper is not None:
            self._stopper.prepare()
        watch = ExecutionWatch(
            arn,
            waiter_delay=float(self.waiter_delay),
            deadline=deadline,
            log=self.log.info,
            warn=self.log.warning,
            notice=progress.show,
            max_refused_seconds=float(self.max_refused_seconds),
        )
        looking = hook
        while (event := watch.look(looking)) is None:
            time.sleep(watch.delay_seconds)
            if watch.needs_new_client:
                looking = self.make_hook()
        return self._finish(context, hook, event, progress)

    @contextmanager
    def _marking_failure(self, context: Context) -> Iterator[None]:
        """Leave a mark if this attempt ends with an error, so that the next one knows itself for a retry."""
        from airflow_sm_pipelines.airflow_names import AirflowTaskTimeout
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore

        try:
            yield
        except (Exception, AirflowTaskTimeout):
            if self._stopper is not None and self._stopper.is_ended_by_hand:
                raise  # a clear may have ended it, and what follows a clear is no retry
            try:
                TaskStateStore(context).mark_failed_try(context["ti"].try_number)
            except Exception as error:  # noqa: BLE001 - the attempt's own error matters, not this one
                self.log.warning("The failed attempt could not be marked: %s: %s", type(error).__name__, error)
            raise

    def _make_stopper(self) -> ExecutionStopper:
        from airflow_sm_pipelines.airflow_task.stop_on_kill import ExecutionStopper

        return ExecutionStopper(
            self.make_hook, task=self._identity, log=self.log, stop_on_clear=self.on_clear == "restart"
        )

    def _check_wanted(self, arn: str | None = None, hook: SageMakerPipelinesHook | None = None) -> None:
        """Ask whether this attempt is still wanted; stop the execution, if there is one, of a task that was ended."""
        if self._stopper is not None:
            self._stopper.check_wanted(arn, calls=hook)

    def start_options(self) -> StartOptions:
        """The options of the start call that the author has set."""
        from airflow_sm_pipelines.deployment.options import resolve_path
        from airflow_sm_pipelines.runs.start_request import StartOptions

        if not self.policy_file:
            return StartOptions.of(self)
        return StartOptions.of(self, policy_file=str(resolve_path(self.policy_file, folder=self.dag.folder)))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """OpenLineage: the data that the steps read and wrote, and the execution as a run facet.

        OpenLineage calls this in the process in which the task has ended, deferred or not. Empty without an execution.
        """
        from airflow_sm_pipelines.airflow_task.lineage import make_execution_lineage, make_no_lineage

        if self._ended is None:
            return make_no_lineage()
        return make_execution_lineage(*self._ended, url=self.link_addresses.get(SageMakerPipelineExecutionLink.key))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """OpenLineage: the same for a task that failed."""
        return self.get_openlineage_facets_on_complete(task_instance)

    # --- before the execution ---------------------------------------------------------------------------------------

    def _check_arguments(self) -> tuple[WaitPolicy, tuple[OutputRequest, ...]]:
        """The wait policy and the outputs, checked.

        :raises ArgumentError: naming the argument that is wrong.
        """
        from airflow_sm_pipelines.client.outputs import parse_output_requests
        from airflow_sm_pipelines.client.wait_policy import WaitPolicy
        from airflow_sm_pipelines.runs.submission import ClearChoice, RetryChoice

        requests = parse_output_requests(self.outputs or {})
        check_choice("on_retry", self.on_retry, RetryChoice)
        check_choice("on_clear", self.on_clear, ClearChoice)
        read_run_arguments(self)
        self.deferrable = is_deferrable(self.deferrable)
        unknown = set(self.assets or ()) - {request.name for request in requests}
        if unknown:
            raise ArgumentError(f"assets names outputs that are not in outputs: {', '.join(sorted(unknown))}.")
        if requests and not self.wait_for_completion:
            raise ArgumentError("outputs need wait_for_completion=True: they exist only when the execution has ended.")
        policy = WaitPolicy(on_stopped=self.on_stopped, on_completed_with_failures=self.on_completed_with_failures)
        return policy, requests

    def _submit(
        self, context: Context, hook: SageMakerPipelinesHook, policy: WaitPolicy, requests: tuple[OutputRequest, ...]
    ) -> str:
        """The ARN of the execution that this task waits for, started if there is none yet."""
        from airflow_sm_pipelines.airflow_task.task_identity import parse_task_identity
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
        from airflow_sm_pipelines.runs.start_request import plan_start_request
        from airflow_sm_pipelines.runs.submitter import ExecutionSubmitter

        identity = self._identity = parse_task_identity(context)
        store = TaskStateStore(context)

        def check_wanted() -> None:
            self._check_wanted()
            self._pending = store.saved

        submitter = ExecutionSubmitter(
            hook,
            store=store,
            identity=identity,
            policy=policy,
            on_retry=self.on_retry,
            on_clear=store.find_clear_choice(self.on_clear),
            check_wanted=check_wanted,
            log=self.log,
        )
        request = plan_start_request(hook, self.start_options(), identity=identity, log=self.log, outputs=requests)
        if self.stop_on_kill:
            self._stopper = self._make_stopper()
            store.save_stop_arguments(self.hook_arguments.to_json(), stop_on_clear=self.on_clear == "restart")
        try:
            arn = self._execution_arn = submitter.submit(request)
        except Exception:
            if self._stopper is not None:
                self._stopper.stop_pending(self._pending, calls=hook)
            raise
        self._check_wanted(arn, hook)
        return arn

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _publish_start(self, context: Context, hook: SageMakerPipelinesHook, arn: str, progress: RunProgress) -> None:
        progress.begin(arn)
        links = self._resolve_links(hook, self.pipeline_name, arn)
        address = links.get(SageMakerPipelineExecutionLink.key)
        self.log.info("Pipeline execution: %s%s", arn, f"\n{address}" if address else "")
        self.publish_links(context["ti"], links)

    def _deadline(self) -> datetime | None:
        limits = [self.max_wait_seconds] if self.max_wait_seconds is not None else []
        if self.execution_timeout is not None:
            limits.append(self.execution_timeout.total_seconds())
        return datetime.now(timezone.utc) + timedelta(seconds=min(limits)) if limits else None

    def _progress(
        self, context: Context, hook: SageMakerPipelinesHook, *, event: Mapping[str, Any] | None = None
    ) -> RunProgress:
        from airflow_sm_pipelines.airflow_task.run_progress import RunProgress

        choices = {"is_pushed": self.do_xcom_push, "is_streamed": self.stream_logs, "is_later": event is not None}
        return RunProgress(context, hook, log=self.log, cursor=(event or {}).get("log_cursor"), **choices)

    def _defer(self, arn: str, deadline: datetime | None, *, log_cursor: Mapping[str, Any] | None = None) -> None:
        from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

        progress_delay = self.progress_delay
        if progress_delay is None and self.stream_logs:
            progress_delay = PROGRESS_DELAY_SECONDS
        self.defer(
            trigger=SageMakerPipelineExecutionTrigger(
                execution_arn=arn,
                waiter_delay=float(self.waiter_delay),
                progress_delay=progress_delay,
                deadline=None if deadline is None else deadline.isoformat(),
                max_refused_seconds=float(self.max_refused_seconds),
                stop_on_kill=self.stop_on_kill,
                stop_on_clear=self.on_clear == "restart",
                publish_steps=self.do_xcom_push,
                stream_logs=self.stream_logs,
                log_cursor=None if log_cursor is None else dict(log_cursor),
                **self.hook_arguments.to_json(),
            ),
            method_name="execute_complete",
            kwargs={"execution_arn": arn, "try_number": self._identity.try_number if self._identity else None},
        )

    def _replace_event(
        self, context: Context, hook: SageMakerPipelinesHook, execution_arn: str | None
    ) -> dict[str, Any]:
        """Ask the API for what a lost event would have said; defer again if the execution still runs."""
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
        from airflow_sm_pipelines.client.execution_watch import ended_event

        last = TaskStateStore(context).load_submission()
        arn = execution_arn or (last.execution_arn if last else None)
        if arn is None:
            raise PipelineExecutionFailedError(
                "The deferred wait ended without an event, and its execution is unknown."
            )
        self._execution_arn = arn
        report = hook.describe_report(arn)
        if not report.is_terminal:
            self._defer(arn, self._deadline())
        return ended_event(report)

    # --- at its end -------------------------------------------------------------------------------------------------

    def _finish(
        self, context: Context, hook: SageMakerPipelinesHook, event: Mapping[str, Any], progress: RunProgress
    ) -> dict[str, Any]:
        """Publish what the execution has made, or fail or skip the task for its reason."""
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
        from airflow_sm_pipelines.client.outputs import OutputReader
        from airflow_sm_pipelines.client.wait_policy import Verdict, render_failure
        from airflow_sm_pipelines.runs.results import make_timeout_error

        policy, requests = self._check_arguments()
        kind, report = self._read_end(hook, event, progress)
        progress.finish(report)
        is_selective = bool(self.select_steps or self.from_step)
        reader = OutputReader(hook, report, warn=self.log.warning, is_selective=is_selective)
        self._ended = (reader, report)
        verdict = Verdict.FAIL if kind == "timeout" else policy.verdict(report.status)
        result = self._publish_end(hook, report, progress, is_success=verdict is Verdict.SUCCEED)
        if self.stop_on_kill and report.is_terminal:
            TaskStateStore(context).delete_stop_arguments()
        if kind == "timeout":
            raise make_timeout_error(report, was_stopped=self._stop_for_timeout(hook, report))
        if verdict is Verdict.SKIP:
            from airflow_sm_pipelines.airflow_names import AirflowSkipException

            reason = render_failure(report)
            self.log.warning("Skipped: %s", reason)  # Airflow itself says only that the task was skipped
            raise AirflowSkipException(reason)
        if verdict is not Verdict.SUCCEED:
            raise self._make_failure(hook, report, progress)
        result |= progress.keep_outputs(report, reader.read(requests))
        result["step_outputs"] = reader.read_defaults(max_steps=self.max_step_outputs)
        self._publish_assets(context, result)
        return self._return(result, progress)

    def _read_end(
        self, hook: SageMakerPipelinesHook, event: Mapping[str, Any], progress: RunProgress
    ) -> tuple[str, ExecutionReport]:
        """The event's kind, ``"ended"`` or ``"timeout"``, and the execution with its steps."""
        from airflow_sm_pipelines.client.reports import parse_report
        from airflow_sm_pipelines.client.wait_policy import ProgressLog, parse_event
        from airflow_sm_pipelines.runs.results import make_watch_error

        kind, payload = parse_event(event)
        if kind == "error":
            raise make_watch_error(payload)
        report = parse_report(payload)
        if "steps" in payload:
            return kind, report
        report = hook.describe_report(report.arn)
        if kind == "ended" and not report.is_terminal:
            self.log.info("Somebody has resumed %s since it ended; waiting on.", report.arn)
            self._defer(report.arn, self._deadline(), log_cursor=progress.cursor)
        for line in ProgressLog().lines(report):
            self.log.info(line)
        return "ended" if report.is_terminal else kind, report

    def _publish_end(
        self, hook: SageMakerPipelinesHook, report: ExecutionReport, progress: RunProgress, *, is_success: bool
    ) -> dict[str, Any]:
        """Push the XComs and set the links that also a failed task has; gives the XComs.

        Airflow itself makes the links visible when this process ends.
        """
        from airflow_sm_pipelines.links.addresses import resolve_logs_link
        from airflow_sm_pipelines.runs.results import make_result

        result = make_result(report)
        progress.push({key: value for key, value in result.items() if not is_success or key != "step_outputs"})
        links = self._resolve_links(hook, report.pipeline_name, report.arn)
        self.link_addresses |= {**links, **resolve_logs_link(hook, report)}
        return result

    def _return(self, result: dict[str, Any], progress: RunProgress) -> dict[str, Any]:
        """Push what the task returns, key by key, instead of Airflow, which would push each key again."""
        if self.multiple_outputs:
            progress.push(result)
            self.multiple_outputs = False
        return result

    def _resolve_links(self, hook: SageMakerPipelinesHook, pipeline: str, arn: str) -> dict[str, str]:
        from airflow_sm_pipelines.links.addresses import resolve_pipeline_links

        return resolve_pipeline_links(
            hook, pipeline=pipeline, execution_arn=arn, studio_domain_id=self.studio_domain_id
        )

    def _stop_for_timeout(self, hook: SageMakerPipelinesHook, report: ExecutionReport) -> bool | None:
        """Tell an execution to stop whose wait is over, if the author wants it."""
        from airflow_sm_pipelines.client.request_tokens import make_stop_token

        return hook.stop_execution(report.arn, token=make_stop_token(report.arn)) if self.stop_on_kill else None

    def _make_failure(
        self, hook: SageMakerPipelinesHook, report: ExecutionReport, progress: RunProgress
    ) -> PipelineExecutionFailedError:
        """The error of a failed execution, with the last lines of its failed jobs and the pages of their logs."""
        from airflow_sm_pipelines.links.addresses import resolve_step_logs
        from airflow_sm_pipelines.runs.results import make_failure_error

        return make_failure_error(
            report,
            on_retry=self.on_retry,
            log_tails=progress.read_log_tails(report, max_lines=self.log_lines),
            log_addresses=resolve_step_logs(hook, report.failed_steps),
        )

    def _publish_assets(self, context: Context, result: Mapping[str, Any]) -> None:
        """Add an asset event for each output that is an asset."""
        for output, alias in (self.assets or {}).items():
            uri = result.get(output)
            if not uri:
                self.log.warning("Output '%s' is %r, so there is no asset event for it.", output, uri)
                continue
            extra = {key: result[key] for key in ("pipeline_name", "pipeline_execution_arn", "pipeline_version_id")}
            context["outlet_events"][AssetAlias(alias)].add(Asset(uri=str(uri), name=str(uri)), extra=extra)
