"""What a training job finds under ``/opt/ml/input`` and ``/opt/ml/code`` when it starts.

What belongs here: channels, configuration files, source code. What does not: running the job, and its artifacts.
Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information".
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.engine.jobs.archives import unpack_tar
from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.isolation import OPT_ML
from airflow_sm_pipelines.engine.jobs.s3_transfer import (
    S3Object,
    download,
    download_file,
    download_input,
    list_input,
    parse_location,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.jobs.container import Container
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext

_GROUP = "homogeneousCluster"
_INPUT_DATA = f"{OPT_ML}/input/data"
_CONFIG = f"{OPT_ML}/input/config"
DEFAULT_CHECKPOINT_PATH = f"{OPT_ML}/checkpoints"


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Instances of one type. A job without groups has one group, which SageMaker calls ``homogeneousCluster``."""

    name: str
    instance_type: str
    hosts: tuple[str, ...]


def plan_instance_groups(resources: Mapping[str, Any]) -> tuple[InstanceGroup, ...]:
    """The instance groups of a ``ResourceConfig``. Their hosts are ``algo-1``, ``algo-2`` and so on over all groups."""
    groups = resources.get("InstanceGroups") or [
        {
            "InstanceGroupName": _GROUP,
            "InstanceType": resources.get("InstanceType", "local"),
            "InstanceCount": resources.get("InstanceCount", 1),
        }
    ]
    planned: list[InstanceGroup] = []
    first = 1
    for group in groups:
        count = int(group["InstanceCount"])
        hosts = tuple(f"algo-{number}" for number in range(first, first + count))
        planned.append(InstanceGroup(group["InstanceGroupName"], group["InstanceType"], hosts))
        first += count
    return tuple(planned)


def download_channels(
    request: Mapping[str, Any],
    context: JobContext,
    containers: list[Container],
    groups: tuple[InstanceGroup, ...],
    *,
    note: Callable[[str], None],
) -> None:
    """Download every channel to ``/opt/ml/input/data/<channel>`` of every instance that gets it.

    :param note: takes a line for the job's log.
    :raises JobFailure: a channel is empty or of a kind that does not work locally.
    """
    for channel in request.get("InputDataConfig") or ():
        name = channel["ChannelName"]
        source = (channel.get("DataSource") or {}).get("S3DataSource")
        if source is None:
            raise JobFailure(f"ClientError: channel '{name}' is not on S3; file systems need AWS.")
        if _input_mode(request, channel) == "Pipe":
            raise JobFailure(
                f"ClientError: channel '{name}' uses Pipe mode, which does not work locally. Use File or FastFile."
            )
        hosts = _hosts_of(channel, groups)
        directories = [
            container.path_of(f"{_INPUT_DATA}/{name}") for container in containers if container.host in hosts
        ]
        download_input(context.s3, source, directories, note=note)


def _hosts_of(channel: Mapping[str, Any], groups: tuple[InstanceGroup, ...]) -> set[str]:
    """The instances that get a channel: those of its ``InstanceGroupNames``, else all.

    :raises JobFailure: it names a group that the job does not have.
    """
    source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
    wanted = source.get("InstanceGroupNames")
    known = {group.name: group for group in groups}
    for name in wanted or ():
        if name not in known:
            raise JobFailure(
                f"ClientError: channel '{channel['ChannelName']}' goes to the instance group '{name}', but the job has "
                f"{', '.join(known)}."
            )
    return {host for name in wanted or known for host in known[name].hosts}


def download_checkpoints(checkpoint: Mapping[str, Any], context: JobContext, containers: list[Container]) -> None:
    """Download the checkpoints of an earlier job; there may be none."""
    location = parse_location(checkpoint["S3Uri"])
    local_path = checkpoint.get("LocalPath") or DEFAULT_CHECKPOINT_PATH
    try:
        objects: tuple[S3Object, ...] = list_input(context.s3, location.uri.rstrip("/") + "/")
    except JobFailure:
        objects = ()
    for container in containers:
        download(context.s3, objects, container.path_of(local_path))


def write_configuration(request: Mapping[str, Any], container: Container, groups: tuple[InstanceGroup, ...]) -> None:
    """Write the files of ``/opt/ml/input/config``. Hyperparameters are strings there, and are not changed."""
    hosts: list[JsonValue] = list(dict.fromkeys(host for group in groups for host in group.hosts))
    own = next(group for group in groups if container.host in group.hosts)
    parameters = request.get("HyperParameters") or {}
    container.write_json(
        f"{_CONFIG}/hyperparameters.json",
        # A pipeline parameter of type Integer or Float stands for its text here.
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()},
    )
    container.write_json(
        f"{_CONFIG}/resourceconfig.json",
        {
            "current_host": container.host,
            "current_instance_type": own.instance_type,
            "current_group_name": own.name,
            "hosts": hosts,
            "instance_groups": [
                {"instance_group_name": group.name, "instance_type": group.instance_type, "hosts": [*group.hosts]}
                for group in groups
            ],
            "network_interface_name": "lo",
        },
    )
    container.write_json(
        f"{_CONFIG}/inputdataconfig.json",
        {
            channel["ChannelName"]: _channel_config(request, channel)
            for channel in request.get("InputDataConfig") or ()
            if container.host in _hosts_of(channel, groups)
        },
    )
    if checkpoint := request.get("CheckpointConfig"):
        container.write_json(
            f"{_CONFIG}/checkpointconfig.json", {"LocalPath": checkpoint.get("LocalPath") or DEFAULT_CHECKPOINT_PATH}
        )


def place_source_code(submit_directory: str, context: JobContext, container: Container) -> None:
    """Put the folder of the script to ``/opt/ml/code``: from ``sourcedir.tar.gz`` on S3, or from a channel.

    :raises JobFailure: it does not exist.
    :raises ArchiveError: it cannot be unpacked safely.
    """
    code = container.path_of(f"{OPT_ML}/code")
    if is_s3_uri(submit_directory):
        archive = download_file(context.s3, submit_directory, container.root / "submitted")
    else:
        archive = container.path_of(submit_directory)
    if archive.is_dir():
        shutil.copytree(archive, code, dirs_exist_ok=True)
    elif archive.suffix == ".py":
        shutil.copy(archive, code)
    elif archive.exists():
        unpack_tar(archive, code)
    else:
        raise JobFailure(
            f"ClientError: the training code '{submit_directory}' (sagemaker_submit_directory) does not exist."
        )


def read_hyperparameter(request: Mapping[str, Any], name: str) -> str | None:
    """One of the SDK's own hyperparameters, which are JSON strings inside a string; None if it is not set."""
    value = (request.get("HyperParameters") or {}).get(name)
    if value is None:
        value = (request.get("Environment") or {}).get(name.upper())
    if value is None:
        return None
    try:
        decoded = json.loads(value)
    except ValueError:
        return str(value)
    return decoded if isinstance(decoded, str) else str(value)


def _input_mode(request: Mapping[str, Any], channel: Mapping[str, Any]) -> str:
    mode = channel.get("InputMode") or request["AlgorithmSpecification"].get("TrainingInputMode", "File")
    return str(mode)


def _channel_config(request: Mapping[str, Any], channel: Mapping[str, Any]) -> JsonValue:
    source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
    described: dict[str, JsonValue] = {
        "TrainingInputMode": _input_mode(request, channel),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if channel.get("ContentType"):
        described["ContentType"] = channel["ContentType"]
    return described
