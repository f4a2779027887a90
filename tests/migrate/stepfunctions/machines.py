"""State machines for tests, with no more in them than a test is about."""

from __future__ import annotations

import json
from typing import Any

from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.migrate import Migration, MigrationPackage, make_package
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:work"


def task(resource: str, parameters: Any = None, **members: Any) -> dict[str, Any]:
    """A Task state; it ends the machine unless ``Next`` is given."""
    given = {} if parameters is None else {"Parameters": parameters}
    end = {} if "Next" in members else {"End": True}
    return {"Type": "Task", "Resource": resource, **given, **end, **members}


def function(**members: Any) -> dict[str, Any]:
    """A state that calls a function."""
    return task(FUNCTION, **members)


def sagemaker(action: str, parameters: Any, **members: Any) -> dict[str, Any]:
    """A state with an integration of SageMaker."""
    return task(f"arn:aws:states:::sagemaker:{action}", parameters, **members)


def model(name: Any = "m", **members: Any) -> dict[str, Any]:
    """A state that makes a model."""
    key = "ModelName.$" if isinstance(name, str) and name.startswith(("$", "States.")) else "ModelName"
    return sagemaker(
        "createModel", {key: name, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "i"}}, **members
    )


def machine(start: str | None = None, /, **states: Any) -> dict[str, Any]:
    """A machine of states; it begins with the first."""
    return {"StartAt": start or next(iter(states)), "States": states}


def read(document: Any, *, defined: tuple[str, ...] = (), sample: Any = None) -> Migration:
    """Read a machine; a text is the text of a file."""
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    variables = Variables(defined)
    (held,) = find_machines(text.encode(), name="m.asl.json", variables=variables, read=lambda _: None)
    return read_machine(held, name="flow", origin="m.asl.json", variables=variables, sample=sample)


def package(document: Any, **options: Any) -> MigrationPackage:
    """The files of a machine."""
    return make_package(read(document, **options))


def definition(made: MigrationPackage, name: str = "flow") -> dict[str, Any]:
    """The definition of one of its pipelines."""
    return dict(json.loads(made.files[f"{name}.definition.json"]))


def outcomes(made: MigrationPackage | Migration) -> dict[str, str]:
    """What became of each state, by its name."""
    records = made.migration.records if isinstance(made, MigrationPackage) else made.records
    return {record.source.partition(" (")[0].removeprefix("States."): str(record.outcome) for record in records}
