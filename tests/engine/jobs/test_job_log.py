"""Bytes to lines, lines to batches, by value."""

from __future__ import annotations

from airflow_sm_pipelines.engine.jobs.job_log import JobLog, LineSplitter


def split(*chunks: bytes) -> list[str]:
    lines: list[str] = []
    splitter = LineSplitter(lines.extend)
    for chunk in (*chunks, b""):
        splitter.feed(chunk)
    return lines


def test_lines_survive_being_cut_anywhere() -> None:
    text = "zürich\n\nlast line without end".encode()
    expected = ["zürich", "", "last line without end"]
    assert all(split(text[:cut], text[cut:]) == expected for cut in range(len(text)))


def test_bytes_that_are_no_text_do_not_stop_the_log() -> None:
    assert split(b"\xff\xfe ok\r\nnext\n") == ["\ufffd\ufffd ok", "next"]


def test_of_a_progress_bar_its_last_state_is_kept() -> None:
    assert split(b" 10%\r 50%\r100%\ndone\n") == ["100%", "done"]


def test_a_line_without_end_is_passed_on_before_it_fills_the_memory() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.extend)
    for _ in range(10):
        splitter.feed(b"x" * 50_000)
    assert sum(len(line) for line in lines) >= 400_000


def test_streams_are_named_by_instance_and_the_tail_keeps_the_last_twenty() -> None:
    written: dict[str, list[str]] = {}
    log = JobLog(lambda stream, lines: written.setdefault(stream, []).extend(line for _, line in lines), "job")
    for number in range(30):
        log.add(f"algo-{number % 2 + 1}", f"line {number}")
    log.flush()
    assert sorted(stream.rpartition("-")[0] for stream in written) == ["job/algo-1", "job/algo-2"]
    assert all(len(lines) == 15 for lines in written.values())
    assert log.tail == tuple(f"line {number}" for number in range(10, 30))


def test_a_line_too_long_for_cloudwatch_is_cut_into_parts() -> None:
    written: list[str] = []
    log = JobLog(lambda stream, lines: written.extend(line for _, line in lines), "job")
    log.add("algo-1", "x" * 150_000)
    log.flush()
    assert [len(line) for line in written] == [60_000, 60_000, 30_000]
