"""The count of published machines, on a repository of three files, and what its list of files says."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.migrate.field_count import FILES, count, is_held_back, make_sample_input
from tests.migrate.stepfunctions.machines import function, machine, read, task

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]


def test_a_repository_is_counted_at_its_commit(tmp_path: Path) -> None:
    repository = tmp_path / "owner+name"
    repository.mkdir()
    missing = machine(A=function(Parameters={}, Next="B"), B=task("arn:aws:states:::apigateway:invoke", {}))
    files = {"good.json": machine(A=function(Parameters={})), "partly.json": missing, "none.json": {"a": 1}}
    for name, document in files.items():
        (repository / name).write_text(json.dumps(document), encoding="utf-8")
    git = ["git", "-C", str(repository), *IDENTITY]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    row = {"repository": "owner/name", "commit": commit, "paths": sorted(files)}
    reasons: dict[str, list[str]] = {}
    found = {key: number for key, number in count([row], tmp_path, imports=False, reasons=reasons).items() if number}
    assert found == {
        "repositories": 1,
        "files": 3,
        "no machine": 1,
        "machines": 2,
        "complete": 1,
        "complete with input": 1,
        "partly": 1,
        "states": 3,
        "open": 1,
    }

    assert reasons == {"partly.json partly": ["boto3 has no call invoke of apigateway."]}


def test_a_made_up_input_has_each_path_that_a_machine_reads() -> None:
    rule = {"Variable": "$.order.kind", "StringEquals": "big", "Next": "A"}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "B"}
    document = machine(C=choice, A=function(Parameters={"n.$": "$.n[0].name"}), B={"Type": "Succeed"})
    sample = make_sample_input(read(document).workflow)
    assert sample["order"] == {"kind": "big"}
    assert isinstance(sample["n"][0]["name"], str)


def test_the_list_names_files_of_both_halves_by_commit() -> None:
    rows = json.loads(FILES.read_text(encoding="utf-8"))
    halves = [is_held_back(row["repository"]) for row in rows]
    assert (len(rows) >= 25, 8 < sum(halves) < len(halves) - 8) == (True, True)
    assert all(len(row["commit"]) == 40 and set(row) == {"repository", "commit", "paths"} for row in rows)
