"""Finds the SageMaker SDK of this interpreter, of version 2 or 3."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from typing import Any

from .build_errors import BuildError

# For each SDK generation: the modules of its Pipeline class and of its sessions, and its distribution.
_SDKS = (
    ("sagemaker.mlops.workflow.pipeline", "sagemaker.core.workflow.pipeline_context", "sagemaker-mlops"),
    ("sagemaker.workflow.pipeline", "sagemaker.workflow.pipeline_context", "sagemaker"),
)
PINS = {2: "sagemaker>=2.257,<3", 3: "sagemaker-mlops>=1.27,<2"}
"""The requirement of each SDK generation."""
_V3_ONLY = ("mlops", "core", "train", "ai_registry")
_IMPORT = re.compile(r"(?m)^\s*(?:from|import)\s+sagemaker(?:\.(?P<module>\w+))?(?:\.\w+)*\b")


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
        self.version = f"{distribution} {_version_of(distribution)}"

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
        f"{sys.executable} has no SageMaker SDK with pipelines. Name one in the script's `dependencies`, or with "
        f'requirements= (--requirements), such as "{PINS[2]}" or "{PINS[3]}".',
    )


def find_generation(source: str) -> int | None:
    """Give the SDK generation that a script is written for, by what it imports: 2 or 3. None where it imports none."""
    modules = [match["module"] for match in _IMPORT.finditer(source)]
    if not modules:
        return None
    return 3 if any(module in _V3_ONLY for module in modules) else 2


def explain_generation(missing: str, *, is_v3: bool) -> str:
    """Say which SDK a script is written for that uses what is not here, and what to pin.

    :param missing: what is not here, as a sentence without its full stop.
    """
    here = next(
        (f"{name} {_version_of(name)}" for name in ("sagemaker-mlops", "sagemaker") if _version_of(name)), "none"
    )
    generation = 3 if is_v3 else 2
    return (
        f"{missing}: the script is written for SDK v{generation}, and the environment has {here}. "
        f'Pin it in the script\'s `dependencies`, or with requirements= (--requirements): "{PINS[generation]}".'
    )


def explain_missing_sdk_part(error: BaseException) -> str | None:
    """Say which SDK a script is written for whose error comes from using the other one; None for another error."""
    is_v3_here = _version_of("sagemaker-mlops") is not None
    name = str(getattr(error, "name", None) or "")
    if isinstance(error, ModuleNotFoundError):
        parts = name.split(".")
        is_v3 = parts[1:2] != [] and parts[1] in (*_V3_ONLY, "serve")
        if parts[0] != "sagemaker" or is_v3 == is_v3_here:
            return None
        return explain_generation(f"There is no module {name!r}", is_v3=is_v3)
    if not is_v3_here:
        return None  # a name that version 2 does not have is no sign of version 3
    if isinstance(error, ImportError) and name.split(".")[0] == "sagemaker":
        wanted = re.search(r"cannot import name '(\w+)'", str(error))
        return explain_generation(f"{name!r} has no {wanted[1] if wanted else 'such name'!r}", is_v3=False)
    found = re.match(r"module '(sagemaker[\w.]*)' has no attribute '(\w+)'", str(error))
    if isinstance(error, AttributeError) and found:
        return explain_generation(f"Module {found[1]!r} has no {found[2]!r}", is_v3=False)
    return None


def _version_of(distribution: str) -> str | None:
    # Imported here: the compiler uses this module, too, before it takes a kept build.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
