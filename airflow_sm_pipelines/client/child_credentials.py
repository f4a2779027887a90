"""The environment variables through which a child process, such as a pipeline script's interpreter, reaches AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_INHERITED = (
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)


def make_child_environment(
    credentials: Any | None,
    *,
    region: str,
    environment: Mapping[str, str],
    endpoint_urls: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Credentials, region and endpoints as environment variables.

    :param credentials: has ``access_key``, ``secret_key`` and ``token``; None leaves the child without credentials.
    :param environment: this process's variables; endpoints and TLS settings are taken over from them.
    :param endpoint_urls: further endpoints by service, as ``{"s3": "http://127.0.0.1:4566"}``.
    """
    found = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if credentials is not None:
        found["AWS_ACCESS_KEY_ID"] = credentials.access_key
        found["AWS_SECRET_ACCESS_KEY"] = credentials.secret_key
        if credentials.token:
            found["AWS_SESSION_TOKEN"] = credentials.token
    found |= {name: environment[name] for name in _INHERITED if name in environment}
    found |= {name: value for name, value in environment.items() if name.startswith("AWS_ENDPOINT_URL")}
    return found | {f"AWS_ENDPOINT_URL_{service.upper()}": url for service, url in (endpoint_urls or {}).items()}
