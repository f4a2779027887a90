"""Replaces a missing script in a rehearsal: it writes the files and log lines that the rehearsal chose.

The rehearsal puts it where the script should be, or runs it instead of the program of an image. Standard library only.
The environment variable SM_PIPELINES_REHEARSAL says what to write: a JSON object with ``files`` (text by path) and
``lines``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Write everything."""
    plan = json.loads(os.environ["SM_PIPELINES_REHEARSAL"])
    print("Rehearsal: a stand-in for", plan["for"], "with arguments", sys.argv[1:])
    for path, text in plan["files"].items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for line in plan["lines"]:
        print(line, flush=True)


if __name__ == "__main__":
    main()
