"""Make a release ready: check it, build it twice, try it, and print what is left to do. Nothing is uploaded.

Run by ``make release``. The version stands in ``airflow_sm_pipelines/__init__.py``, its notes in ``CHANGELOG.md``.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TWINE = "twine==6.2.0"
TRIED = ("tests/definition", "tests/service_model", "tests/policy")
"""The tests that the unpacked sdist runs: they need nothing but the package."""


def main() -> int:
    """Make the release ready; 1 with the reason where it is not."""
    version = read_version(ROOT)
    problems = find_problems(ROOT, version)
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    uv = str(Path(sys.executable).with_name("uv"))
    digests = _build(uv, DIST)
    with tempfile.TemporaryDirectory() as folder:
        if _build(uv, Path(folder) / "again") != digests:
            print("A second build gives other bytes.", file=sys.stderr)
            return 1
    _run(uv, "tool", "run", "--from", TWINE, "twine", "check", "--strict", *map(str, sorted(DIST.glob("airflow*"))))
    _try_wheel(version)
    _try_sdist()
    notes = read_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    (DIST / "notes.md").write_text(notes, encoding="utf-8")
    print(notes)
    print(*(f"{digest}  {name}" for name, digest in sorted(digests.items())), sep="\n")
    print(f"\nReady. The notes are in {DIST / 'notes.md'}. What is left, by hand:")
    print(f"  git tag -a v{version} -m {version} && git push origin v{version}")
    print(f"  uv publish {DIST}/airflow_sm_pipelines-{version}*")
    return 0


def read_version(root: Path) -> str:
    """The version of the package in a checkout, without importing it."""
    text = (root / "airflow_sm_pipelines" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.*)"$', text, re.MULTILINE)
    assert found is not None  # noqa: S101 - a fault of this repository
    return found[1]


def read_notes(changelog: str, version: str) -> str:
    """The section of a version in the changelog, with its heading; empty where there is none."""
    found = re.search(
        rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n.*?(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[0].rstrip() + "\n" if found else ""


def find_problems(root: Path, version: str) -> list[str]:
    """What has to be done before the version can be released, a sentence each."""
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    problems = []
    if not read_notes(changelog, version):
        problems.append(f"CHANGELOG.md has no section '## {version} - YEAR-MONTH-DAY'.")
    unreleased = re.search(r"^## Unreleased\n(.*?)(?=^## )", changelog, re.MULTILINE | re.DOTALL)
    if unreleased and unreleased[1].strip():
        problems.append("CHANGELOG.md has lines under 'Unreleased': move them into a version's section.")
    git = ["git", "-C", str(root)]
    if subprocess.run([*git, "status", "--porcelain"], capture_output=True, check=True).stdout.strip():
        problems.append("The working tree has changes that are not committed.")
    if subprocess.run([*git, "tag", "--list", f"v{version}"], capture_output=True, check=True).stdout.strip():
        problems.append(f"There is a tag v{version} already: choose the next version.")
    return problems


def _build(uv: str, out: Path) -> dict[str, str]:
    """Build wheel and sdist, as ``make dist``; give their digests by name."""
    moment = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = [uv, "build", "--quiet", "--clear", "--no-build-isolation", "--python", sys.executable]
    _run(*command, "--out-dir", str(out), str(ROOT), SOURCE_DATE_EPOCH=moment)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.glob("airflow*")}


def _try_wheel(version: str) -> None:
    """The wheel's own modules, which Python imports from the file itself."""
    (wheel,) = DIST.glob("*.whl")
    shown = subprocess.run(
        [sys.executable, "-m", "airflow_sm_pipelines.cli", "--version"],
        env={**os.environ, "PYTHONPATH": str(wheel)},
        cwd=wheel.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    if shown.stdout.strip() != f"sm-pipelines {version}":
        raise SystemExit(f"The wheel says {shown.stdout.strip()!r}, not version {version}.")


def _try_sdist() -> None:
    """Tests of the sdist, from where it is unpacked."""
    (sdist,) = DIST.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not processes"]
        _run(*command, *TRIED, cwd=root, PYTHONPATH=str(root))


def _run(*command: str, cwd: Path = ROOT, **variables: str) -> None:
    subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, check=True)


if __name__ == "__main__":
    sys.exit(main())
