"""The fenced blocks of the README and the pages: what each is, and what is to be done with it.

A mark is an HTML comment before a block, which no reader sees:

* ``<!-- block: not run, REASON -->``, with a reason of :data:`REASONS`;
* ``<!-- block: ends with 1 -->``: the exit code of its last command, where it or another one of the block fails;
* ``<!-- block: before`` and commands up to ``-->``: what the text around asks its reader to do by hand.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

REASONS = {
    "needs AWS": "an account, or what somebody has made in one before",
    "needs Docker": "a container runtime",
    "needs Kubernetes": "a cluster",
    "installs packages": "it would change the environment that runs it; tests of the wheel install it",
    "is an outline": "the reader's own code stands where it has dots",
}
"""Why a block that could run does not: the whole list."""

SHELLS = ("sh", "bash", "console")
CONFIGURATIONS = ("toml", "json", "yaml", "dockerfile")
OUTPUTS = ("", "text")

_MARK = re.compile(r"<!--\s*block:\s*(.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    :param page: its path in the repository.
    :param line: of its fence, from 1.
    :param reason: why it is not run; None if it is.
    :param exit_code: that its last command ends with, where commands of it fail; None where none does.
    :param before: commands that come first.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    exit_code: int | None = None
    before: str = ""

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        """``shell``, ``python``, ``configuration``, ``output`` or, for what the site itself reads, ``site``."""
        if self.language in SHELLS:
            return "shell"
        if self.language == "python":
            return "python"
        if self.language in CONFIGURATIONS:
            return "configuration"
        return "output" if self.language in OUTPUTS else "site"


def read_blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order.

    :raises ValueError: a mark is not one of those above, or stands before no block.
    """
    name = page.relative_to(ROOT).as_posix()
    blocks: list[Block] = []
    marks: list[str] = []
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type == "html_block":
            marks += _MARK.findall(token.content)
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            language = token.info.strip()
            blocks.append(_apply(Block(name, line, language, textwrap.dedent(token.content)), marks))
            marks = []
        elif marks and not token.type.endswith("_close"):
            raise ValueError(f"{name}: the mark {marks[-1]!r} stands before no block")
    return blocks


def _apply(block: Block, marks: list[str]) -> Block:
    reason: str | None = None
    code: int | None = None
    before = ""
    for mark in marks:
        word, _, rest = mark.partition("\n")
        if word.startswith("not run, ") and word[9:] in REASONS:
            reason = word[9:]
        elif found := re.fullmatch(r"ends with (\d+)", word):
            code = int(found[1])
        elif word == "before":
            before = rest + "\n"
        else:
            raise ValueError(f"{block.place}: {mark!r} is no mark of a block")
    return Block(block.page, block.line, block.language, block.text, reason, code, before)


def iter_blocks() -> Iterator[Block]:
    """The blocks of all pages."""
    for page in PAGES:
        yield from read_blocks(page)


def as_script(block: Block) -> str:
    """The commands of a shell block; those of a ``console`` block without what they print.

    What is typed at another prompt, ``(Train) /opt/program$ rerun``, becomes the input of the command above it.
    """
    if block.language != "console":
        return block.text
    if not re.search(r"^\$ ", block.text, re.MULTILINE):
        raise ValueError(f"{block.place}: a console block without a command; what is only output is text")
    lines: list[str] = []
    typed: list[str] = []
    is_open = False
    for line in block.text.splitlines():
        if is_open or line.startswith("$ "):
            lines += _typed_into(typed)
            lines.append(line.removeprefix("$ "))
            is_open = line.endswith("\\")
        elif found := re.match(r"\([\w-]+\) \S*\$ (.*)", line):
            typed.append(found[1])
    lines += _typed_into(typed)
    return _join_inputs(lines) + "\n"


def _typed_into(typed: list[str]) -> list[str]:
    lines = [" <<'TYPED'", *typed, "TYPED"] if typed else []
    typed.clear()
    return lines


def _join_inputs(lines: list[str]) -> str:
    return "\n".join(lines).replace("\n <<'TYPED'", " <<'TYPED'")
