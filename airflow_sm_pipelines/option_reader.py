"""Reads a class of options from whatever carries them: an operator's attributes, or a command's parsed arguments.

The option classes themselves stand with what they are for: ``deployment.options`` and ``runs.start_request``.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Options = TypeVar("Options", bound=DataclassInstance)


def read_options(kind: type[Options], source: object, **given: Any) -> Options:
    """The options that a source has as attributes, by the names of the dataclass's own fields.

    None and an empty text count as not given, so that a template that came out empty leaves an option at its default.

    :param kind: a dataclass.
    :param source: an operator, or an ``argparse.Namespace``; a field that it has no attribute for is not given.
    :param given: fields to take instead of the source's.
    """
    values = {field.name: getattr(source, field.name, None) for field in fields(kind)} | given
    required = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    return kind(**{name: value for name, value in values.items() if name in required or value not in (None, "")})


def find_count_problems(name: str, value: object) -> list[str]:
    """What is wrong with an option that counts something, as sentences; nothing where it is not given.

    :param value: a number from 1, or its text.
    """
    if value is None or (str(value).isdecimal() and int(str(value)) > 0):
        return []
    return [f"{name}={value!r}: expected a whole number from 1."]


def find_list_problems(name: str, value: object) -> list[str]:
    """What is wrong with an option that takes a list of names, as sentences."""
    if isinstance(value, str):
        return [f"{name}={value!r}: expected a list of names, such as [{value!r}]."]
    return []
