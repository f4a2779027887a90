"""Refuses what the installed boto3 is too old for, before it is sent: Airflow's constraints hold boto3 back.

The client decides what it can send. The API model that this package carries says what the API has beyond that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import OldClientError
from airflow_sm_pipelines.service_model.api_model import ServiceModel, read_carried_model, read_installed_version

if TYPE_CHECKING:
    from collections.abc import Iterable

OLD_CLIENT = "OldClient"
"""The code of the error."""

ALIASES_VERSION = "1.44.0"
"""The first boto3 with aliases of pipeline versions; 1.43.99 has none in its model."""

_ALIAS_MEMBER = "PipelineVersionAlias"
"""How every member that is about aliases begins."""


def knows_aliases(client: Any) -> bool:
    """Whether a SageMaker client can read and move aliases of pipeline versions. An older one answers without them."""
    shape = client.meta.service_model.operation_model("UpdatePipelineVersion").input_shape
    return f"{_ALIAS_MEMBER}Operations" in shape.members


def require_aliases(client: Any) -> None:
    """Refuse a client that cannot read or move aliases.

    :raises OldClientError: naming the boto3 that can.
    """
    if not knows_aliases(client):
        raise _make_error("aliases of pipeline versions", ALIASES_VERSION)


def require_known(client: Any, operation: str, members: Iterable[str]) -> str:
    """Refuse a call that the API has and this client has not, or members of its request.

    What neither knows is left to botocore, which refuses it by its name.

    :param operation: the client's method, such as ``describe_pipeline``.
    :param members: the members of the request.
    :return: the operation's name in the API.
    :raises OldClientError: naming a boto3 that has them.
    """
    name = client.meta.method_to_api_mapping.get(operation)
    if name is None:
        document, version = read_carried_model()
        name = "".join(part.capitalize() for part in operation.split("_"))
        if name not in document["operations"]:
            raise KeyError(operation)
        raise _make_error(name, version)
    shape = client.meta.service_model.operation_model(name).input_shape
    unknown = [member for member in members if shape is None or member not in shape.members]
    if unknown and client.meta.service_model.service_name == "sagemaker":
        aliases = [member for member in unknown if member.startswith(_ALIAS_MEMBER)]
        if aliases:
            raise _make_error(f"{name} with {aliases[0]}", ALIASES_VERSION)
        document, version = read_carried_model()
        known = ServiceModel(document, version=version).get_request_shape(name).members
        newer = [member for member in unknown if member in known]
        if newer:
            raise _make_error(f"{name} with {newer[0]}", version)
    return str(name)


def _make_error(what: str, version: str) -> OldClientError:
    advice = " Until then, name versions of pipelines by their ids." if version == ALIASES_VERSION else ""
    return OldClientError(
        f"boto3 {version} or later is needed for {what}; {read_installed_version()} is installed. Install it on "
        f"workers and triggerers where Airflow's constraints allow it.{advice}",
        code=OLD_CLIENT,
    )
