"""``init``: a pipeline, its step's code, its DAG and a test, as files to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import explain_exit_codes
from airflow_sm_pipelines.exceptions import ArgumentError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.compiler.notebook_script import NotebookScript

TEMPLATE = Path(__file__).parents[1] / "project_template"
"""The files, whose names end in ``.txt`` so that nobody takes them for code of this package."""

LARGEST_COPIED = 1 << 20
"""Bytes of a file beside a notebook that is copied into the project."""

REQUIREMENTS = ("airflow-sm-pipelines[compiler]",)
CI_FILES = {"github": ".github/workflows/{name}.yml", "gitlab": ".gitlab-ci.yml"}
_CONSTRAINTS = "https://raw.githubusercontent.com/apache/airflow/constraints-3.2.0/constraints-3.12.txt"
LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "plain": {"requirements.txt": REQUIREMENTS},
    "astro": {
        "requirements.txt": REQUIREMENTS,
        "Dockerfile": ("ENV SM_PIPELINES_CACHE_DIR=/usr/local/airflow/sm-pipelines",),
    },
    "mwaa": {"requirements.txt": (f'--constraint "{_CONSTRAINTS}"', *REQUIREMENTS)},
}
"""What the files beside the DAGs need, by where the project is to run."""

NOT_MADE = {"Dockerfile": "This is no Astro project yet: there is no Dockerfile. Run `astro dev init` first."}
"""Files that their own tool makes, and what to say where it has not."""

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
    parser.add_argument(
        "--layout",
        choices=tuple(LAYOUTS),
        default="plain",
        help="where the project is to run: plain (the default), in an Astro project, or on MWAA",
    )
    parser.add_argument(
        "--from",
        type=Path,
        metavar="FILE",
        dest="notebook",
        help="a notebook: its pipeline becomes the script, '%%writefile' cells become files, '!pip install' the "
        "script's header; cells that start the pipeline are left out, and each is listed",
    )
    parser.add_argument(
        "--pipeline", metavar="NAME", help="with --from, the name of the pipeline in the notebook, if it has several"
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
    script = _read_notebook(arguments)
    if script is None:
        files = make_files(name, sdk=arguments.sdk, ci=arguments.ci)
    else:
        files = make_notebook_files(name, script, folder=arguments.notebook.parent)
    there = [path for path in files if (folder / path).exists()]
    if there:
        raise ArgumentError(f"Nothing was written, as {', '.join(there)} is there already. Choose another NAME.")
    beside = {
        "dags/.airflowignore": (IGNORED_BY_AIRFLOW,),
        ".gitignore": (".airflow/", "__pycache__/"),
        **LAYOUTS[arguments.layout],
    }
    for path, reason in NOT_MADE.items():
        if path in beside and not (folder / path).exists():
            raise ArgumentError(reason)
    to_add = {path: _missing_lines(folder / path, lines) for path, lines in beside.items() if (folder / path).exists()}
    files |= {path: "\n".join(lines) + "\n" for path, lines in beside.items() if path not in to_add}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    say("Written:", *(f"  {folder / path}" for path in files))
    for path, lines in to_add.items():
        if lines:
            say(f"{folder / path} is there already. Add to it:", *(f"  {line}" for line in lines))
    if script is not None:
        _report(script)
    _say_next(name, has_test=script is None)
    return 0


def _say_next(name: str, *, has_test: bool) -> None:
    from airflow_sm_pipelines.cli.terminal import say

    commands = {
        f"sm-pipelines dags test {name}": "run the DAG here, without AWS",
        **({"pytest": "run its test"} if has_test else {}),
        "sm-pipelines dags serve": "look at it in Airflow's pages",
    }
    width = max(map(len, commands))
    say("Next:", *(f"  {command:<{width}}   # {what}" for command, what in commands.items()))


def _read_notebook(arguments: argparse.Namespace) -> NotebookScript | None:
    """The script of the notebook that is named; None where none is."""
    from airflow_sm_pipelines.compiler.notebook import parse_notebook
    from airflow_sm_pipelines.compiler.notebook_script import make_notebook_script
    from airflow_sm_pipelines.compiler.script import read_script

    if arguments.notebook is None:
        return None
    path, text = read_script(arguments.notebook)
    return make_notebook_script(parse_notebook(text, path=path), pipeline=arguments.pipeline)


def _report(script: NotebookScript) -> None:
    """Say what of a notebook is not in the script."""
    from airflow_sm_pipelines.cli.terminal import say

    if script.dropped:
        say("Left out, as the pipeline does not follow from it:", *(f"  {line}" for line in script.dropped))
    if script.unknown:
        say("To be filled in, as only a shell knew it:", *(f"  {line}" for line in script.unknown))


def make_notebook_files(name: str, script: NotebookScript, *, folder: Path) -> dict[str, str | bytes]:
    """The files of a project whose script was a notebook's; what the script reads beside the notebook is copied.

    :param name: the DAG's id.
    :param folder: the notebook's.
    """
    place = f"dags/pipelines/{name}"
    copied = {f"{place}/{path}": content for path, content in _read_mentioned(script.mentioned, folder)}
    written = {f"{place}/{path}": text for path, text in script.files.items()}
    dag = _render("dag.py.txt", {"pipelines/train.py:get_pipeline": f"pipelines/{name}/pipeline.py:{script.pipeline}"})
    dag = re.sub(r"(?m)^ +(?:parameters|outputs)=.*\n", "", dag).replace("train_model", name)
    return {**copied, **written, f"dags/{name}.py": dag, f"{place}/pipeline.py": script.source}


def _read_mentioned(mentioned: Iterable[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files beside a notebook that its script mentions by path, or that are in a folder that it mentions."""
    for path in mentioned:
        found = folder / path
        for file in [found] if found.is_file() else sorted(found.rglob("*")):
            if file.is_file() and file.stat().st_size <= LARGEST_COPIED:
                yield file.relative_to(folder).as_posix(), file.read_bytes()


def make_files(name: str, *, sdk: str, ci: str | None = None) -> dict[str, str | bytes]:
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
