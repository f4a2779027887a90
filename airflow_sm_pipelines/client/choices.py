"""Checks an argument that takes one of a few words. The words are a ``Literal`` type, so that an editor offers them."""

from __future__ import annotations

from typing import Any, get_args

from airflow_sm_pipelines.exceptions import ArgumentError


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse a word that is not one of the choices.

    :param name: the argument's name, for the message.
    :param choices: a ``Literal`` type of texts.
    :raises ArgumentError: naming the argument, what was given, and the choices.
    """
    words = get_args(choices)
    if value not in words:
        raise ArgumentError(f"{name}={value!r}: expected one of {', '.join(map(repr, words))}.")
