"""What operators need of choices and defaults while a DAG file is parsed, so it imports next to nothing.

Choices are words of a ``Literal`` type, so that an editor offers them.
"""

from __future__ import annotations

from typing import Any, get_args

from airflow_sm_pipelines.exceptions import ArgumentError

MAX_REFUSED_SECONDS = 3600.0
"""How long a wait bears that each of its looks is refused, where its author says nothing."""


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse a word that is not one of the choices.

    :param name: the argument's name, for the message.
    :param choices: a ``Literal`` type of texts.
    :raises ArgumentError: naming the argument, what was given, and the choices.
    """
    words = get_args(choices)
    if value not in words:
        raise ArgumentError(f"{name}={value!r}: expected one of {', '.join(map(repr, words))}.")
