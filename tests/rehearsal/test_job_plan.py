"""The script that a job's command runs."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.rehearsal.job_plan import find_program

DRIVER = "/opt/ml/input/data/sm_drivers/sm_train.sh"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["python3", "/opt/ml/processing/input/code/a.py", "--x", "/y.py"], "/opt/ml/processing/input/code/a.py"),
        (
            ["/bin/bash", "/opt/ml/processing/input/entrypoint/runproc.sh"],
            "/opt/ml/processing/input/entrypoint/runproc.sh",
        ),
        (["/bin/bash", "-c", f"chmod +x {DRIVER} && {DRIVER}"], DRIVER),
        (["python3", "-m", "train"], None),
        (["python3"], None),
        ([], None),
    ],
)
def test_the_script_of_a_command_is_found(command: list[str], program: str | None) -> None:
    found = find_program(command)
    assert (str(found) if found else None) == program
