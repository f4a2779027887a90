"""The environment variables of a job: a clean set as in a container, with the local endpoint.

What belongs here: the variables that every job sees. What does not: those of one kind of job.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.isolation import OPT_ML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SITE_DIRECTORY = Path(__file__).with_name("programs") / "site"

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# `pip install` in a step needs these to reach the index of the user, and the dynamic linker needs the last one.
_PASSED_PREFIXES = ("PIP_", "UV_")
_PASSED = frozenset(
    {
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "LD_LIBRARY_PATH",
    }
)  # fmt: skip
_PATH_PATTERN = re.compile(re.escape(OPT_ML) + r"(?=$|[^A-Za-z0-9_.-])")
# Without this, SDK code in a step would post usage data to AWS.
_SDK_CONFIG = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"


def build_environment(
    *,
    host: Mapping[str, str],
    aws: Mapping[str, str],
    requested: Mapping[str, str],
    contract: Mapping[str, str],
    home: Path,
    programs: Sequence[Path],
) -> dict[str, str]:
    """All variables of a job's process.

    :param host: the environment of the engine; only settings for proxies, certificates, pip and uv are taken from it.
    :param aws: the endpoint, region and local credentials. A request cannot change the endpoint.
    :param requested: ``Environment`` of the job's request.
    :param contract: what SageMaker itself sets for this kind of job.
    :param home: the home directory of the job; a configuration for the SDK is written there.
    :param programs: directories for the front of ``PATH``.
    """
    environment = {name: value for name, value in host.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    if "PIP_CONFIG_FILE" not in environment and (settings := _user_pip_configuration(host)):
        environment["PIP_CONFIG_FILE"] = str(settings)
    sdk_config = home / "sagemaker-config.yaml"
    sdk_config.write_text(_SDK_CONFIG)
    environment |= {
        "PATH": ":".join([*map(str, programs), _SYSTEM_PATH]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "UTF-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(sdk_config),
        **aws,
        **contract,
        **requested,
    }
    environment |= {name: value for name, value in aws.items() if name.startswith("AWS_ENDPOINT_URL")}
    # programs/site/sitecustomize.py keeps calls with explicit AWS addresses on this machine.
    python_path = requested.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{SITE_DIRECTORY}:{python_path}" if python_path else str(SITE_DIRECTORY)
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, ("127.0.0.1,localhost", host.get(name), requested.get(name))))
    return environment


def rewrite_paths(text: str, opt_ml: Path) -> str:
    """Replace ``/opt/ml`` where it is a path or the beginning of a path."""
    return _PATH_PATTERN.sub(lambda match: str(opt_ml), text)


def _user_pip_configuration(host: Mapping[str, str]) -> Path | None:
    # The job has its own home, so pip would not find the user's settings there.
    home = host.get("HOME")
    if not home:
        return None
    configuration = Path(host.get("XDG_CONFIG_HOME") or Path(home) / ".config")
    for path in (configuration / "pip" / "pip.conf", Path(home) / ".pip" / "pip.conf"):
        if path.is_file():
            return path
    return None
