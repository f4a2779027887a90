"""``@task.sagemaker_pipeline``: a function whose body is the pipeline script, deployed and run by one task."""

from __future__ import annotations

import functools
import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.naming import make_pipeline_name
from airflow_sm_pipelines.decorators.function_script import bind_config, keep_script, make_script, own_signature
from airflow_sm_pipelines.exceptions import ArgumentError, ScriptFunctionError
from airflow_sm_pipelines.operators.run import SageMakerRunPipelineOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from airflow_sm_pipelines.deployment.target import DeployOptions
    from airflow_sm_pipelines.runs.start_request import StartOptions

_RUN_FIELDS = tuple(field for field in SageMakerRunPipelineOperator.template_fields if field != "version")


class SageMakerPipelineFunctionOperator(DecoratedOperator, SageMakerRunPipelineOperator):
    """What :func:`sagemaker_pipeline_task` makes; its options are described there."""

    custom_operator_name = "@task.sagemaker_pipeline"
    template_fields: Sequence[str] = (
        "op_args",
        "op_kwargs",
        "interpreter",
        "aliases",
        "tags",
        "version_name",
        "version_description",
        "default_bucket",
        "definition_bucket",
        "policy_file",
        "cost_tags",
        *_RUN_FIELDS,
    )
    template_fields_renderers = {
        **DecoratedOperator.template_fields_renderers,
        **SageMakerRunPipelineOperator.template_fields_renderers,
        "tags": "json",
        "cost_tags": "json",
    }

    def __init__(
        self,
        *,
        requirements: Sequence[str] | None = None,
        interpreter: str | None = None,
        pipeline_name: str | None = None,
        aliases: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        version_name: str | None = None,
        version_description: str | None = None,
        pipeline_display_name: str | None = None,
        default_bucket: str | None = None,
        definition_bucket: str | None = None,
        policy_file: str | None = None,
        policy: str = "enforce",
        cost_tags: Mapping[str, str] | None = None,
        compile_timeout_seconds: float = 600,
        **kwargs: Any,
    ) -> None:
        """Hold the arguments; they are checked when the task runs."""
        super().__init__(pipeline_name=pipeline_name or "", **kwargs)
        self.requirements = requirements
        self.interpreter = interpreter
        self.aliases = aliases
        self.tags = tags
        self.version_name = version_name
        self.version_description = version_description
        self.pipeline_display_name = pipeline_display_name
        self.default_bucket = default_bucket
        self.definition_bucket = definition_bucket
        self.policy_file = policy_file
        self.policy = policy
        self.cost_tags = cost_tags
        self.compile_timeout_seconds = compile_timeout_seconds

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Compile the function, deploy what it returns, then run it as the run operator does."""
        from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
        from airflow_sm_pipelines.deployment.provenance import read_provenance

        hook = self.make_hook()
        provenance = read_provenance(context, code=Path(self.dag.fileloc))
        options = self._deploy_options(context)
        deployment = PipelineDeployer(hook, options, provenance=provenance, log=self.log).deploy()
        self.pipeline_name, self.version = deployment.pipeline_name, deployment.version_id
        if self.do_xcom_push:
            context["ti"].xcom_push(key="pipeline_arn", value=deployment.pipeline_arn)
            context["ti"].xcom_push(key="action", value=deployment.action)
        result: dict[str, Any] = super().execute(context)
        return result

    def start_options(self) -> StartOptions:
        """What the run says of its execution: role and description are the pipeline's here."""
        return replace(super().start_options(), role_arn=None, description=None)

    def _deploy_options(self, context: Context) -> DeployOptions:
        from airflow_sm_pipelines.deployment.target import read_deploy_options
        from airflow_sm_pipelines.environments import default_cache_dir

        if not self.requirements and not self.interpreter:
            raise ArgumentError(
                f"{self.custom_operator_name} needs the SDK that its function is written for: "
                "requirements=['sagemaker>=2.257,<3'], or interpreter= with a Python that has it."
            )
        function = inspect.unwrap(self.python_callable)
        try:
            config = bind_config(function, args=self.op_args, kwargs=self.op_kwargs, context=context)  # type: ignore[arg-type]
            text = make_script(function, requirements=self.requirements)
        except ScriptFunctionError as error:
            raise ArgumentError(str(error)) from error
        script = keep_script(text, name=function.__name__, folder=default_cache_dir(os.environ) / "functions")
        return read_deploy_options(
            self,
            pipeline=f"{script}:{function.__name__}",
            is_run_in_folder=True,
            pipeline_name=self._name(context),
            config=config,
        )

    def _name(self, context: Context) -> str:
        """The pipeline's name; mapped tasks have pipelines of their own, since their arguments differ."""
        index = context["ti"].map_index
        name = self.pipeline_name or f"{self.dag_id}-{self.task_id}"
        return make_pipeline_name(f"{name}-{index}" if index is not None and index >= 0 else name)


def sagemaker_pipeline_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns a SageMaker SDK ``Pipeline``: it is compiled, deployed and run.

    The function's source, from ``def`` on, becomes a pipeline script. It runs in an interpreter of its own, in the DAG
    file's folder, never in Airflow's: so it imports what it needs inside, and takes everything else as arguments, which
    go there as JSON and may be XComs. The parameters ``sagemaker_session``, ``role``, ``region``, ``default_bucket``
    and ``pipeline_name`` are filled, if the function has them, and are not given in the call. Names of Airflow's
    context that JSON can carry, such as ``params``, are filled as well.

    The XComs are those of :class:`~airflow_sm_pipelines.operators.run.SageMakerRunPipelineOperator`, with ``action``
    and ``pipeline_arn``; ``.expand()`` makes a pipeline for each set of arguments.

    :param requirements: what the function imports, as ``["sagemaker>=2.257,<3"]``; uv makes that environment once.
    :param interpreter: a Python that has it, instead.
    :param pipeline_name: made from DAG and task where not given; a mapped task adds its index.
    :param role_arn: the role of the pipeline.
    :param description: of the pipeline.
    :param kwargs: every other option of
        :class:`~airflow_sm_pipelines.operators.deploy.SageMakerDeployPipelineOperator` and of the run operator, such as
        ``parameters``, ``outputs`` and ``deferrable``.
    """
    kwargs.setdefault("multiple_outputs", True)

    def decorate(function: Callable[..., Any]) -> TaskDecorator:
        return task_decorator_factory(
            python_callable=_with_own_signature(function),
            decorated_operator_class=SageMakerPipelineFunctionOperator,
            **kwargs,
        )

    return decorate if python_callable is None else decorate(python_callable)  # type: ignore[return-value]


def _with_own_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as Airflow is to see it: with the parameters only that a DAG's author gives."""

    @functools.wraps(function)
    def seen(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    seen.__signature__ = own_signature(function)  # type: ignore[attr-defined]
    return seen
