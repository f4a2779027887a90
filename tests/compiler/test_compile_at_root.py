"""Scripts that are written to be run from their project's root, compiled from their own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import ScriptFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Compiler

pytestmark = pytest.mark.processes

IMPORT = "from sagemaker.workflow.pipeline import Pipeline\n"
IMPORTS = f"{IMPORT}from shared.names import NAME\n\ndef get_pipeline():\n    return Pipeline(NAME)\n"
READS = f"{IMPORT}\ndef get_pipeline():\n    return Pipeline(open('config/name.txt').read().strip())\n"
ASKS_THE_SDK = f"""{IMPORT}import os

def get_pipeline():
    if not os.path.isfile("config/name.txt"):
        raise ValueError("code config/name.txt wasn't found. Please make sure that the file exists.")
    return Pipeline("from-root")
"""
WANTS_A_FOLDER = f"""{IMPORT}import os

def get_pipeline():
    if not os.path.isdir("config"):
        raise ValueError("Invalid 'source_dir' path: config. Must be a valid local directory, s3 uri or path.")
    return Pipeline("from-root")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with `shared/names.py`, `config/name.txt` and an empty `pipelines/train`."""
    root = tmp_path / "project"
    for folder in (".git", "shared", "config", "pipelines/train"):
        (root / folder).mkdir(parents=True)
    (root / "shared" / "names.py").write_text("NAME = 'from-root'\n")
    (root / "config" / "name.txt").write_text("from-root\n")
    return root


@pytest.mark.parametrize(
    "text",
    [IMPORTS, READS, ASKS_THE_SDK, WANTS_A_FOLDER],
    ids=["a module", "a file", "a file of the SDK's", "a folder"],
)
def test_what_is_only_at_the_root_is_taken_from_there_and_the_log_says_how_to_settle_it(
    compile_stub: Compiler, project: Path, text: str
):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text(text)
    assert compile_stub(f"{script}:get_pipeline").name == "from-root"
    assert f"built with the project's root, {project}" in compile_stub.log
    assert '# working-dir = "../.."' in compile_stub.log
    assert compile_stub(f"{script}:get_pipeline").from_cache
    compile_stub.lines.clear()
    script.write_text(f'# /// script\n# [tool.sm-pipelines]\n# working-dir = "../.."\n# ///\n{text}')
    assert compile_stub(f"{script}:get_pipeline").name == "from-root"
    assert "root," not in compile_stub.log


@pytest.mark.parametrize("packages", [("pipelines", "pipelines/train"), ()], ids=["packages", "no packages"])
def test_a_script_imports_relative_to_its_package(compile_stub: Compiler, project: Path, packages: tuple[str, ...]):
    for name in packages:
        (project / name / "__init__.py").touch()
    script = project / "pipelines" / "train" / "pipeline.py"
    script.with_name("names.py").write_text("NAME = 'beside'\n")
    script.write_text(f"{IMPORT}from .names import NAME\n\ndef get_pipeline():\n    return Pipeline(NAME)\n")
    place = {} if packages else {"working_folder": project}
    assert compile_stub(f"{script}:get_pipeline", **place).name == "beside"
    script.with_name("names.py").write_text("NAME = 'other'\n")
    assert compile_stub(f"{script}:get_pipeline", **place).name == "other"


def test_a_script_that_only_tries_a_relative_import_is_no_part_of_a_package(compile_stub: Compiler, project: Path):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.with_name("__init__.py").touch()
    script.with_name("names.py").write_text("NAME = __name__\n")
    tries = "try:\n    from .names import NAME\nexcept ImportError:\n    from names import NAME\n"
    script.write_text(f"{IMPORT}{tries}\ndef get_pipeline():\n    return Pipeline(NAME)\n")
    assert compile_stub(f"{script}:get_pipeline").name == "names"


def test_a_changed_file_at_the_root_is_seen(compile_stub: Compiler, project: Path):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text(IMPORTS)
    compile_stub(f"{script}:get_pipeline")
    (project / "shared" / "names.py").write_text("NAME = 'other'\n")
    assert compile_stub(f"{script}:get_pipeline").name == "other"


def test_the_scripts_own_folder_comes_first(compile_stub: Compiler, project: Path):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text(READS)
    (script.parent / "config").mkdir()
    (script.parent / "config" / "name.txt").write_text("own")
    assert compile_stub(f"{script}:get_pipeline").name == "own"


def test_the_folder_that_is_given_counts_as_root_where_there_is_no_repository(compile_stub: Compiler, project: Path):
    (project / ".git").rmdir()
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text(IMPORTS)
    assert compile_stub(f"{script}:get_pipeline", base_folder=project).name == "from-root"


def test_nobody_is_told_to_install_a_folder_of_the_project(compile_stub: Compiler, project: Path):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text("import config.settings\n\ndef get_pipeline(): ...\n")
    with pytest.raises(
        ScriptFailedError, match=r"has the folder .*/project/config, which has no such module"
    ) as caught:
        compile_stub(f"{script}:get_pipeline")
    assert "dependencies" not in str(caught.value)
