"""Tables of rows in docs/reliability.md: what is done, what is expected, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.reliability.authors_day.office import Row as DayRow
    from tests.reliability.repairs.workshop import Row as RepairRow

BEGIN, END = "<!-- made by `python -m tests.reliability.authors_day --write`: begin -->", "<!-- author's day: end -->"


def render_table(rows: Sequence[DayRow | RepairRow], outcomes: Mapping[str, str]) -> list[str]:
    """The table's lines."""
    lines = ["| What is done | Expected | Outcome |", "|---|---|---|"]
    for row in rows:
        outcome = outcomes[row.key].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {row.what} | {row.expected} | {outcome or 'as expected'} |")
    return lines


def write_table(
    page: Path, table: Sequence[str], *, heading: str, is_whole: bool, marks: tuple[str, str] = (BEGIN, END)
) -> None:
    """Put the table between two marks of the page: those of an author's day, unless given.

    :param is_whole: whether it replaces all rows; otherwise only those of the same name, and the page says so.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = marks
    before, _, rest = text.partition(begin)
    old, _, after = rest.partition(end)
    lines = list(table)
    headings = [heading]
    if not is_whole:
        new = {line.split(" | ")[0]: line for line in table}
        kept = [line for line in old.splitlines() if line.startswith("|")]
        known = [line.split(" | ")[0] for line in kept]
        lines = [new.get(key, line) for key, line in zip(known, kept, strict=True)]
        lines += [line for key, line in new.items() if key not in known]
        names = "; ".join(name.strip("| ") for name in list(new)[2:])
        headings = [line for line in old.splitlines() if line.startswith("Run ")] + [
            f"{heading} This run gave: {names}."
        ]
    parts = ["\n\n".join(headings), "\n".join(lines)]
    page.write_text(f"{before}{begin}\n" + "\n\n".join(parts) + f"\n\n{end}{after}", encoding="utf-8")
