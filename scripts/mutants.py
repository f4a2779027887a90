"""``make mutants``: put small faults into a sample of every package's functions, and see whether the fast tests notice.

A mutant is one such fault, made by mutmut: another operator, another number, a text changed, an argument left out. The
sample is drawn by ``--seed``, from all mutants of each package, so that nobody picks what is easy to notice. Only the
fast tests that reach a mutant's function run for it. A mutant that no test reaches has survived.

Not among them: code that runs in other interpreters (the programs of jobs, the SDK's side of a build), decorated
functions and statements outside of functions, which mutmut leaves alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local" / "mutants"
PACKAGE = "airflow_sm_pipelines"

GROUPS = {
    "Airflow side": ("airflow_task", "decorators", "hooks", "links", "operators", "plugins", "sensors", "triggers"),
    "engine and definition": ("definition", "engine"),
    "server": ("server",),
}
REST = "the rest"
NOT_MUTATED = (
    # It asks for the file of its caller, which would be mutmut's.
    f"{PACKAGE}/airflow_task/dag_params.py",
    f"{PACKAGE}/cli/guardian.py",
    f"{PACKAGE}/cli/local_launcher.py",
    f"{PACKAGE}/compiler/sdk_side/*",
    f"{PACKAGE}/compiler/local_worker.py",
    f"{PACKAGE}/compiler/worker.py",
    f"{PACKAGE}/engine/jobs/launcher.py",
    f"{PACKAGE}/engine/jobs/programs/*",
    # Still being written.
    f"{PACKAGE}/migrate/*",
)
FAST_TESTS = (
    *("-m", "not slow", "-p", "no:cacheprovider", "-p", "pytest_many_times"),
    # They read the source, which is not the package's own here.
    *("--ignore=tests/architecture", "--ignore=tests/test_packaging.py"),
)

MOST_LEFT_OUT = 40
"""More fast tests than these that fail without a mutant are no tests of the source, but a fault of the set-up."""

IMPORT = "from mutmut.mutation.trampoline import wrap_in_trampoline as _mutmut_mutated, MutantDict\n"
IMPORT_ANYWHERE = """import os, sys
try:
    if os.environ.get("MUTANT_UNDER_TEST") == "stats" and "mutmut.__main__" not in sys.modules:
        raise ImportError("mutmut counts calls of its own process only")
    from mutmut.mutation.trampoline import wrap_in_trampoline as _mutmut_mutated, MutantDict
except ImportError:
    MutantDict = dict
    def _mutmut_mutated(mutants, **options):
        return lambda function: function
"""
"""Interpreters of scripts and jobs import modules of the package too, and have no mutmut: they run the real code."""

KILLED, SURVIVED, NOT_REACHED = "killed", "survived", "no test reaches it"


def main() -> int:
    """Draw, run, and print a table of packages and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", help="what the sample is drawn by; the newest commit's hash where not given")
    parser.add_argument("--each", type=int, default=25, help="mutants of each package (default: %(default)s)")
    parser.add_argument("--group", choices=[*GROUPS, REST], help="only the packages of one group")
    parser.add_argument("--workers", type=int, default=2, help="mutants that are tried at the same time")
    options = parser.parse_args()
    seed = options.seed or _run("git", "rev-parse", "HEAD")
    started = time.monotonic()
    work = _make_copy()
    _make_mutants(work, options.workers)
    left_out = _find_tests_of_the_source(work)
    _write_settings(work, tests="tests", left_out=left_out)
    _mutmut(work, options.workers, f"{PACKAGE}.exceptions.*")  # learns which test reaches which function
    drawn = _draw(_read_results(work), seed=seed, each=options.each, group=options.group)
    _mutmut(work, options.workers, *(name for names in drawn.values() for name in names))
    _report(drawn, _read_results(work), seed=seed, minutes=(time.monotonic() - started) / 60)
    print("\nTests left out, since they read the source:")
    print("\n".join(f"- {name}" for name in left_out))
    return 0


def _make_copy() -> Path:
    """A copy of what git keeps of this checkout, with an environment that imports the mutated package."""
    work = HOME / "checkout"
    shutil.rmtree(work, ignore_errors=True)
    for name in _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, work / name)
    environment = HOME / "environment"
    uv = Path(sys.executable).with_name("uv")
    if not environment.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    wanted = ["-r", ROOT / "requirements" / "dev.txt", "-r", ROOT / "requirements" / "mutants.txt"]
    _run(uv, "pip", "install", "--quiet", "--require-hashes", "--python", python, *wanted)
    shutil.copytree(work / PACKAGE, work / "mutants" / PACKAGE)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(work / name, work / "mutants" / name)
    alone = ("--no-deps", "--no-build-isolation")
    _run(uv, "pip", "install", "--quiet", *alone, "--python", python, "--editable", work / "mutants")
    return work


def _write_settings(work: Path, *, tests: str, left_out: Sequence[str] = ()) -> None:
    """Mutmut's settings, behind the package's own in ``pyproject.toml``: which ``tests`` it runs, and which not."""
    beside = sorted(
        path.name for path in work.iterdir() if path.name not in {PACKAGE, "tests", "mutants", "pyproject.toml", ".git"}
    )
    settings = {
        "source_paths": [PACKAGE],
        "do_not_mutate": list(NOT_MUTATED),
        "also_copy": beside,
        "pytest_add_cli_args_test_selection": [tests],
        "pytest_add_cli_args": [*FAST_TESTS, *(f"--deselect={name}" for name in left_out)],
        # A mutant that loops is ended; a slow machine is none.
        "timeout_multiplier": 20.0,
        "timeout_constant": 20.0,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    text = "\n".join([(ROOT / "pyproject.toml").read_text(encoding="utf-8"), "[tool.mutmut]", *lines, ""])
    for folder in (work, work / "mutants"):
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def _make_mutants(work: Path, workers: int) -> None:
    """Write all mutants, and let the mutated modules be imported where mutmut is not installed."""
    _write_settings(work, tests="tests/test_exceptions.py")
    _mutmut(work, workers, f"{PACKAGE}.exceptions.*")
    for path in (work / "mutants" / PACKAGE).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if IMPORT in text:
            path.write_text(text.replace(IMPORT, IMPORT_ANYWHERE), encoding="utf-8")
    (work / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)


def _find_tests_of_the_source(work: Path) -> list[str]:
    """The fast tests that fail where no mutant is on: they count or compare source code, which is not the package's."""
    cache = HOME / "pytest-cache"
    shutil.rmtree(cache, ignore_errors=True)
    command = [str(HOME / "environment" / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
    with (HOME / "log.txt").open("ab") as log:
        subprocess.run(
            [*command, *FAST_TESTS, "-p", "cacheprovider", "-o", f"cache_dir={cache}", "tests"],
            cwd=work / "mutants",
            env={**_environment(), "MUTANT_UNDER_TEST": ""},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    found = cache / "v" / "cache" / "lastfailed"
    failed = sorted(json.loads(found.read_text(encoding="utf-8"))) if found.exists() else []
    if len(failed) > MOST_LEFT_OUT:
        raise SystemExit(f"{len(failed)} fast tests fail where no mutant is on; the output is in {HOME / 'log.txt'}")
    return failed


def _environment() -> dict[str, str]:
    """The process's variables, with the folder of the plugin that ``FAST_TESTS`` names."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}


def _mutmut(work: Path, workers: int, *names: str) -> None:
    command = [str(HOME / "environment" / "bin" / "mutmut"), "run", "--max-children", str(workers), *names]
    with (HOME / "log.txt").open("ab") as log:
        done = subprocess.run(command, cwd=work, env=_environment(), stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut ended with {done.returncode}; its output is in {HOME / 'log.txt'}")


def _read_results(work: Path) -> dict[str, int | None]:
    """What became of each mutant: the exit code of its tests, or None where it was not tried."""
    found: dict[str, int | None] = {}
    for path in sorted((work / "mutants" / PACKAGE).rglob("*.meta")):
        found.update(json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def _package_of(mutant: str) -> str:
    """``engine.jobs`` of ``airflow_sm_pipelines.engine.jobs.archives.x_unpack__mutmut_3``."""
    parts = mutant.split(".")[1:]
    folder = ROOT / PACKAGE
    names: list[str] = []
    while parts and (folder / parts[0]).is_dir():
        names.append(parts.pop(0))
        folder = folder / names[-1]
    return ".".join(names) or "(root)"


def _group_of(package: str) -> str:
    return next((group for group, rooms in GROUPS.items() if package.split(".")[0] in rooms), REST)


def _draw(mutants: dict[str, int | None], *, seed: str, each: int, group: str | None) -> dict[str, list[str]]:
    by_package: dict[str, list[str]] = {}
    for name in sorted(mutants):
        by_package.setdefault(_package_of(name), []).append(name)
    return {
        package: random.Random(f"{seed} {package}").sample(names, min(each, len(names)))  # noqa: S311 - no secret
        for package, names in sorted(by_package.items())
        if group in {None, _group_of(package)}
    }


def _outcome(exit_code: int | None) -> str:
    # mutmut's own codes: 33 is a mutant that no test reaches, 0 one whose tests all passed; ends by a signal or by the
    # clock are faults that were noticed.
    return {0: SURVIVED, 33: NOT_REACHED, 5: NOT_REACHED}.get(-1 if exit_code is None else exit_code, KILLED)


def _report(drawn: dict[str, list[str]], results: dict[str, int | None], *, seed: str, minutes: float) -> None:
    print(f"Seed {seed}; {sum(map(len, drawn.values()))} mutants, {minutes:.0f} minutes.\n")
    print("| package | mutants | killed | survived | no test reaches it |\n|---|---:|---:|---:|---:|")
    groups: dict[str, Counter[str]] = {}
    for package, names in drawn.items():
        counts = Counter(_outcome(results[name]) for name in names)
        groups.setdefault(_group_of(package), Counter()).update(counts)
        print(f"| {package} | {len(names)} | {counts[KILLED]} | {counts[SURVIVED]} | {counts[NOT_REACHED]} |")
    print("\n| group | mutants | killed |\n|---|---:|---:|")
    for group, counts in groups.items():
        print(f"| {group} | {counts.total()} | {100 * counts[KILLED] / counts.total():.0f} % |")
    print("\nNot killed:")
    for names in drawn.values():
        for name in names:
            if _outcome(results[name]) != KILLED:
                print(f"- {name}: {_outcome(results[name])}")
    print(f"\nShow one: cd {HOME / 'checkout'} && {HOME / 'environment' / 'bin' / 'mutmut'} show NAME")


def _run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
