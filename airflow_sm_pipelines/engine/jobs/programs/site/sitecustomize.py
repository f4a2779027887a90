"""Keeps the AWS calls of a process on this machine. Python runs this file when it starts, as it is on ``PYTHONPATH``.

It is there in every job and under `local exec`. Both SageMaker SDKs make their STS client with an explicit
``https://sts.<region>.amazonaws.com``, which ``AWS_ENDPOINT_URL`` does not change, and botocore below 1.31 ignores
that variable. So when botocore is imported, addresses of AWS are replaced by the local one. What passes botocore by
(telemetry, ``requests``) finds no address of AWS. Until either is imported this costs nothing. Standard library only.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AWS_DNS_SUFFIXES = (
    *(".amazonaws.com", ".api.aws"),
    *(".amazonaws.com.cn", ".api.amazonwebservices.com.cn"),
    *(".amazonaws.eu", ".api.amazonwebservices.eu"),
    *(".c2s.ic.gov", ".api.aws.ic.gov"),
    *(".sc2s.sgov.gov", ".api.aws.scloud"),
    *(".cloud.adc-e.uk", ".api.cloud-aws.adc-e.uk"),
    *(".csp.hci.ic.gov", ".api.aws.hci.ic.gov"),
)
"""As in ``definition.partitions``; jobs can import nothing of ours, so a test compares both."""


_OF_USERS = r"\.[a-z]{2}(?:-[a-z]+)+-\d\.(?!amazonaws\.|api\.|vpce\.)[a-z0-9-]+\.|\.d\.codeartifact\."
"""In the host names of what people run in AWS (databases, load balancers, package indexes), which are no API of AWS."""


class _Finder:
    """Waits for the import of some modules, and changes each once."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """Find only the modules that are changed, and each only once."""
        if name not in _CHANGES:
            return None
        import importlib.util

        change = _CHANGES.pop(name)
        if not _CHANGES:
            sys.meta_path.remove(_Finder)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _redirect_botocore(module: Any) -> None:
    create_client = module.Session.create_client
    knows_variable = _version_of("botocore") >= (1, 31)

    def create_local_client(self: Any, *args: Any, **kwargs: Any) -> Any:
        from urllib.parse import urlsplit

        local = os.environ.get("AWS_ENDPOINT_URL")
        address = kwargs.get("endpoint_url")
        host = urlsplit(address or "").hostname or ""
        if local and (host.endswith(AWS_DNS_SUFFIXES) or not (address or knows_variable)):
            kwargs["endpoint_url"] = local
        return create_client(self, *args, **kwargs)

    module.Session.create_client = create_local_client


def _hide_aws(module: Any) -> None:
    find_addresses = module.getaddrinfo

    def find_other_addresses(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
        name = name.lower().rstrip(".")
        if name.endswith(AWS_DNS_SUFFIXES) and os.environ.get("AWS_ENDPOINT_URL"):
            import re

            if not re.search(_OF_USERS, name):
                raise module.gaierror(
                    module.EAI_FAIL,
                    f"{name} is AWS, and this process reaches only the local endpoint at AWS_ENDPOINT_URL: call AWS"
                    " through boto3 or another SDK that reads that variable",
                )
        return find_addresses(host, *args, **kwargs)

    module.getaddrinfo = find_other_addresses


def _version_of(package: str) -> tuple[int, ...]:
    parts = str(getattr(sys.modules[package], "__version__", "")).split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


_CHANGES: dict[str, Any] = {"botocore.session": _redirect_botocore, "socket": _hide_aws}


def _run_shadowed() -> None:
    """Run the sitecustomize of the environment, which this file hides."""
    # This runs at every start of Python in a job, so it uses os.path, not pathlib or importlib.
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    entry = next((path for path in sys.path if os.path.abspath(path or ".") == here), None)  # noqa: PTH100
    if entry is None:
        return
    position = sys.path.index(entry)
    ours = sys.modules.pop("sitecustomize", None)
    del sys.path[position]
    try:
        __import__("sitecustomize")  # the next one on the path
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.path.insert(position, entry)
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)


if os.environ.get("AWS_ENDPOINT_URL"):
    sys.meta_path.insert(0, _Finder)
_run_shadowed()
