"""The API's patterns in Python: each can be said, none is slow, and all match what Java's would."""

from __future__ import annotations

import random
import time

import pytest

from airflow_sm_pipelines.service_model import load_service_model
from airflow_sm_pipelines.service_model.patterns import compile_pattern
from tests.service_model.java_pattern import matches, sample

MODEL = load_service_model()
PATTERNS = sorted({MODEL.get_shape(name).spelled_pattern for name in MODEL.shape_names} - {""})
ODD = [
    "",
    " ",
    "a",
    "A-1",
    "a b",
    "a*b",
    "é",
    "Ж",
    "²",
    "٣",
    "中",
    "\n",
    "a\n",
    "-a",
    "a-",
    "/",
    "s3://b/k",
    "\U0001f600",
]


def test_every_pattern_of_the_model_can_be_said() -> None:
    assert len(PATTERNS) > 200
    assert [pattern for pattern in PATTERNS if compile_pattern(pattern) is None] == []


@pytest.mark.parametrize("part", range(8))
def test_a_pattern_matches_what_a_slow_obvious_reader_of_it_matches(part: int) -> None:
    chance = random.Random(part)
    for pattern in PATTERNS[part::8]:
        compiled = compile_pattern(pattern)
        assert compiled is not None
        texts = [sample(pattern, chance, generosity) for generosity in (0, 1, 3, 8) for _ in range(3)]
        for text in texts[:]:
            place = chance.randint(0, len(text))
            texts.append(text[:place] + chance.choice(ODD) + text[place + chance.randint(0, 1) :])
        shorter = [text[:-1] for text in texts] + [text[1:] for text in texts]
        for text in texts + shorter + ODD:
            assert bool(compiled.fullmatch(text)) is matches(pattern, text), (pattern, text)


def test_no_pattern_takes_long_to_fail() -> None:
    hostile = [text * 2000 + "\x01" for text in ("a", "a-", "-", "a/", " ", "a.", "1")]
    starts = ("", "arn:aws:sagemaker:", "s3://", "https://", "arn:aws:iam::123456789012:role/")
    for pattern in PATTERNS:
        compiled = compile_pattern(pattern)
        assert compiled is not None
        begin = time.monotonic()
        for start in starts:
            for text in hostile:
                compiled.fullmatch(start + text)
        assert time.monotonic() - begin < 5, pattern


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", ["a b", "Größe=2", "x²", "中"], ["a*b", "a,b", "\x00"]),
        (r"arn:[\p{Alnum}\-]+:x", ["arn:aws-1:x"], ["arn:é:x", "arn::x"]),
        (r"([\p{L}_]*)${1,128}", ["", "a_b"], ["1"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", ["a\t\U0001f600"], ["\n", "\x01"]),
        (r"\d{2}", ["12"], ["١٢"]),
        (r".*", ["two\nlines"], []),
    ],
    ids=["categories", "posix", "repeated end", "pairs", "ascii digits", "line breaks"],
)
def test_what_is_javas_own_is_translated(pattern: str, good: list[str], bad: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert [bool(compiled.fullmatch(text)) for text in good + bad] == [True] * len(good) + [False] * len(bad)


def test_what_python_cannot_say_is_left_out() -> None:
    assert compile_pattern(r"\p{IsGreek}+") is None


def test_characters_that_java_spells_as_two_halves_are_one() -> None:
    compiled = compile_pattern(r"[\u0009\ud800\udc00-\uD83D\uDE00]")
    assert compiled is not None
    matched = {text for text in ("\t", "\U00010000", "\U0001f5ff", "\U0001f600") if compiled.fullmatch(text)}
    assert matched == {"\t", "\U00010000", "\U0001f5ff", "\U0001f600"}
    assert not any(compiled.fullmatch(text) for text in ("\U0001f601", "\uffff", "\ud800"))
