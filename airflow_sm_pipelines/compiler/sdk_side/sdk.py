"""The SageMaker SDK of this interpreter, of either generation."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from typing import Any

from .errors import BuildError

# An SDK generation is told by the module that holds its Pipeline class; the other names hang on it.
_SDKS = (
    ("sagemaker.mlops.workflow.pipeline", "sagemaker.core.workflow.pipeline_context", "sagemaker-mlops"),
    ("sagemaker.workflow.pipeline", "sagemaker.workflow.pipeline_context", "sagemaker"),
)


class Sdk:
    """The SageMaker SDK of this interpreter, of either generation."""

    def __init__(self, pipeline_module: str, session_module: str, distribution: str) -> None:
        self.pipeline_class = importlib.import_module(pipeline_module).Pipeline
        sessions = importlib.import_module(session_module)
        self._session_class = sessions.PipelineSession
        #: The session of local mode; None where the SDK is too old to have one.
        self.local_session_class: Any = getattr(sessions, "LocalPipelineSession", None)
        self.version = f"{distribution} {importlib.metadata.version(distribution)}"

    def make_session(self, region: str | None, default_bucket: str | None, *, is_local: bool = False) -> Any:
        """Give a session under which steps are described and nothing starts.

        :param is_local: one that takes the instance types and addresses of local mode.
        """
        boto3 = importlib.import_module("boto3")
        session_class = self.local_session_class if is_local and self.local_session_class else self._session_class
        return session_class(boto_session=boto3.session.Session(region_name=region), default_bucket=default_bucket)


def load_sdk() -> Sdk:
    """Give the SDK that is installed here.

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
