"""Requirements as people write them: options, files, `pip install` lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.compiler.requirements import PipLines, merge_requirements, read_requirements
from airflow_sm_pipelines.exceptions import ScriptMetadataError

if TYPE_CHECKING:
    from pathlib import Path

V2 = "from sagemaker.workflow.pipeline import Pipeline\n"
V3 = "from sagemaker.mlops.workflow.pipeline import Pipeline\n"
FILE = """# the SDK
sagemaker>=2.257,<3  # pinned
-r base.txt
--index-url https://example.test
-e .
./wheels/x.whl
"""


def test_an_option_is_requirements_or_a_file_of_them(tmp_path: Path):
    (tmp_path / "base.txt").write_text("boto3\n")
    (tmp_path / "requirements.txt").write_text(FILE)
    found = read_requirements(["requirements.txt", "pandas"], folder=tmp_path)
    assert found == ("sagemaker>=2.257,<3", "boto3", "pandas")
    assert read_requirements("sagemaker<3", folder=tmp_path) == ("sagemaker<3",)
    with pytest.raises(ScriptMetadataError, match=r"other\.txt cannot be read"):
        read_requirements("other.txt", folder=tmp_path)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("pip install sagemaker pandas==2.1", ["sagemaker", "pandas==2.1"]),
        ("{sys.executable} -m pip install -q --upgrade 'sagemaker>=2.99.0'", ["sagemaker>=2.99.0"]),
        ("python3 -m pip install -U boto3 --root-user-action=ignore", ["boto3"]),
        ('pip install "boto3>=1.24.*" # for the new call', ["boto3>=1.24"]),
        ("pip install -i https://example.test/simple torch > /dev/null", ["torch"]),
        ("pip install sagemaker=={version} ./wheel.whl /tmp/sdk.tar.gz git+https://example.test/x", ["sagemaker"]),
        ("pip install --upgrade pip setuptools wheel", []),
        ("pip install -r needs.txt", ["numpy"]),
    ],
)
def test_a_pip_line_names_requirements(tmp_path: Path, command: str, found: list[str]):
    lines = PipLines(tmp_path, files={"needs.txt": "numpy\n"})
    assert lines.take(command)
    assert lines.found == found


@pytest.mark.parametrize("command", ["aws s3 ls", "pip uninstall x", "echo 'pip"])
def test_other_commands_are_no_pip_line(tmp_path: Path, command: str):
    assert not PipLines(tmp_path).take(command)


@pytest.mark.parametrize(
    ("lines", "source", "merged"),
    [
        (["sagemaker"], V2, ("sagemaker>=2.257,<3",)),
        (["sagemaker>=2.99.0", "x"], V2, ("sagemaker>=2.99.0,<3", "x")),
        (["sagemaker==2.91.1"], V2, ("sagemaker==2.91.1",)),
        (["sagemaker>=2.1,<2.200"], V2, ("sagemaker>=2.1,<2.200",)),
        (["sagemaker"], V3, ("sagemaker",)),
        (["pandas"], V2, ("pandas", "sagemaker>=2.257,<3")),
        (["pandas"], V3, ("pandas", "sagemaker-mlops>=1.27,<2")),
        (["sagemaker", "sagemaker==2.200"], V2, ("sagemaker==2.200",)),
    ],
)
def test_the_sdk_is_of_the_generation_that_the_script_is_written_for(
    lines: list[str], source: str, merged: tuple[str, ...]
):
    assert merge_requirements(lines, source) == merged
