"""SDK v2's ``distribution=`` of a training job: what one process can stand for, and what is refused.

The toolkits of the images start several processes for it. Here a script runs once, so a distribution that needs more
than one instance or one process is refused by name. Source: sagemaker-python-sdk 2, ``fw_utils`` and the framework
estimators; aws/sagemaker-training-toolkit, ``params.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.training_inputs import read_hyperparameter

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {
    "sagemaker_torch_distributed_enabled": "torch_distributed",
    "sagemaker_pytorch_ddp_enabled": "pytorchddp",
    "sagemaker_pytorch_xla_multi_worker_enabled": "pytorchxla",
    "sagemaker_mpi_enabled": "mpi",
    "sagemaker_parameter_server_enabled": "parameter_server",
    "sagemaker_multi_worker_mirrored_strategy_enabled": "multi_worker_mirrored_strategy",
    "sagemaker_distributed_dataparallel_enabled": "smdistributed.dataparallel",
}
"""The hyperparameters that the SDK sets, and the keys of ``distribution=`` that they come from."""
_IMAGE_ONLY = {
    "sagemaker_distributed_dataparallel_enabled": "smdistributed.dataparallel",
    "mp_parameters": "smdistributed.modelparallel",
}
_PER_HOST = "sagemaker_mpi_num_of_processes_per_host"


_TORCHRUN = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "7777",
}
"""What torchrun tells the only process that it starts."""


def make_variables(request: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables by which a distribution's launcher tells a process its place among the others."""
    return dict(_TORCHRUN) if find_distribution(request) == "torch_distributed" else {}


def find_distribution(request: Mapping[str, Any]) -> str | None:
    """The key of ``distribution=`` that a request asks for, or None."""
    return next((kind for name, kind in _KINDS.items() if _is_on(request, name)), None)


def check_distribution(request: Mapping[str, Any], host_count: int) -> str | None:
    """Check that one process can stand for the distribution of a request.

    :param request: of a training job. Only script mode knows distributions.
    :return: a line for the job's log; None without a distribution.
    :raises JobFailure: it takes several processes, or a library that only the image has.
    """
    if not read_hyperparameter(request, "sagemaker_program"):
        return None
    kind = find_distribution(request)
    for name, library in _IMAGE_ONLY.items():
        if read_hyperparameter(request, name) is not None and (name == "mp_parameters" or _is_on(request, name)):
            raise JobFailure(
                f"ClientError: the request asks for distribution={library} ({name}), a library that only AWS's images "
                "have. Run this step on AWS, or leave the distribution out for the local run."
            )
    if kind is None:
        return None
    processes = int(read_hyperparameter(request, _PER_HOST) or 1) if kind == "mpi" else 1
    if host_count > 1 or processes > 1:
        raise JobFailure(
            f"ClientError: the request asks for distribution={kind} on {host_count} instance(s) with {processes} "
            "process(es) each. Only one process runs here: give one instance and one process for the local run, or run "
            "this step on AWS."
        )
    return f"distribution={kind}: one process runs here. On AWS the image's launcher starts one for each GPU or as set."


def _is_on(request: Mapping[str, Any], name: str) -> bool:
    return str(read_hyperparameter(request, name)).lower() == "true"
