"""CloudFormation templates, also those of CDK and SAM: their functions, as far as the template itself says the values.

Source: the intrinsic function reference of the CloudFormation user guide. What only a deployment knows, such as the
attribute of a resource, is an unknown value.
"""

from __future__ import annotations

import base64
import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.documents.placeholders import Unknowns, Variables, is_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESOURCE_TYPE = "AWS::SageMaker::Pipeline"

_MAX_VALUES = 500_000
"""Values in one template's definition, which may have a million characters. YAML aliases make far more of few lines."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:[^{}]*\}\}")


class _Omitted(Enum):
    OMITTED = "AWS::NoValue"


class TooManyValuesError(ValueError):
    """A value that is far larger than a definition can be."""


class TemplateResolver:
    """Values of a template, with its functions carried out.

    :param template: the template.
    :param variables: values for parameters, pseudo parameters (``AWS::Region``), resources (``Bucket``) and their
        attributes (``Bucket.Arn``).
    :param unknowns: gets what the template does not say.
    """

    def __init__(self, template: Mapping[str, Any], variables: Variables, unknowns: Unknowns) -> None:
        self._parameters = _mapping(template.get("Parameters"))
        self._mappings = _mapping(template.get("Mappings"))
        self._conditions = _mapping(template.get("Conditions"))
        self._variables = variables
        self._unknowns = unknowns
        self._count = 0
        self._open_conditions: set[str] = set()
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": lambda argument: self._refer(str(argument)),
            "Fn::Sub": self._substitute,
            "Fn::Join": self._join,
            "Fn::GetAtt": self._get_attribute,
            "Fn::If": self._choose,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Base64": self._encode,
            "Fn::ToJsonString": lambda argument: json.dumps(self.resolve(argument), ensure_ascii=False),
            "Fn::ImportValue": self._import,
        }

    def resolve(self, value: Any) -> Any:
        """The value; text with an unknown part has a mark in it.

        :raises TooManyValuesError: if it is far larger than a definition can be.
        """
        resolved = self._resolve(value)
        return None if isinstance(resolved, _Omitted) else resolved

    def _resolve(self, value: Any) -> Any:
        self._count += 1
        if self._count > _MAX_VALUES:
            raise TooManyValuesError
        if isinstance(value, str):
            return _DYNAMIC.sub(lambda found: self._unknowns.mark(found[0][2:-2], found[0]), value)
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if not isinstance(item, _Omitted)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key in self._functions:
                return self._functions[key](argument)
            if str(key).startswith("Fn::"):
                return self._unknown(str(key), argument)
        resolved = {str(key): self._resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if not isinstance(item, _Omitted)}

    def _unknown(self, function: str, argument: Any) -> str:
        written = argument if isinstance(argument, str) else json.dumps(argument, default=str)
        return self._unknowns.mark(f"{function.removeprefix('Fn::')} {self._unknowns.show(written)}"[:100])

    def _refer(self, name: str) -> Any:
        given = self._variables.find(name)
        parameter = _mapping(self._parameters.get(name))
        if given is None and "Default" in parameter:
            # The default of a parameter with such a type names a parameter of Systems Manager.
            given = None if "AWS::SSM::" in str(parameter.get("Type")) else _text(parameter["Default"])
        if given is None:
            return _Omitted.OMITTED if name == "AWS::NoValue" else self._unknowns.mark(name)
        kind = str(parameter.get("Type"))
        return given.split(",") if kind == "CommaDelimitedList" or kind.startswith("List<") else given

    def _substitute(self, argument: Any) -> str:
        template, given = argument, {}
        if isinstance(argument, list) and argument:
            template, given = argument[0], _mapping(argument[1] if len(argument) > 1 else None)
        if not isinstance(template, str):
            return self._unknown("Fn::Sub", argument)

        def fill(found: re.Match[str]) -> str:
            name = found[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in given:
                return self._as_text(self._resolve(given[name]), name)
            return self._as_text(self._get_attribute(name) if "." in name else self._refer(name), name)

        return str(self._resolve(_VARIABLE.sub(fill, template)))

    def _as_text(self, value: Any, name: str) -> str:
        if isinstance(value, list):
            return ",".join(map(_text, value))
        return self._unknowns.mark(name) if isinstance(value, (dict, _Omitted)) else _text(value)

    def _get_attribute(self, argument: Any) -> str:
        parts = argument if isinstance(argument, list) else [argument]
        name = ".".join(_text(self._resolve(part)) for part in parts)
        given = self._variables.find(name)
        return self._unknowns.mark(self._unknowns.show(name)) if given is None else given

    def _join(self, argument: Any) -> str:
        if not isinstance(argument, list) or len(argument) != 2:
            return self._unknown("Fn::Join", argument)
        items = self._resolve(argument[1])
        if not isinstance(items, list):
            return self._unknown("Fn::Join", argument)
        return _text(argument[0]).join(self._as_text(item, "Fn::Join") for item in items)

    def _choose(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return self._unknown("Fn::If", argument)
        is_true = self._decide({"Condition": argument[0]})
        if is_true is None:
            return self._unknown("Fn::If", argument)
        return self._resolve(argument[1] if is_true else argument[2])

    def _decide(self, condition: Any) -> bool | None:
        """Whether a condition holds; None if the template does not say."""
        condition = _mapping(condition)
        if "Condition" in condition:
            name = str(condition["Condition"])
            if name in self._open_conditions or name not in self._conditions:
                return None
            self._open_conditions.add(name)
            try:
                return self._decide(self._conditions[name])
            finally:
                self._open_conditions.discard(name)
        if "Fn::Equals" in condition:
            values = [self._resolve(value) for value in _list(condition["Fn::Equals"])]
            return None if len(values) != 2 or any(map(is_unknown, values)) else _text(values[0]) == _text(values[1])
        if "Fn::Not" in condition:
            (inner,) = [self._decide(item) for item in _list(condition["Fn::Not"])][:1] or [None]
            return None if inner is None else not inner
        for function, decisive in (("Fn::And", False), ("Fn::Or", True)):
            if function in condition:
                found = [self._decide(item) for item in _list(condition[function])]
                return decisive if decisive in found else None if None in found else not decisive
        return None

    def _find_in_map(self, argument: Any) -> Any:
        here: Any = self._mappings
        for key in map(self._resolve, _list(argument)[:3]):
            here = here.get(_text(key)) if isinstance(here, dict) else None
        return self._unknown("Fn::FindInMap", argument) if here is None else self._resolve(here)

    def _select(self, argument: Any) -> Any:
        index, items = (*map(self._resolve, _list(argument)), None, None)[:2]
        if isinstance(items, list) and _text(index).isdecimal() and int(_text(index)) < len(items):
            return items[int(_text(index))]
        return self._unknown("Fn::Select", argument)

    def _split(self, argument: Any) -> Any:
        separator, text = (*map(self._resolve, _list(argument)), None, None)[:2]
        if isinstance(text, str) and separator and not is_unknown(text):
            return text.split(_text(separator))
        return self._unknown("Fn::Split", argument)

    def _encode(self, argument: Any) -> str:
        text = self._resolve(argument)
        if not isinstance(text, str) or is_unknown(text):
            return self._unknown("Fn::Base64", argument)
        return base64.b64encode(text.encode()).decode()

    def _import(self, argument: Any) -> str:
        name = _text(self._resolve(argument))
        given = None if is_unknown(name) else self._variables.find(name)
        return self._unknown("Fn::ImportValue", name) if given is None else given


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A scalar as CloudFormation writes it into text."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
