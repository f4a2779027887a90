"""``@task.sagemaker_pipeline``: one task deploys and runs the pipeline that a function of the DAG file returns."""

from __future__ import annotations

import functools
import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.valid_names import make_pipeline_name
from airflow_sm_pipelines.decorators.function_script import bind_config, keep_script, make_script, own_signature
from airflow_sm_pipelines.exceptions import ArgumentError, ScriptFunctionError
from airflow_sm_pipelines.operators.deploy import SageMakerDeployPipelineOperator
from airflow_sm_pipelines.operators.run import SageMakerRunPipelineOperator
from airflow_sm_pipelines.option_reader import parse_arguments, parse_flag, refuse_template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from airflow_sm_pipelines.deployment.options import DeployOptions
    from airflow_sm_pipelines.runs.start_request import StartOptions

_FILLED_BY_FUNCTION = ("pipeline", "config", "version")
"""Arguments of the deploy and the run operator that the function and its deployment give."""


class SageMakerPipelineFunctionOperator(
    DecoratedOperator, SageMakerRunPipelineOperator, SageMakerDeployPipelineOperator
):
    """The operator that :func:`sagemaker_pipeline_task` makes; that function describes the options.

    It takes the arguments of both operators. Where both have one, such as ``role_arn``, it is the pipeline's.
    """

    custom_operator_name = "@task.sagemaker_pipeline"
    pipeline_name: str
    template_fields: Sequence[str] = (
        "op_args",
        "op_kwargs",
        *dict.fromkeys(
            field
            for field in (
                *SageMakerDeployPipelineOperator.template_fields,
                *SageMakerRunPipelineOperator.template_fields,
            )
            if field not in _FILLED_BY_FUNCTION
        ),
    )
    template_fields_renderers = {
        **DecoratedOperator.template_fields_renderers,
        **SageMakerDeployPipelineOperator.template_fields_renderers,
        **SageMakerRunPipelineOperator.template_fields_renderers,
    }
    operator_extra_links = SageMakerRunPipelineOperator.operator_extra_links

    def __init__(self, *, pipeline_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(pipeline_name=pipeline_name or "", pipeline="", config=None, **kwargs)

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Compile the function, deploy what it returns, then run it as the run operator does."""
        from airflow_sm_pipelines.airflow_task.task_identity import read_provenance
        from airflow_sm_pipelines.deployment.deployer import PipelineDeployer

        refuse_template("requirements", self.requirements)
        parse_arguments(self, {"cache": (parse_flag, True)})
        self._check_arguments()  # before anything is deployed
        hook = self.make_hook()
        provenance = read_provenance(context, code=Path(self.dag.fileloc))
        options = self._deploy_options(context)
        deployer = PipelineDeployer(hook, options, provenance=provenance, log=self.log)
        deployment = deployer.deploy(check=self.start_options().check)
        self.pipeline_name, self.version = deployment.pipeline_name, deployment.version_id
        if self.do_xcom_push:
            context["ti"].xcom_push(key="pipeline_arn", value=deployment.pipeline_arn)
            context["ti"].xcom_push(key="action", value=deployment.action)
        result: dict[str, Any] = super().execute(context)
        return result

    def start_options(self) -> StartOptions:
        """The options of the start call; here ``role_arn`` and ``description`` are the pipeline's."""
        return replace(super().start_options(), role_arn=None, description=None)

    def _deploy_options(self, context: Context) -> DeployOptions:
        from airflow_sm_pipelines.airflow_task.settings import adopt_settings
        from airflow_sm_pipelines.deployment.options import DeployOptions
        from airflow_sm_pipelines.environments import default_cache_dir

        if not self.requirements and not self.interpreter:
            raise ArgumentError(
                f"{self.custom_operator_name} needs the SDK that its function is written for: "
                "requirements=['sagemaker>=2.257,<3'], or interpreter= with a Python that has it."
            )
        adopt_settings(os.environ)
        function = inspect.unwrap(self.python_callable)
        try:
            config = bind_config(function, args=self.op_args, kwargs=self.op_kwargs, context=context)  # type: ignore[arg-type]
            text = make_script(function, requirements=self.requirements)
        except ScriptFunctionError as error:
            raise ArgumentError(str(error)) from error
        script = keep_script(text, name=function.__name__, folder=default_cache_dir(os.environ) / "functions")
        return DeployOptions.of(
            self,
            pipeline=f"{script}:{function.__name__}",
            folder=str(Path(self.dag.fileloc).parent),
            is_run_in_folder=True,
            pipeline_name=self._name(context),
            config=config,
        )

    def _name(self, context: Context) -> str:
        """The pipeline's name. Each mapped task has a pipeline of its own, since its arguments differ."""
        index = context["ti"].map_index
        name = self.pipeline_name or f"{self.dag_id}-{self.task_id}"
        return make_pipeline_name(f"{name}-{index}" if index is not None and index >= 0 else name)


def sagemaker_pipeline_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a task of a function that returns a SageMaker SDK ``Pipeline``: it is compiled, deployed and run.

    The function's source, from ``def`` on, becomes a pipeline script. It runs in an interpreter of its own, in the DAG
    file's folder. So the function imports what it needs inside its body, and takes everything else as arguments, which
    are passed on as JSON and may be XComs. The parameters ``sagemaker_session``, ``role``, ``region``,
    ``default_bucket`` and ``pipeline_name`` are filled, if the function has them; do not give them in the call. Names
    of Airflow's context that JSON can carry, such as ``params``, are filled as well.

    The XComs are those of :class:`~airflow_sm_pipelines.operators.run.SageMakerRunPipelineOperator`, with ``action``
    and ``pipeline_arn``; ``.expand()`` makes a pipeline for each set of arguments.

    :param requirements: the packages that the function imports, as ``["sagemaker>=2.257,<3"]``; uv makes that
        environment once.
    :param interpreter: the path of a Python that has these packages, instead.
    :param pipeline_name: made from DAG and task where not given; a mapped task adds its index.
    :param role_arn: the role of the pipeline.
    :param description: the description of the pipeline.
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
    """The function as Airflow sees it: with only those parameters that a DAG's author gives."""

    @functools.wraps(function)
    def seen(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    seen.__signature__ = own_signature(function)  # type: ignore[attr-defined]
    return seen
