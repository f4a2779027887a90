"""The blocks of the README and the pages: each is run, checked or says why not; those that are quick are run here.

``make docs-test`` runs all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.__main__ import PART_THAT_RUNS, explain
from tests.pages.blocks import PAGES, REASONS, ROOT, Block, as_script, iter_blocks, read_blocks
from tests.pages.configurations import check_configuration
from tests.pages.pythons import run_python_blocks
from tests.pages.shells import run_shell_blocks

BLOCKS = list(iter_blocks())
SAMPLE = {
    "README.md": ("No Airflow is set up: making a scratch one in", "state=success", "1 passed"),
    "docs/policy.md": ("valid (6 steps, 7 parameters)",),
}
"""Pages whose commands ``make test`` runs, and what they print."""


def test_enough_of_the_blocks_that_could_run_are_run_and_each_reason_is_used() -> None:
    runnable = [block for block in BLOCKS if block.kind in ("shell", "python")]
    ran = [block for block in runnable if block.reason is None]
    assert len(runnable) > 90
    assert len(ran) >= PART_THAT_RUNS * len(runnable)
    assert {block.reason for block in BLOCKS if block.reason} <= set(REASONS)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.kind == "configuration"], ids=lambda block: block.place
)
def test_a_configuration_is_taken_by_what_reads_such_a_file(block: Block) -> None:
    assert check_configuration(block) is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_runs(page: Path) -> None:
    blocks = [one for one in read_blocks(page) if one.kind == "python" and one.reason is None]
    found = run_python_blocks([one for one in blocks if "def test_" not in one.text])
    assert not [fault for fault in found.values() if fault]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_the_commands_of_a_page_do_what_it_says_when_they_are_pasted(name: str, tmp_path: Path) -> None:
    blocks = [block for block in read_blocks(ROOT / name) if block.kind == "shell" and block.reason is None]
    run = run_shell_blocks(blocks, folder=tmp_path)
    assert not [fault for fault in explain(blocks, run).values() if fault]
    assert not [text for text in SAMPLE[name] if text not in run.output]


def test_what_is_typed_at_another_prompt_is_the_input_of_the_command_above() -> None:
    text = "$ shell \\\n    price\nIt failed.\n(Train) /opt$ rerun\n(Train) /opt$ exit\n$ list\nprice\n"
    assert as_script(Block("p", 1, "console", text)) == "shell \\\n    price <<'TYPED'\nrerun\nexit\nTYPED\nlist\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- block: not run, too hard -->\n```sh\nls\n```\n", "is no mark of a block"),
        ("<!-- block: ends with 1 -->\n\nText\n\n```sh\nls\n```\n", "stands before no block"),
    ],
)
def test_a_mark_that_means_nothing_is_an_error(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: text)
    with pytest.raises(ValueError, match=message):
        read_blocks(ROOT / "docs" / "index.md")
