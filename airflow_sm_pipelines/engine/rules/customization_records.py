"""The record forms that SageMaker's serverless fine-tuning and evaluation read, and what is wrong with a record.

Sources: the developer guide's pages of the techniques (SFT, DPO, RFT) and of evaluation datasets; for Amazon Nova the
Converse form; the JSON schemas of SDK v3's ``ai_registry``. A record that any of the forms takes is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FORMS = {
    "SFT": "'prompt' and 'completion', 'input' and 'output', or 'messages' that end with the assistant's",
    "DPO": "'prompt' (or 'input'), 'chosen' and 'rejected', or 'messages' of which the last has two 'candidates'",
    "RLVR": "'prompt' or 'messages'",
    "RLAIF": "'prompt' or 'messages'",
    "CPT": "'text'",
    "Evaluation": "'query', 'prompt' or 'messages'",
}
TECHNIQUES = tuple(name for name in _FORMS if name != "Evaluation")
"""The customization techniques of the API that are known here."""


def find_technique(config: Mapping[str, Any]) -> str:
    """What a serverless job does, by its ``ServerlessJobConfig``: a customization technique, or ``Evaluation``."""
    return "Evaluation" if config.get("JobType") == "Evaluation" else str(config.get("CustomizationTechnique"))


def find_record_fault(technique: str, record: Any) -> str | None:
    """What is wrong with a record, in words; None if nothing is, or if the technique is not known.

    :param technique: a ``CustomizationTechnique`` of the API, or ``Evaluation``.
    :param record: a line of the dataset, read as JSON.
    """
    if technique not in _FORMS:
        return None
    if not isinstance(record, dict):
        return "a record is a JSON object"
    if _CHECKS[technique](record):
        return None
    found = ", ".join(f"'{name}'" for name in sorted(record)) or "nothing"
    return (
        f"a record for {technique} has {_FORMS[technique]}; this one has {found} (or one of them is empty or no text)"
    )


def sample_record(technique: str, number: int) -> dict[str, Any]:
    """A record that is made up, in a form of the technique.

    :param number: goes into its texts.
    """
    question, answer = f"What is {number} plus one?", str(number + 1)
    if technique == "DPO":
        return {"prompt": question, "chosen": answer, "rejected": str(number)}
    if technique in ("RLVR", "RLAIF"):
        truth = {"style": "rule", "ground_truth": answer}
        return {"prompt": [{"role": "user", "content": question}], "reward_model": truth}
    if technique == "CPT":
        return {"text": f"{number} plus one is {answer}."}
    if technique == "Evaluation":
        return {"query": question, "response": answer}
    return {"prompt": question, "completion": answer}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_content(value: Any) -> bool:
    """Text, or parts as the Converse form has them, which may be pictures."""
    return _is_text(value) or (isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value))


def _is_said(value: Any) -> bool:
    """Text, or a list of messages."""
    return _is_text(value) or _are_messages(value)


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and _is_text(one.get("role")) for one in value)
        and all(_is_content(one.get("content")) or "candidates" in one or "tool_calls" in one for one in value)
    )


def _is_sft(record: Mapping[str, Any]) -> bool:
    if "messages" in record:
        messages = record["messages"]
        return _are_messages(messages) and any(one["role"] == "assistant" for one in messages)
    pairs = (("prompt", "completion"), ("input", "output"))
    return any(_is_said(record.get(asked)) and _is_said(record.get(answer)) for asked, answer in pairs)


def _is_dpo(record: Mapping[str, Any]) -> bool:
    if "messages" in record:
        messages = record["messages"]
        candidates = messages[-1].get("candidates") if _are_messages(messages) else None
        return isinstance(candidates, list) and len(candidates) > 1
    asked = record.get("prompt", record.get("input"))
    return all(_is_said(value) for value in (asked, record.get("chosen"), record.get("rejected")))


def _is_prompt(record: Mapping[str, Any]) -> bool:
    return _is_said(record.get("prompt")) or _are_messages(record.get("messages"))


def _is_evaluation(record: Mapping[str, Any]) -> bool:
    return _is_text(record.get("query")) or _is_prompt(record)


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "SFT": _is_sft,
    "DPO": _is_dpo,
    "RLVR": _is_prompt,
    "RLAIF": _is_prompt,
    "CPT": lambda record: _is_text(record.get("text")),
    "Evaluation": _is_evaluation,
}
