"""The arguments that the script's functions ask for by name."""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING, Any

from .aws_calls import is_loopback
from .build_errors import BuildError
from .local_mode import INSTANCE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sdk import Sdk

_SESSION_NAMES = ("sagemaker_session", "pipeline_session", "session")
_ROLE_NAMES = ("role", "role_arn", "execution_role")
_REGION_NAMES = ("region", "region_name", "aws_region")


class Arguments:
    """The values that the function may ask for by name; those of ``config`` come first."""

    def __init__(self, request: dict[str, Any], sdk: Sdk) -> None:
        self._request = request
        self._sdk = sdk
        self._config: dict[str, Any] = dict(request["config"])

    @functools.cached_property
    def _session(self) -> Any:
        return self._sdk.make_session(
            self._request["region"], self._request["default_bucket"], is_local=self._is_for_local_mode()
        )

    def _is_for_local_mode(self) -> bool:
        """Whether the steps are for local mode: the script or its config names it, and AWS is on this machine."""
        if not is_loopback():
            return False
        text = self._request["source"]
        return any(
            name in self._config.values() or f'"{name}"' in text or f"'{name}'" in text for name in INSTANCE_TYPES
        )

    def bind(self, function: Any) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments for the function.

        :raises BuildError: one is missing, or ``config`` has one that the function does not take.
        """
        parameters = inspect.signature(function).parameters
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        missing: list[str] = []
        unused = dict(self._config)
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(unused)
                unused = {}
                continue
            unused.pop(name, None)
            has_value, value = self._find(name, is_required=parameter.default is parameter.empty)
            if not has_value:
                if parameter.default is parameter.empty:
                    missing.append(name)
                    continue
                value = parameter.default
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif has_value:
                keywords[name] = value
        self._check(function, parameters, missing, unused)
        return positional, keywords

    def _find(self, name: str, *, is_required: bool) -> tuple[bool, Any]:
        if name in self._config:
            return True, self._config[name]
        if name in _SESSION_NAMES:
            return True, self._session
        offered: Any = None
        if name in _ROLE_NAMES:
            offered = self._request["role_arn"]
        elif name in _REGION_NAMES:
            offered = self._request["region"]
        elif name == "pipeline_name":
            offered = self._request["pipeline_name"]
        elif name == "default_bucket":
            offered = self._request["default_bucket"]
            if offered is None and is_required:
                offered = self._session.default_bucket()
        return offered is not None, offered

    @staticmethod
    def _check(function: Any, parameters: Any, missing: list[str], unused: dict[str, Any]) -> None:
        findings = []
        for name in unused:
            close = difflib.get_close_matches(name, list(parameters), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            findings.append(f"It takes no argument {name!r}, which is in `config`.{hint}")
        for name in missing:
            where = "role_arn" if name in _ROLE_NAMES else name
            known = name in (*_ROLE_NAMES, *_REGION_NAMES, "pipeline_name")
            findings.append(f"It needs {name!r}: give {where if known else f'config={{{name!r}: ...}}'}.")
        if findings:
            call = f"{function.__name__}{inspect.signature(function)}"
            raise BuildError("arguments", f"{call} cannot be called. {' '.join(findings)}")


def read_custom_tags(module: Any, config: dict[str, Any], say: Callable[[str], None]) -> list[dict[str, str]]:
    """Give the tags of a script's `get_pipeline_custom_tags`, with which AWS's project template marks its pipelines.

    :param config: has what the function takes besides the tags. Where it has not, the function is not called, as the
        template's `run_pipeline` goes on without it.
    """
    function = getattr(module, "get_pipeline_custom_tags", None)
    if not callable(function):
        return []
    _, *others = inspect.signature(function).parameters.values()
    given = {one.name: config[one.name] for one in others if config.get(one.name) is not None}
    missing = [one.name for one in others if one.name not in given and one.name not in _REGION_NAMES]
    if missing:
        say(f"get_pipeline_custom_tags() is not called: it needs {', '.join(missing)} in `config`.")
        return []
    try:
        tags = function([], **given)
    except Exception as error:  # noqa: BLE001 - the template's run_pipeline goes on, too
        say(f"get_pipeline_custom_tags() fails, and its tags are missing ({type(error).__name__}: {error}).")
        return []
    return [tag for tag in tags or () if isinstance(tag, dict) and {"Key", "Value"} <= tag.keys()]
