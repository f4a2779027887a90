"""Remembers where the user's own code made each step, so that an error of the SDK can name step, file and line.

The SDK describes most jobs only when the definition is written, far away from the lines that the user wrote.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import linecache
import sys
from typing import TYPE_CHECKING, Any

from .build_errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .project import Project
    from .sdk import Sdk

_STEPS = ("sagemaker.mlops.workflow.steps", "sagemaker.workflow.steps")
_SESSIONS = ("sagemaker.core.workflow.pipeline_context", "sagemaker.workflow.pipeline_context")
_NESTED = ("if_steps", "else_steps", "steps")


class UnwritableStepError(Exception):
    """The SDK could not write a step into the definition. Its cause is the SDK's own error.

    :param frames: the user's lines that made the step, as a traceback shows them.
    """

    def __init__(self, message: str, frames: str) -> None:
        super().__init__(message)
        self.frames = frames


class UserCalls:
    """The places of one build's steps."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._places: dict[int, tuple[str, int]] = {}
        self._kept: list[Any] = []
        self._step_class: Any = None
        self._pipeline_module = ""

    def install(self, sdk: Sdk) -> None:
        """Take note of every step, and of every job that a step is given, from now on."""
        self._pipeline_module = sdk.pipeline_class.__module__
        for names, attribute in ((_STEPS, "Step"), (_SESSIONS, "_StepArguments")):
            for name in names:
                with contextlib.suppress(ImportError, AttributeError):  # it is the other SDK generation's
                    made = getattr(importlib.import_module(name), attribute)
                    self._watch(made)
                    if attribute == "Step":
                        self._step_class = made
                    break

    @contextlib.contextmanager
    def explained(self, pipeline: Any) -> Iterator[None]:
        """Let an error of what runs inside, the writing of the definition, name the step that it is about."""
        try:
            yield
        except BuildError:
            raise
        except Exception as error:
            step, detail = self._find_step(error, pipeline)
            if step is None:
                raise
            raise UnwritableStepError(f"{self._describe(step)} {detail}", self._frames_of(step)) from error

    def _frames_of(self, step: Any) -> str:
        """Give the user's lines that made the step, as a traceback shows them."""
        places = [self._places.get(id(step)), self._places.get(id(getattr(step, "step_args", None)))]
        lines = []
        for file, line in dict.fromkeys(place for place in places if place is not None):
            text = linecache.getline(file, line).strip()
            lines.append(f'  File "{file}", line {line}\n    {text}')
        return "\n".join(lines)

    def _watch(self, watched: Any) -> None:
        initialize = watched.__init__

        @functools.wraps(initialize)
        def initialize_here(made: Any, *args: Any, **options: Any) -> None:
            place = self._find_place()
            if place is not None:
                self._places[id(made)] = place
                self._kept.append(made)  # so that its id is not given to another one
            initialize(made, *args, **options)

        watched.__init__ = initialize_here

    def _find_place(self) -> tuple[str, int] | None:
        frame: Any = sys._getframe(2)
        while frame is not None:
            if self._project.holds(frame.f_code.co_filename):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return None

    def _describe(self, step: Any) -> str:
        place = self._places.get(id(step))
        where = f" ({self._project.name_of(place[0])}:{place[1]})" if place is not None else ""
        return f"Step {step.name!r}{where}"

    def _find_step(self, error: BaseException, pipeline: Any) -> tuple[Any, str]:
        """Find the step that an error is about: the innermost that was being written, or the one that has no JSON."""
        if self._step_class is None:
            return None, ""
        found, trace = None, error.__traceback__
        while trace is not None:
            for value in (trace.tb_frame.f_locals.get("self"), trace.tb_frame.f_locals.get("step")):
                if isinstance(value, self._step_class) and hasattr(value, "name"):
                    found = value
            trace = trace.tb_next
        said = f"{type(error).__name__}: {error}"
        if found is not None:
            return found, f"cannot be written into the definition. {said}"
        for step in _iter_steps(list(getattr(pipeline, "steps", ()))):
            place = self._find_unwritable(step, pipeline)
            if place is not None:
                return step, f"cannot be written as JSON: {place}. ({said})"
        return None, ""

    def _find_unwritable(self, step: Any, pipeline: Any) -> str | None:
        """Give the member of a step's request that is no JSON, and what it is."""
        module = sys.modules[self._pipeline_module]
        try:
            requests = module.list_to_request([step])
            written = module.interpolate(
                requests,
                callback_output_to_step_map=module._map_callback_outputs(pipeline.steps),
                lambda_output_to_step_map=module._map_lambda_outputs(pipeline.steps),
                pipeline_name=pipeline.name,
            )
        except Exception:  # noqa: BLE001 - it is not the fault that is looked for
            return None
        return next(_iter_unwritable(written[0] if len(written) == 1 else written, ""), None)


def _iter_steps(steps: list[Any]) -> Iterator[Any]:
    """Give all steps, inner ones first."""
    for step in steps:
        for name in _NESTED:
            nested = getattr(step, name, None)
            if isinstance(nested, (list, tuple)):
                yield from _iter_steps(list(nested))
        if hasattr(step, "name"):
            yield step


def _iter_unwritable(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _iter_unwritable(member, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, member in enumerate(value):
            yield from _iter_unwritable(member, f"{path}[{index}]")
    else:
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            yield f"{path} is a {type(value).__name__}"
