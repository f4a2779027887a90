"""Takes the place of a script that is not there: writes the files and lines that the rehearsal chose.

Placed where the script should be, or run in place of an image's own program. Needs nothing but Python. What to write is
in the environment variable SM_PIPELINES_REHEARSAL, a JSON object with ``files`` (text by path) and ``lines``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Write everything and end well."""
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
