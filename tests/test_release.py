"""What ``make release`` asks for before it builds, and the notes that it prints."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines import __version__

ROOT = Path(__file__).parent.parent
RELEASE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "release.py"), run_name="release")
LOG = "# Changelog\n\n## Unreleased\n{}\n## 1.2.0 - 2026-01-02\n\n- New.\n\n## 1.1.0 - 2025-01-02\n\n- Old.\n"


def test_the_version_is_the_newest_of_the_changelog() -> None:
    assert RELEASE["read_version"](ROOT) == __version__
    assert RELEASE["read_notes"]((ROOT / "CHANGELOG.md").read_text(), __version__).startswith(f"## {__version__} - 20")


def test_notes_are_a_versions_own() -> None:
    assert RELEASE["read_notes"](LOG.format(""), "1.2.0") == "## 1.2.0 - 2026-01-02\n\n- New.\n"
    assert RELEASE["read_notes"](LOG.format(""), "1.3.0") == ""


@pytest.mark.parametrize(
    ("version", "unreleased", "tag", "problem"),
    [
        ("1.2.0", "", None, None),
        ("1.3.0", "", None, "no section '## 1.3.0"),
        ("1.2.0", "\n- Newer.\n", None, "lines under 'Unreleased'"),
        ("1.2.0", "", "v1.2.0", "a tag v1.2.0 already"),
    ],
    ids=["ready", "no section", "unreleased", "tagged"],
)
def test_what_has_to_be_done_first_is_said(
    tmp_path: Path, version: str, unreleased: str, tag: str | None, problem: str | None
) -> None:
    (tmp_path / "CHANGELOG.md").write_text(LOG.format(unreleased))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"], *([["tag", tag]] if tag else [])):
        subprocess.run([*git, *words], check=True)
    found = RELEASE["find_problems"](tmp_path, version)
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]
    (tmp_path / "new").touch()
    assert "not committed" in RELEASE["find_problems"](tmp_path, version)[-1 if tag is None else -2]
