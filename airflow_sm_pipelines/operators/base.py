"""The base of all operators and sensors: the arguments of the AWS connection, the hook, and the choice to defer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.option_reader import parse_flag, parse_verify, refuse_old_arguments, refuse_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

PROVIDER_ARGUMENTS = {
    "pipeline_params": "it is parameters= here",
    "pipeline_exec_arn": "it is execution_arn= here",
    "check_interval": "it is waiter_delay= for the run operator, and poke_interval= for a sensor",
    "waiter_max_attempts": "it is max_wait_seconds= for the run operator, and timeout= for a sensor, both in seconds",
    "fail_if_not_running": "leave it out; the XCom was_running says whether the execution ran",
    "verbose": "leave it out; changes of steps are always logged",
}
"""What is here for each argument of the amazon provider's classes for pipelines that has another name."""

AWS_TEMPLATE_FIELDS = ("aws_conn_id", "region_name", "verify")


class SageMakerPipelinesOperator(BaseOperator):
    """An operator that talks to SageMaker Pipelines; a base for the others.

    It does not inherit from the amazon provider's ``AwsBaseOperator``: importing that costs every parse of a DAG file a
    second.

    :param aws_conn_id: the Airflow connection; None for boto3's own credential chain.
    :param region_name: the region; None for the connection's.
    :param verify: whether, or with which bundle, to verify TLS certificates.
    :param botocore_config: botocore client settings, such as ``{"connect_timeout": 5}``.
    """

    ui_color = "#e8f3ef"

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_old_arguments(type(self).__name__, kwargs, PROVIDER_ARGUMENTS)
        try:
            super().__init__(**kwargs)
        except TypeError as error:
            if (said := _explain_unknown_arguments(type(self), kwargs)) is None:
                raise
            raise ArgumentError(said) from error
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.link_addresses: dict[str, str] = {}

    def publish_links(self, ti: Any, addresses: Mapping[str, str]) -> None:
        """Make links visible now, while the task still runs: addresses by XCom key.

        Airflow writes those in ``link_addresses`` by itself whenever a process of the task ends, however it ends.
        """
        from airflow_sm_pipelines.airflow_task.plain_xcom import set_plain_xcom

        self.link_addresses.update(addresses)
        if self.do_xcom_push:
            for key, address in addresses.items():
                set_plain_xcom(ti, key, address)

    @property
    def hook_arguments(self) -> HookArguments:
        """Where this operator's calls go; its triggers take the same.

        :raises ArgumentError: if ``botocore_config`` holds a template, which would not be rendered.
        """
        refuse_template("botocore_config", self.botocore_config)
        return HookArguments(
            aws_conn_id=self.aws_conn_id or None,
            region_name=self.region_name or None,
            verify=parse_verify(self.verify),
            botocore_config=self.botocore_config,
        )

    def make_hook(self) -> SageMakerPipelinesHook:
        """A hook on this operator's connection."""
        return self.hook_arguments.make_hook()


def is_deferrable(choice: bool | str | None) -> bool:
    """Whether a task waits in the triggerer: its ``deferrable`` argument, or else Airflow's configuration.

    :raises ArgumentError: if a template made something else of the argument.
    """
    chosen = parse_flag("deferrable", choice)
    if chosen is not None:
        return chosen
    from airflow_sm_pipelines.airflow_names import conf

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def _explain_unknown_arguments(task: type, given: Mapping[str, Any]) -> str | None:
    """A sentence for arguments that a class does not have, with the nearest one that it has; None if it has all."""
    import inspect

    from airflow_sm_pipelines.definition.problems import find_near

    known = {name for one in task.__mro__ if "__init__" in vars(one) for name in inspect.signature(one).parameters}
    unknown = [name for name in given if name not in known]
    if not unknown:
        return None
    near = {name: find_near(name, known) for name in unknown}
    said = (f"'{name}'" + (f" (did you mean '{near[name]}'?)" if near[name] else "") for name in unknown)
    return f"{task.__name__} has no argument {', '.join(said)}."
