"""Finds the SageMaker SDK of this interpreter, of version 2 or 3."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from typing import Any

from .build_errors import BuildError

# For each SDK generation: the modules of its Pipeline class and of its sessions, and its distribution.
_SDKS = (
    ("sagemaker.mlops.workflow.pipeline", "sagemaker.core.workflow.pipeline_context", "sagemaker-mlops"),
    ("sagemaker.workflow.pipeline", "sagemaker.workflow.pipeline_context", "sagemaker"),
)


class Sdk:
    """The SageMaker SDK of this interpreter.

    :ivar local_session_class: the session of local mode; None if the SDK is too old to have one.
    :ivar version: distribution and version: ``sagemaker 2.257.7``.
    """

    def __init__(self, pipeline_module: str, session_module: str, distribution: str) -> None:
        self.pipeline_class = importlib.import_module(pipeline_module).Pipeline
        sessions = importlib.import_module(session_module)
        self._session_class = sessions.PipelineSession
        self.local_session_class: Any = getattr(sessions, "LocalPipelineSession", None)
        self.version = f"{distribution} {importlib.metadata.version(distribution)}"

    def make_session(self, region: str | None, default_bucket: str | None, *, is_local: bool = False) -> Any:
        """Make a session under which steps are only described and nothing starts.

        :param is_local: whether it takes the instance types and addresses of local mode.
        """
        boto3 = importlib.import_module("boto3")
        session_class = self.local_session_class if is_local and self.local_session_class else self._session_class
        return session_class(boto_session=boto3.session.Session(region_name=region), default_bucket=default_bucket)


def load_sdk() -> Sdk:
    """Find the SDK that is installed here.

    :raises BuildError: there is none.
    """
    for pipeline_module, session_module, distribution in _SDKS:
        try:
            if importlib.util.find_spec(pipeline_module) is None:
                continue
        except ModuleNotFoundError:
            continue
        return Sdk(pipeline_module, session_module, distribution)
    raise BuildError(
        "no_sdk",
        f"{sys.executable} has no SageMaker SDK with pipelines. Name one in the script's `dependencies`, "
        'such as "sagemaker>=2.257,<3" or "sagemaker-mlops>=1.27,<2".',
    )


def explain_generation(module: str) -> str:
    """Say which SDK a script is written for that imports a module which is not here, and what to pin."""
    here = next(
        (f"{name} {_version_of(name)}" for name in ("sagemaker-mlops", "sagemaker") if _version_of(name)), "none"
    )
    is_v3 = module.split(".")[1:2] and module.split(".")[1] in ("mlops", "core", "train", "serve", "ai_registry")
    generation, pin = ("v3", "sagemaker-mlops>=1.27,<2") if is_v3 else ("v2", "sagemaker>=2.257,<3")
    return (
        f"There is no module {module!r}: the script is written for SDK {generation}, and the environment has {here}. "
        f'Pin it in the script\'s `dependencies`: "{pin}".'
    )


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
