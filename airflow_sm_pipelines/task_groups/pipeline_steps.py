"""The task group whose tasks are the steps of one pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airflow_sm_pipelines.client.choices import check_choice
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.shape import PipelineShape, parse_shape
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError
from airflow_sm_pipelines.operators.deploy import SageMakerDeployPipelineOperator
from airflow_sm_pipelines.operators.group_run import (
    SageMakerJudgeGroupOperator,
    SageMakerListStepsOperator,
    SageMakerStartGroupOperator,
    ShapeChoice,
)
from airflow_sm_pipelines.operators.mirror_step import MIRROR_SECONDS, SageMakerMirrorStepOperator

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import XComArg

    from airflow_sm_pipelines.definition.shape import StepShape

START_ARGUMENTS = frozenset(
    {
        "display_name",
        "description",
        "max_parallel_steps",
        "select_steps",
        "from_step",
        "source_execution_arn",
        "mlflow_experiment_name",
        "policy_file",
        "policy",
    }
)
"""Arguments of the run operator that ``run`` takes."""

END_ARGUMENTS = frozenset(
    {
        "max_step_outputs",
        "assets",
        "on_stopped",
        "on_completed_with_failures",
        "log_lines",
        "deferrable",
        "max_refused_seconds",
        "waiter_delay",
    }
)
"""Arguments of the run operator that ``ended`` takes."""

REQUIRED_ACTION = "required_action"
"""Has a person answer a Callback step."""

QUESTION_ARGUMENTS = frozenset({"subject", "body", "assigned_users", "failure_reason"})
"""Arguments of such a question."""

COMMON_ARGUMENTS = frozenset(
    {"studio_domain_id", "stop_on_kill", "retries", "retry_delay", "queue", "pool", "executor"}
)
"""Arguments that both take."""


class SageMakerPipelineTaskGroup(TaskGroup):
    """Run a SageMaker pipeline with a task for each of its steps.

    The group holds ``deploy`` (where it is given ``pipeline``), ``run``, which starts the execution, a task for each
    step in the inner group ``steps``, and ``ended``, which judges the execution and has the outputs. A step's task ends
    as its step does; from Airflow 3.3 on it runs in the triggerer and needs no worker. Cleared, it repairs the step.
    ``group >> after`` waits for ``ended`` alone.

    :param group_id: of the group.
    :param pipeline: what to deploy, as the deploy operator takes it; or give ``pipeline_name``.
    :param pipeline_name: the deployed pipeline to run, in place of ``pipeline``; beside it, the name to deploy under.
    :param version: version id or alias to run; only without ``pipeline``.
    :param role_arn: the pipeline's role, for ``deploy``.
    :param shape: the path of the file that ``sm-pipelines shape`` has written, relative to the DAG file's folder; or
        the shape itself. None where the steps are known at run time only: then one mapped task stands for all of them,
        which goes through a worker, repairs nothing and has no edges between steps.
    :param parameters: pipeline parameters, as the run operator takes them.
    :param outputs: what to read from the ended run, as the run operator takes them: XComs of ``ended``.
    :param on_shape_change: ``"fail"`` refuses to run a pipeline whose steps or edges differ from the shape; ``"warn"``
        runs it: tasks of steps that are gone are skipped, and ``ended`` tells of steps that have no task.
    :param max_wait_seconds: stop the execution when it has run for so long, counted anew after a repair.
    :param deploy_args: more arguments of the deploy operator.
    :param run_args: more arguments of the run operator; each goes to ``run`` or to ``ended``, whichever needs it.
    :param step_args: arguments of the steps' tasks: ``waiter_delay``, ``stream_logs``, and those that every operator
        has. ``retries`` is 0 where not given here, whatever ``default_args`` say: a retry would resume the execution.
    :param callbacks: Callback steps that a person answers in Airflow's UI, by name, each ``"required_action"``; or in
        place of that word a mapping with ``subject``, ``body``, ``assigned_users`` and ``failure_reason``.
    :param aws_conn_id: the Airflow connection of all tasks; no templates here and in the next three.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param botocore_config: botocore client settings.
    :param kwargs: of Airflow's ``TaskGroup``.
    :raises ArgumentError: if arguments contradict each other.
    :raises DefinitionError: if the shape cannot be read.
    """

    def __init__(
        self,
        group_id: str,
        *,
        pipeline: str | Mapping[str, Any] | None = None,
        pipeline_name: str | None = None,
        version: str | int | None = None,
        role_arn: str | None = None,
        shape: str | Path | PipelineShape | None = None,
        parameters: Mapping[str, Any] | str | None = None,
        outputs: Mapping[str, Any] | None = None,
        on_shape_change: ShapeChoice = "fail",
        max_wait_seconds: float | None = None,
        deploy_args: Mapping[str, Any] | None = None,
        run_args: Mapping[str, Any] | None = None,
        step_args: Mapping[str, Any] | None = None,
        callbacks: Mapping[str, str | Mapping[str, Any]] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if pipeline is None and pipeline_name is None:
            raise ArgumentError(f"Group '{group_id}': give pipeline (to deploy and run it) or pipeline_name.")
        if pipeline is not None and version is not None:
            raise ArgumentError(f"Group '{group_id}': with pipeline, the deployed version runs; leave version out.")
        if not kwargs.get("prefix_group_id", True):
            raise ArgumentError(f"Group '{group_id}': its tasks need the group's id before theirs (prefix_group_id).")
        check_choice("on_shape_change", on_shape_change, ShapeChoice)
        starting, ending = _split_run_arguments(group_id, run_args or {})
        super().__init__(group_id=group_id, **kwargs)
        self.shape = _read_shape(shape, folder=self.dag.folder)
        connection = {
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "botocore_config": botocore_config,
        }
        common: dict[str, Any] = {"task_group": self, "dag": self.dag, **connection}
        self.deploy: SageMakerDeployPipelineOperator | None = None
        if pipeline is not None:
            self.deploy = SageMakerDeployPipelineOperator(
                task_id="deploy",
                pipeline=pipeline,
                pipeline_name=pipeline_name,
                role_arn=role_arn,
                **common,
                **(deploy_args or {}),
            )
        given = {"pipeline_name": pipeline_name, "pipeline_version_id": version}
        deployed: Any = self.deploy.output if self.deploy else given
        self.run = SageMakerStartGroupOperator(
            task_id="run",
            pipeline_name=deployed["pipeline_name"],
            version=deployed["pipeline_version_id"],
            parameters=parameters,
            shape=self.shape,
            on_shape_change=on_shape_change,
            requested_outputs=outputs,
            ended_task_id=self._prefixed("ended"),
            **common,
            **starting,
        )
        shared = {"max_wait_seconds": max_wait_seconds, "stop_on_kill": starting.get("stop_on_kill", True), **common}
        self.steps = StepTasks(self._make_steps(shared, step_args or {}, self._check_callbacks(callbacks or {})))
        self.mapped_steps = None if self.shape else self._map_steps(common, step_args or {})
        self.ended = SageMakerJudgeGroupOperator(
            task_id="ended",
            run_task_id=self.run.task_id,
            step_tasks={name: task.task_id for name, task in self.steps.items()},
            outputs=outputs,
            max_wait_seconds=max_wait_seconds,
            trigger_rule="all_done",
            **common,
            **ending,
        )
        self._connect()

    @property
    def _known_steps(self) -> tuple[StepShape, ...]:
        return () if self.shape is None else self.shape.steps

    @property
    def output(self) -> XComArg:
        """The XComs of ``ended``: ``group.output["rmse"]``."""
        return self.ended.output

    def _check_callbacks(self, callbacks: Mapping[str, str | Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The arguments of the questions, by step.

        :raises ArgumentError: for a step that is no Callback step, or arguments that a question does not take.
        """
        types = {step.name: step.type for step in self._known_steps}
        for name, value in callbacks.items():
            if types.get(name) != "Callback":
                hint = f" It is of type {types[name]}." if name in types else suggest(name, types)
                hint = hint if self.shape else " The group has no shape."
                raise ArgumentError(
                    f"Group '{self.group_id}': callbacks names {name!r}, which is no Callback step.{hint}"
                )
            if value != REQUIRED_ACTION and (not isinstance(value, Mapping) or not set(value) <= QUESTION_ARGUMENTS):
                raise ArgumentError(
                    f"Group '{self.group_id}': callbacks[{name!r}]={value!r}: expected {REQUIRED_ACTION!r}, or a "
                    f"mapping with {', '.join(sorted(QUESTION_ARGUMENTS))}."
                )
        return {name: value if isinstance(value, Mapping) else {} for name, value in callbacks.items()}

    def _make_steps(
        self,
        shared: Mapping[str, Any],
        arguments: Mapping[str, Any],
        questions: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, SageMakerMirrorStepOperator]:
        if questions:
            from airflow_sm_pipelines.operators.ask_step import SageMakerAskStepOperator
        inner = TaskGroup("steps", parent_group=self, dag=self.dag)
        given = {"retries": 0, **shared, "task_group": inner, **arguments}
        return {
            step.name: (SageMakerAskStepOperator if step.name in questions else SageMakerMirrorStepOperator)(
                task_id=step.name,
                step_name=step.name,
                run_task_id=self.run.task_id,
                ended_task_id=self._prefixed("ended"),
                step_prefix=self._prefixed("steps."),
                branches=step.branches,
                **{"trigger_rule": "all_done" if step.after_failure else "none_failed", **given},
                **questions.get(step.name, {}),
            )
            for step in self._known_steps
        }

    def _map_steps(self, common: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        """The task that stands for all steps, mapped over their names, which another task reads at run time."""
        from airflow_sm_pipelines.sensors.step import SageMakerPipelineStepSensor

        started: Any = self.run.output
        arn = started["pipeline_execution_arn"]
        names = SageMakerListStepsOperator(task_id="names", execution_arn=arn, **common)
        given = {"poke_interval": MIRROR_SECONDS, "deferrable": True, "retries": 0, **common, **arguments}
        if "waiter_delay" in given:
            given["poke_interval"] = given.pop("waiter_delay")
        return SageMakerPipelineStepSensor.partial(
            task_id="step", execution_arn=arn, map_index_template="{{ task.step_name }}", **given
        ).expand(step_name=names.output)

    def _prefixed(self, name: str) -> str:
        """The id of a task of this group, or the begin of several."""
        return str(self.child_id(name))  # type: ignore[no-untyped-call]

    def _connect(self) -> None:
        """Set the edges: those of the shape, from ``run`` to the first steps, and from every step to ``ended``.

        A step that waits for a failed one ends at once. So ``ended`` has to wait for those beside it as well.
        """
        for step in self._known_steps:
            self.steps[step.name].set_upstream([self.steps[one] for one in step.waits_for] or self.run)
        mapped = [self.mapped_steps] if self.mapped_steps is not None else []
        self.ended.set_upstream([self.run, *self.steps.values(), *mapped])


class StepTasks(Mapping[str, SageMakerMirrorStepOperator]):
    """The tasks of the steps by name. A wrong name is refused with the nearest one."""

    def __init__(self, tasks: Mapping[str, SageMakerMirrorStepOperator]) -> None:
        self._tasks = dict(tasks)

    def __getitem__(self, name: str) -> SageMakerMirrorStepOperator:
        """One step's task.

        :raises ArgumentError: if the shape has no such step.
        """
        if not self._tasks:
            raise ArgumentError(f"The group has no shape, so step {name!r} has no task of its own. Give it `shape`.")
        if name not in self._tasks:
            hint = suggest(name, self._tasks) or f" It has {list_names(self._tasks, limit=20)}."
            raise ArgumentError(f"The pipeline's shape has no step {name!r}.{hint}")
        return self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks


def _split_run_arguments(group_id: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of ``run`` and those of ``ended``.

    :raises ArgumentError: naming those that the group itself gives, or that no task takes.
    """
    wrong = sorted(set(given) - START_ARGUMENTS - END_ARGUMENTS - COMMON_ARGUMENTS)
    if wrong:
        known = sorted(START_ARGUMENTS | END_ARGUMENTS | COMMON_ARGUMENTS)
        raise ArgumentError(
            f"Group '{group_id}': run_args cannot hold {list_names(wrong)}; it can hold {', '.join(known)}."
        )
    starting = {name: value for name, value in given.items() if name in START_ARGUMENTS | COMMON_ARGUMENTS}
    ending = {name: value for name, value in given.items() if name in END_ARGUMENTS | COMMON_ARGUMENTS}
    selection = ("select_steps", "from_step")
    return starting, {**ending, **{name: given[name] for name in selection if name in given}}


def _read_shape(shape: str | Path | PipelineShape | None, *, folder: str) -> PipelineShape | None:
    from airflow_sm_pipelines.deployment.options import resolve_path

    if shape is None or isinstance(shape, PipelineShape):
        return shape
    place = resolve_path(str(shape), folder=folder)
    try:
        text = place.read_bytes()
    except OSError as error:
        raise DefinitionError(
            f"The shape {place} cannot be read: {error.strerror or error}. Write it with `sm-pipelines shape`."
        ) from error
    return parse_shape(text, name=str(place))
