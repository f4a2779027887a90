"""Files that cannot be read, and edits of those that can."""

from __future__ import annotations

import time

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.airflow.source_file import MAX_BYTES, Edit, read_source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(b"a = 1\nprint 'x'\n", "dag.py:2:1: ", id="Python 2"),
        pytest.param(b"if x:\n\ta = 1\n        b = 2\n", "dag.py:3:", id="tabs and blanks"),
        pytest.param(b"a = (1\n", "dag.py:1:5: '(' was never closed", id="cut off"),
        pytest.param(b"a = '\xff'\n", "dag.py:1:1: its encoding cannot be read", id="no UTF-8"),
        pytest.param(b"# coding: nothing\n", "dag.py:1:1: its encoding cannot be read", id="no such encoding"),
        pytest.param(b"a = 1\x00\n", "dag.py:1:", id="a null byte"),
        pytest.param(b"a = " + b"-" * 100_000 + b"1\n", "dag.py:1:1: Python cannot parse it", id="nested too deeply"),
        pytest.param(b" " * (MAX_BYTES + 1), "are more than a DAG file has", id="huge"),
    ],
)
def test_a_file_that_is_no_python_is_refused_in_one_line(source: bytes, message: str) -> None:
    with pytest.raises(MigrationError) as caught:
        read_source(source, name="dag.py")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_python_2_is_called_by_its_name() -> None:
    with pytest.raises(MigrationError, match=r"Is it Python 2\? Migrate it to Python 3 first\."):
        read_source(b"print 'x'\n", name="dag.py")


def test_ten_thousand_tasks_are_read_in_time() -> None:
    source = b"".join(b"t%d = Op(task_id='t%d', a={'b': [1, 2]})\n" % (one, one) for one in range(10_000))
    before = time.process_time()
    file = read_source(source, name="dag.py")
    assert time.process_time() - before < 10
    assert file.apply([]) == source


def test_edits_that_overlap_or_break_the_file_are_refused() -> None:
    file = read_source(b"a = 1\n", name="dag.py")
    with pytest.raises(MigrationError, match="two changes of the same place"):
        file.apply([Edit(0, 3, "b"), Edit(2, 4, "c")])
    with pytest.raises(MigrationError, match=r"dag\.py after the changes:1:"):
        file.apply([Edit(0, 1, "1 +")])
    assert file.apply([Edit(0, 1, "b"), Edit(5, 5, "2")]) == b"b = 12\n"
