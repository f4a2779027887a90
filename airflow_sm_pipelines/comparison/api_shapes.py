"""The shapes of APIs as botocore has them: samples of answers, and requests in one normal form."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from airflow_sm_pipelines.service_model import find_member_name

_DEPTH = 12


@lru_cache(maxsize=512)
def find_operation(service: str, operation: str) -> Any:
    """The model that botocore has of a call.

    :param operation: its name in any spelling: ``start_job_run``, ``create_TrainingJob``.
    """
    model = _load(service)
    wanted = operation.replace("_", "").lower()
    return model.operation_model(next(name for name in model.operation_names if name.lower() == wanted))


@lru_cache(maxsize=64)
def _load(service: str) -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"))


def make_sample(shape: Any, name: Any, *, is_capital: bool = True, depth: int = 0) -> Any:
    """A value of a shape, with the members that it requires.

    :param is_capital: whether members are spelled as Step Functions spells them; else as the API does.
    """
    kind = shape.type_name
    if kind == "structure":
        return {
            key[:1].upper() + key[1:] if is_capital else key: make_sample(
                inner, key, is_capital=is_capital, depth=depth + 1
            )
            for key, inner in shape.members.items()
            if key in shape.required_members and depth < _DEPTH
        }
    if kind == "list":
        least = shape.metadata.get("min", 0)
        return [make_sample(shape.member, name, is_capital=is_capital, depth=depth + 1) for _ in range(min(least, 3))]
    if kind == "map":
        return {"key": make_sample(shape.value, "value", is_capital=is_capital, depth=depth + 1)}
    return _make_scalar(shape, name)


def _make_scalar(shape: Any, name: Any) -> Any:
    least = shape.metadata.get("min", 1)
    if shape.type_name in ("integer", "long", "float", "double"):
        return int(max(1, least))
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "timestamp":
        return "2026-01-01T00:00:00Z"
    if getattr(shape, "enum", ()):
        return shape.enum[0]
    if "Arn" in str(name):
        return f"arn:aws:iam::123456789012:role/{name}"
    if "Uri" in str(name) or "S3" in str(name):
        return f"s3://bucket/{name}"
    return f"some-{name}".ljust(int(least), "x")


def make_normal(value: Any, shape: Any) -> Any:
    """A request in one form, however its members are spelled and its values are typed.

    :param shape: None where it may be any JSON.
    """
    if shape is None:
        return value
    kind = shape.type_name
    if kind in ("structure", "list", "map") and isinstance(value, str):
        value = _parse(value)
    if kind == "structure" and isinstance(value, dict):
        named = {find_member_name(shape, key): item for key, item in value.items() if item is not None}
        return {key: make_normal(item, shape.members.get(key)) for key, item in named.items()}
    if kind == "list" and isinstance(value, list):
        return [make_normal(item, shape.member) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: make_normal(item, shape.value) for key, item in value.items()}
    return _make_normal_scalar(value, kind)


def _make_normal_scalar(value: Any, kind: str) -> Any:
    if kind in ("string", "blob"):
        parsed = _parse(value) if isinstance(value, str) else value
        if isinstance(parsed, (dict, list)):
            return json.dumps(parsed, sort_keys=True, ensure_ascii=False)
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind in ("integer", "long", "float", "double") and not isinstance(value, bool):
        return float(value) if _is_number(value) else value
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
