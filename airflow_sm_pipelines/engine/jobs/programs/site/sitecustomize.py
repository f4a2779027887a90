"""Keeps a step's AWS calls on this machine: Python runs this file at start, because its directory is on ``PYTHONPATH``.

Both SageMaker SDKs make their STS client with an explicit ``https://sts.<region>.amazonaws.com``, which
``AWS_ENDPOINT_URL`` does not change. So once botocore is imported, an explicit address of AWS is replaced by the local one.
It costs nothing until then. Standard library only; delete it when the SDKs leave the address to botocore.
"""

import os
import sys

_TARGET = "botocore.session"


class _BotocoreFinder:
    """Waits for the import of botocore's session module and changes it once."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
        """Answer for one module only, and only once."""
        if name != _TARGET:
            return None
        import importlib.util

        sys.meta_path.remove(_BotocoreFinder)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):  # type: ignore[no-untyped-def]
                load(module)
                _redirect(module.Session)

            spec.loader.exec_module = exec_module
        return spec


def _redirect(session_class):  # type: ignore[no-untyped-def]
    create_client = session_class.create_client

    def create_local_client(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        from urllib.parse import urlsplit

        local = os.environ.get("AWS_ENDPOINT_URL")
        host = urlsplit(kwargs.get("endpoint_url") or "").hostname or ""
        if local and host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
            kwargs["endpoint_url"] = local
        return create_client(self, *args, **kwargs)

    session_class.create_client = create_local_client


def _run_shadowed():  # type: ignore[no-untyped-def]
    """Run the sitecustomize of the environment that this file stands before."""
    import importlib.machinery
    import importlib.util

    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if os.environ.get("AWS_ENDPOINT_URL"):
    sys.meta_path.insert(0, _BotocoreFinder)
_run_shadowed()
