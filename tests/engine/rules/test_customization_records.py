"""The forms of fine-tuning and evaluation records: what the documents show is taken, and a wrong record is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_sm_pipelines.engine.rules.customization_records import TECHNIQUES, find_record_fault, sample_record

ASKED = {"role": "user", "content": "What is two plus two?"}
SAID = {"role": "assistant", "content": "Four."}
PARTS = [{"role": "user", "content": [{"text": "?"}]}, {"role": "assistant", "content": [{"text": "4"}]}]
CANDIDATES = {"role": "assistant", "candidates": [{"preferenceLabel": "preferred"}, {"preferenceLabel": "other"}]}


@pytest.mark.parametrize(
    ("technique", "record"),
    [
        ("SFT", {"prompt": "a", "completion": "b", "system": "c"}),
        ("SFT", {"prompt": [ASKED], "completion": [SAID]}),
        ("SFT", {"input": "a", "output": "b"}),
        ("SFT", {"messages": [{"role": "system", "content": "s"}, ASKED, SAID]}),
        ("SFT", {"schemaVersion": "bedrock-conversation-2024", "messages": PARTS}),
        ("DPO", {"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("DPO", {"input": [ASKED], "chosen": [SAID], "rejected": [SAID]}),
        ("DPO", {"messages": [ASKED, CANDIDATES]}),
        ("RLVR", {"data_source": "x", "prompt": [ASKED], "reward_model": {"ground_truth": "4", "style": "rule"}}),
        ("RLVR", {"prompt": "a", "samples": [{"completion": "b", "score": 1}]}),
        ("RLAIF", {"messages": [ASKED]}),
        ("CPT", {"text": "a"}),
        ("Evaluation", {"query": "a", "response": "b", "system": "c"}),
        ("Evaluation", {"prompt": "a", "completion": "b"}),
        ("AnotherTechnique", {"what": "ever"}),
        *((technique, sample_record(technique, 1)) for technique in (*TECHNIQUES, "Evaluation")),
    ],
)
def test_a_documented_record_is_right(technique: str, record: dict[str, Any]) -> None:
    assert find_record_fault(technique, record) is None


@pytest.mark.parametrize(
    ("technique", "record", "says"),
    [
        ("SFT", {"prompt": "a", "answer": "b"}, "'completion', .* this one has 'answer', 'prompt'"),
        ("SFT", {"prompt": "a", "completion": " "}, "one of them is empty"),
        ("SFT", {"prompt": "a", "completion": 4}, "no text"),
        ("SFT", {"messages": [ASKED]}, "the assistant's"),
        ("SFT", {"messages": [{"content": "no role"}]}, "'messages'"),
        ("SFT", ["a", "b"], "a JSON object"),
        ("DPO", {"prompt": "a", "chosen": "b"}, "'rejected'"),
        ("DPO", {"messages": [ASKED, SAID]}, "'candidates'"),
        ("RLVR", {"question": "a"}, "'prompt' or 'messages'; this one has 'question'"),
        ("RLAIF", {}, "this one has nothing"),
        ("CPT", {"prompt": "a"}, "'text'"),
        ("Evaluation", {"response": "b"}, "'query'"),
    ],
)
def test_a_wrong_record_is_told_with_what_it_has(technique: str, record: Any, says: str) -> None:
    fault = find_record_fault(technique, record)
    assert fault is not None
    assert re.search(says, fault)
