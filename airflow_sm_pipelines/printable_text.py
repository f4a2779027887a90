"""Makes text of others harmless where people read it: on a terminal, in a task's log, on a page. Pure.

Names, reasons and log lines come from the service and from jobs, so anybody who may write them could command the
reader's terminal, or pass for another line of the log.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
)
"""Control characters except tab and newline, marks that reorder text, line separators, and halves of characters."""

_LOG_COMMAND = re.compile(r"(?<![^\s\]]):(?=:[a-z][a-z-]*(?: [^\n]*?)?::)")
"""Where a line would command what shows it: ``::group::`` in Airflow's task logs, ``::error ...::`` in GitHub's."""


def clean(text: object) -> str:
    r"""The text with its control characters shown as ``\x1b``, so that it cannot command a terminal.

    Tabs and newlines stay. A carriage return before a newline is dropped, as it shows nothing.
    """
    return _UNSAFE.sub(_show, str(text).replace("\r\n", "\n"))


def escape_unsafe_as_json(text: str) -> str:
    """JSON text in which what a terminal would act on is escaped as JSON does it.

    :param text: a JSON document.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clean_log_text(text: object) -> str:
    """The text for a place inside a log line: cleaned, its further lines set in, and nothing that commands the viewer.

    :param text: a job's log line, a reason or a name.
    """
    return _LOG_COMMAND.sub(r"\\x3a", clean(text)).replace("\n", "\n    ")


def _show(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
