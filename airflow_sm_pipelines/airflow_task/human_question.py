"""A question to a person, as Airflow shows it under *Required Actions*: asking, reading the answer, the form's fields.

Airflow's own operator for this waits for the answer alone. A Callback step may end without one, so its task waits for
both, and asks by the functions that Airflow's operator uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.definition.steps import OutputParameter

APPROVE, REJECT = "Approve", "Reject"

_FORM_TYPES = {"Integer": "integer", "Float": "number", "Boolean": "boolean"}
"""The JSON types of the form's fields by the types of a step's outputs; a text for others."""


def ask_person(
    ti: Any,
    *,
    subject: str,
    body: str | None,
    outputs: Iterable[OutputParameter],
    assigned_users: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Show the question, with a field for each output that the step declares.

    :param ti: the task instance that asks.
    """
    from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

    upsert_hitl_detail(
        ti_id=ti.id,
        options=[APPROVE, REJECT],
        subject=subject,
        body=body,
        params=make_form(outputs),
        assigned_users=[HITLUser(id=one["id"], name=one["name"]) for one in assigned_users or ()],
    )


def make_form(outputs: Iterable[OutputParameter]) -> dict[str, Any]:
    """The fields of the form: a parameter for each output, by name, as Airflow keeps them.

    Airflow 3.1.0 to 3.1.2 keep values alone, so a field there is any text.
    """
    from airflow.sdk import Param

    found = {one.name: Param(None, type=["null", _FORM_TYPES.get(one.type, "string")]) for one in outputs}
    return {name: param.serialize() if _keeps_schemas() else None for name, param in found.items()}


def _keeps_schemas() -> bool:
    from airflow import __version__

    return tuple(int(part) for part in __version__.split(".")[:2]) > (3, 1) or __version__ >= "3.1.3"


def read_answer(ti_id: Any) -> dict[str, Any] | None:
    """The answer: ``chosen_options``, ``params_input`` and ``responded_by_user``; None while there is none."""
    from uuid import UUID

    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    found = get_hitl_detail_content_detail(ti_id=UUID(str(ti_id)))
    if not found.response_received:
        return None
    user = found.responded_by_user
    return {
        "chosen_options": list(found.chosen_options or ()),
        "params_input": dict(found.params_input or {}),
        "responded_by_user": None if user is None else {"id": user.id, "name": user.name},
    }
