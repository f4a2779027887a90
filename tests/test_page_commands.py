"""The commands of the README and the pages: each is understood by the real parser, and what can run here runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.cli.entry_point import make_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
DATA = ROOT / "tests" / "data" / "definitions"

PLACEHOLDERS = {"...": "SOURCE", "…": "SOURCE", "N": "1", "DAYS": "1", "COMMAND": "list"}
PLACEHOLDERS["ROLE-ARN"] = "arn:aws:iam::123456789012:role/Any"
"""What stands for an argument in the pages, and is not taken as it is."""

BEFORE_THE_SHELLS_PART = re.compile(r"""(?:'[^']*'|"[^"]*"|(?!\s+\#|\ [>|&]|\)").)*""", re.DOTALL)
"""A line up to a comment, a pipe, a redirection or the next command, where these stand outside of quotes."""


@dataclass(frozen=True)
class PageCommand:
    """A command as a page shows it.

    :param is_whole: False for one that stands in a sentence, which may leave its arguments out.
    """

    page: str
    words: tuple[str, ...]
    is_whole: bool


def iter_commands() -> Iterator[PageCommand]:
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in re.sub(
                r"\\\n\s*", "", re.sub(r"<<'END'\n.*?\nEND\n", "\n", block, flags=re.DOTALL)
            ).splitlines():
                if found := re.search(r"(?:^(?:\$ )?|\$\()(sm-pipelines .*)", line):
                    yield PageCommand(page.name, split(found[1]), is_whole=True)
        for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            if found := re.search(r"(?:^|\s)(sm-pipelines\s.+)", code, re.DOTALL):
                yield PageCommand(page.name, split(found[1]), is_whole=False)


def split(line: str) -> tuple[str, ...]:
    """The words of a command, without the comment, what a shell does with it, and brackets."""
    line = BEFORE_THE_SHELLS_PART.findall(re.sub(r"\[(-[^\]]*)\]", r"\1", line))[0]
    return tuple(PLACEHOLDERS.get(word, word) for word in shlex.split(line) if word != "-->")


def check(words: tuple[str, ...], *, is_whole: bool) -> None:
    assert words[0] == "sm-pipelines"
    names = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)]
    if not is_whole and len(words) - 1 <= len(names) <= 2:
        with pytest.raises(SystemExit) as shown:
            make_parser().parse_args([*words[1:], "--help"])
        assert shown.value.code == 0
        return
    arguments = make_parser().parse_args(list(words[1:]))
    nested = [word for word in getattr(arguments, "command", None) or () if word != "--"]
    if nested[:1] == ["sm-pipelines"]:
        check(tuple(nested), is_whole=True)


COMMANDS = sorted(set(iter_commands()), key=lambda one: (one.page, one.words))


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 40
    assert {"README.md", "first-dag.md", "cost.md", "local.md", "plan-and-graph.md", "policy.md"} <= {
        one.page for one in COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: f"{one.page}: {' '.join(one.words)}"[:120])
def test_a_command_of_a_page_is_understood(command: PageCommand, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        check(command.words, is_whole=command.is_whole)
    except SystemExit as end:
        if end.code:
            pytest.fail(capsys.readouterr().err)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: f"{one.page}: {' '.join(one.words)}"[:120])
def test_a_name_of_a_pipeline_in_a_page_can_be_one(command: PageCommand) -> None:
    """A DAG's name has underscores, a pipeline's may not."""
    if command.words[1] in ("promote", "rollback", "versions", "delete") and command.words[2:]:
        assert "_" not in command.words[2]


OFFLINE = [
    one
    for one in COMMANDS
    if one.is_whole
    and (one.words[1] in ("validate", "diff", "iam", "graph") or (one.words[1] == "plan" and "--deployed" in one.words))
    and "--execution" not in one.words
    and not any(".py:" in word for word in one.words)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages name."""
    for name in (
        "train.json",
        "pipeline.json",
        "new.json",
        "old.json",
        "live.json",
        "dags/churn.definition.json",
        "dags/train.definition.json",
        "dags/price.definition.json",
        "churn.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DATA / "diabetes_v2.json", tmp_path / name)
    for name in ("tests/data/definitions/diabetes_v2.json", "dags/policies/team.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dags/policies/team.toml", tmp_path / "team.toml")
    text = (DATA / "diabetes_v2.json").read_text()
    properties = {"PipelineDefinition": {"PipelineDefinitionBody": text}}
    template = {"Resources": {"TrainPipeline": {"Type": "AWS::SageMaker::Pipeline", "Properties": properties}}}
    documents = {
        "answer.json": {"PipelineArn": "arn", "PipelineDefinition": text},
        "template.yaml": template,
        "cdk.out/ml.template.json": template,
        "infra/pipelines/train.json": json.loads(text),
    }
    for name, document in documents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return tmp_path


@pytest.mark.parametrize("command", OFFLINE, ids=lambda one: f"{one.page}: {' '.join(one.words)}"[:120])
def test_a_command_that_needs_no_service_runs(
    command: PageCommand, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [found for word in command.words[1:] for found in sorted(glob(word)) or [word]]  # noqa: PTH207 - any word
    code = main(words)
    is_refused = "team.toml" in " ".join(command.words) and "apply" not in command.words
    assert code == (1 if is_refused else 0), capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the page is for POSIX shells")
def test_the_first_dag_is_green_when_its_blocks_are_pasted(tmp_path: Path) -> None:
    install, *blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "docs" / "first-dag.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert "pip install" in install
    work = tmp_path / "work"
    work.mkdir()
    script = tmp_path / "pasted.sh"
    script.write_text("set -e\n" + "".join(blocks[:3]))
    done = paste(script, work)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Pipeline 'train-model' created: version 1, arn:" in done.stdout
    assert "state=success" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial is for POSIX shells")
def test_the_tutorials_blocks_do_what_it_says_when_they_are_pasted(tmp_path: Path) -> None:
    """All but the installation, Airflow's own pages, and what needs AWS."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    parts = {part[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part[0].isdigit()}
    blocks = {number: re.findall(r"^```sh\n(.*?)^```", parts[number], re.DOTALL | re.MULTILINE) for number in "1236"}
    code = "dags/pipelines/steps/churn.py"
    lines = [
        "set -e",
        *[block.partition("pip install")[2].partition("\n")[2] or block for block in blocks["1"]],
        blocks["2"][0].replace("serve &", f"serve --port 0 > {tmp_path}/serve.log &\ntrap 'kill %1; wait' EXIT"),
        blocks["2"][1].replace("sm-pipelines local open", "true ||"),
        f"sed -i 's/random_state=7).fit/random_state=8).fit/' {code}",
        *blocks["3"],
        f"""sed -i 's/^model = /raise ValueError("a mistake"); model = /' {code}""",
        "! sm-pipelines run dags/pipelines/churn.py:get_pipeline --role-arn $ROLE",
        f"""sed -i 's/^raise ValueError("a mistake"); //' {code}""",
        *blocks["6"],
        "sm-pipelines versions churn",
    ]
    work = tmp_path / "work"
    work.mkdir()
    script = tmp_path / "pasted.sh"
    script.write_text("\n".join(lines))
    done = paste(script, work)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "state=success" in done.stdout
    assert "ValueError: a mistake (the last line of the log)" in done.stdout
    assert re.search(r"churn: prod is version \d \(was none\)", done.stdout)


def paste(script: Path, work: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder as a new user with an empty home would."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "AIRFLOW", "SM_PIPELINES_STATE"))
    }
    environment |= {
        "HOME": str(work.parent / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["bash", script], cwd=work, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
