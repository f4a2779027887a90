"""``init``: a pipeline, its step's code, its DAG and a test, as files to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import explain_exit_codes
from airflow_sm_pipelines.exceptions import ArgumentError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from airflow_sm_pipelines.cli.shared_options import Commands

TEMPLATE = Path(__file__).parents[1] / "project_template"
"""The files, whose names end in ``.txt`` so that nobody takes them for code of this package."""

REQUIREMENTS = ("airflow-sm-pipelines[compiler]",)
CI_FILES = {"github": ".github/workflows/{name}.yml", "gitlab": ".gitlab-ci.yml"}
IGNORED_BY_AIRFLOW = "pipelines/"
"""The line of ``.airflowignore``: a pipeline script is no DAG file."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "init",
        help="write a pipeline, its DAG and a test to begin with",
        description="Write a pipeline script, the code of its step, a DAG that deploys and runs it, and a test. Files "
        "that are there already are never changed.",
        epilog="Then: sm-pipelines dags test NAME",
    )
    parser.add_argument(
        "name", nargs="?", default="train_model", metavar="NAME", help="the DAG's id and the files' name (train_model)"
    )
    parser.add_argument("--sdk", choices=("v2", "v3"), default="v2", help="the SageMaker SDK of the script (v2)")
    parser.add_argument(
        "--ci",
        choices=tuple(CI_FILES),
        help="also a workflow that tests, comments the plan on a pull request, deploys the main branch and "
        "promotes a tag",
    )
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where to write (this folder)")
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the files, and say how to run them."""
    from airflow_sm_pipelines.cli.terminal import say

    name, folder = str(arguments.name), arguments.folder
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name):
        raise ArgumentError(f"NAME={name!r}: expected letters, digits and single underscores, such as train_model.")
    files = make_files(name, sdk=arguments.sdk, ci=arguments.ci)
    there = [path for path in files if (folder / path).exists()]
    if there:
        raise ArgumentError(f"Nothing was written, as {', '.join(there)} is there already. Choose another NAME.")
    beside = {
        "dags/.airflowignore": (IGNORED_BY_AIRFLOW,),
        "requirements.txt": REQUIREMENTS,
        ".gitignore": (".airflow/", "__pycache__/"),
    }
    to_add = {path: _missing_lines(folder / path, lines) for path, lines in beside.items() if (folder / path).exists()}
    files |= {path: "\n".join(lines) + "\n" for path, lines in beside.items() if path not in to_add}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    say("Written:", *(f"  {folder / path}" for path in files))
    for path, lines in to_add.items():
        if lines:
            say(f"{folder / path} is there already. Add to it:", *(f"  {line}" for line in lines))
    commands = {
        f"sm-pipelines dags test {name}": "run the DAG here, without AWS",
        "pytest": "run its test",
        "sm-pipelines dags serve": "look at it in Airflow's pages",
    }
    width = max(map(len, commands))
    say("Next:", *(f"  {command:<{width}}   # {what}" for command, what in commands.items()))
    return 0


def make_files(name: str, *, sdk: str, ci: str | None = None) -> dict[str, str]:
    """The files of a project by their path, with the texts of :data:`TEMPLATE` under their own name.

    :param name: the DAG's id.
    :param sdk: ``"v2"`` or ``"v3"``.
    :param ci: a key of :data:`CI_FILES`, or None for no workflow.
    """
    words = {
        "pipelines/train.py": f"pipelines/{name}.py",
        '"train.py"': f'"{name}.py"',
        "train_model": name,
        "train-model": name.replace("_", "-"),
    }
    workflow = {CI_FILES[ci].format(name=name): _render(f"ci/{ci}.yml.txt", words)} if ci else {}
    return {
        **workflow,
        f"dags/{name}.py": _render("dag.py.txt", words),
        f"dags/pipelines/{name}.py": _render(f"pipelines/train_{sdk}.py.txt", words),
        f"dags/pipelines/steps/{name}.py": _render("pipelines/steps/train.py.txt", {}),
        f"tests/test_{name}.py": _render("tests/test_train_model.py.txt", words),
    }


def _render(path: str, words: Mapping[str, str]) -> str:
    text = (TEMPLATE / path).read_text(encoding="utf-8")
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def _missing_lines(path: Path, lines: tuple[str, ...]) -> list[str]:
    held = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line not in held]
