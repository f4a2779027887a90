"""Keeps the AWS calls of a step on this machine. Python runs this file when it starts, as it is on ``PYTHONPATH``.

Both SageMaker SDKs make their STS client with an explicit ``https://sts.<region>.amazonaws.com``, which
``AWS_ENDPOINT_URL`` does not change. So when botocore is imported, explicit addresses of AWS are replaced by the local
one. Until then this costs nothing. Standard library only. Delete it when the SDKs leave the address to botocore.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TARGET = "botocore.session"
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


class _BotocoreFinder:
    """Waits for the import of botocore's session module, and changes it once."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """Find only that one module, and only once."""
        if name != _TARGET:
            return None
        import importlib.util

        sys.meta_path.remove(_BotocoreFinder)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                _redirect(module.Session)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _redirect(session_class: Any) -> None:
    create_client = session_class.create_client

    def create_local_client(self: Any, *args: Any, **kwargs: Any) -> Any:
        from urllib.parse import urlsplit

        local = os.environ.get("AWS_ENDPOINT_URL")
        host = urlsplit(kwargs.get("endpoint_url") or "").hostname or ""
        if local and host.endswith(AWS_DNS_SUFFIXES):
            kwargs["endpoint_url"] = local
        return create_client(self, *args, **kwargs)

    session_class.create_client = create_local_client


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
    sys.meta_path.insert(0, _BotocoreFinder)
_run_shadowed()
