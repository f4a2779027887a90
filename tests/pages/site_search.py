"""Whether the site's search finds the page that answers first: ``python -m tests.pages.site_search SITE``.

The search is Sphinx's own, run by Node. Where there is no Node, nothing is asked.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from airflow_sm_pipelines.toml_text import parse_toml

HERE = Path(__file__).parent
MANY = 10


def main(site: str) -> int:
    """Ask each question; 1 if another page comes first."""
    node = shutil.which("node")
    if node is None:
        print("There is no Node here: the site's search is not asked.")
        return 0
    questions = parse_toml((HERE / "questions.toml").read_text())["question"]
    assert len(questions) >= MANY
    typed = "\n".join(question["typed"] for question in questions)
    command = [node, str(HERE / "site_search.js"), site]
    found = subprocess.run(command, input=typed, capture_output=True, text=True, check=True).stdout.split()
    wrong = 0
    for question, page in zip(questions, found, strict=True):
        is_right = page == question["page"]
        wrong += not is_right
        print(f"{'ok   ' if is_right else 'WRONG'} {question['typed']!r}: {page}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
