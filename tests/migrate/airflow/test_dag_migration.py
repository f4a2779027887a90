"""DAG files with SageMaker operators: what becomes a pipeline, how the rest of the file is joined to it, what stays."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.airflow.dag_migration import MAX_TASKS, migrate_dag_file
from airflow_sm_pipelines.migrate.airflow.source_file import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.migrate import MigrationPackage
    from airflow_sm_pipelines.migrate.airflow.source_file import SourceFile

HEAD = """\
from airflow.sdk import DAG, chain
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerModelOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTrainingSensor
ROLE = "arn:aws:iam::111122223333:role/R"
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/own:1"
def config(name): pass
"""

TRAINING = """\
{
    "TrainingJobName": "fit-{{ ds }}", "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}"""
MODEL = """\
{
    "ModelName": "m-{{ ds }}", "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {
        "Image": IMAGE,
        "ModelDataUrl": "{{ ti.xcom_pull(task_ids='fit')['Training']['ModelArtifacts']['S3ModelArtifacts'] }}",
    },
}"""
TRANSFORM = """\
{
    "TransformJobName": "t-{{ ds }}", "ModelName": "m-{{ ds }}",
    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
    "TransformOutput": {"S3OutputPath": "s3://b/out"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}"""


def make_fit(more: str = "", *, config: str = TRAINING, task_id: str = "fit") -> str:
    """A training task."""
    return f"{task_id} = SageMakerTrainingOperator(task_id={task_id!r}, config={config}{more})\n"


MAKE_MODEL = f"model = SageMakerModelOperator(task_id='model', config={MODEL})\n"
SCORE = f"score = SageMakerTransformOperator(task_id='score', config={TRANSFORM})\n"


def migrate(
    text: str, *, modules: Mapping[str, str] | None = None, rendered: Mapping[str, Any] | None = None
) -> MigrationPackage:
    """Migrate a file that begins with the imports."""
    files = {name: read_source(code.encode(), name=f"{name}.py") for name, code in (modules or {}).items()}

    def load(module: str) -> SourceFile | None:
        return files.get(module)

    return migrate_dag_file((HEAD + text).encode(), file_name="old.py", name="flow", load=load, rendered=rendered)


def get_tail(package: MigrationPackage) -> str:
    """The migrated file behind the last line of its head."""
    return package.files["flow.py"].split("def config(name): pass\n")[1]


def get_definitions(package: MigrationPackage) -> dict[str, dict[str, Any]]:
    """The definitions by file name."""
    return {name: json.loads(text) for name, text in package.files.items() if name.endswith(".definition.json")}


def test_tasks_that_follow_each_other_become_one_pipeline() -> None:
    package = migrate(
        "a = other('a')  # stays\n" + make_fit() + MAKE_MODEL + SCORE + "# the order\na >> fit >> model >> score >> b\n"
    )
    assert package.is_complete
    assert get_tail(package) == textwrap.dedent(
        """\
        a = other('a')  # stays
        deploy_fit = SageMakerDeployPipelineOperator(
            task_id="deploy_flow",
            pipeline="flow.definition.json",
            pipeline_name="flow",
            role_arn="arn:aws:iam::111122223333:role/R",
        )
        run_fit = SageMakerRunPipelineOperator(
            task_id="run_flow",
            pipeline_name=deploy_fit.output["pipeline_name"],
            version=deploy_fit.output["pipeline_version_id"],
        )
        # the order
        a >> deploy_fit >> run_fit >> b
        """
    )
    (definition,) = get_definitions(package).values()
    fit, model, score = definition["Steps"]
    assert (fit["Name"], fit["Type"], fit.get("DependsOn")) == ("fit", "Training", None)
    assert model["Arguments"]["PrimaryContainer"]["ModelDataUrl"] == {
        "Get": "Steps.fit.ModelArtifacts.S3ModelArtifacts"
    }
    assert (model["DependsOn"], score["DependsOn"]) == (["fit"], ["model"])
    assert score["Arguments"]["ModelName"] == {"Get": "Steps.model.ModelName"}
    start, end = (
        HEAD.index("from airflow.providers.amazon.aws.operators"),
        HEAD.index("from airflow.providers.amazon.aws.sens"),
    )
    ours = "from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator\n"
    assert package.files["flow.py"].startswith(HEAD[:start] + ours + HEAD[end:])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("a >> fit >> b", "a >> deploy_fit >> run_fit >> b", id="shift"),
        pytest.param("fit >> b", "run_fit >> b", id="at the start"),
        pytest.param("a >> fit", "a >> deploy_fit", id="at the end"),
        pytest.param("[a, b] >> fit >> [c, d]", "[a, b] >> deploy_fit >> run_fit >> [c, d]", id="lists of others"),
        pytest.param("a >> [fit, b]", "a >> deploy_fit\na >> b", id="a mixed list"),
        pytest.param(
            "chain(\n    a,\n    fit,  # fits\n    b,\n)",
            "chain(\n    a,\n    deploy_fit, run_fit,  # fits\n    b,\n)",
            id="chain",
        ),
        pytest.param("a.set_downstream(fit)", "a.set_downstream(deploy_fit)", id="set_downstream"),
        pytest.param("fit.set_upstream(a)", "deploy_fit.set_upstream(a)", id="set_upstream"),
        pytest.param("fit.set_downstream([a, b])", "run_fit.set_downstream([a, b])", id="set_downstream of it"),
        pytest.param("a >> b", "a >> b", id="others"),
    ],
)
def test_each_way_to_say_the_order_is_joined_to_deploy_and_run(before: str, after: str) -> None:
    tail = get_tail(migrate(make_fit() + before + "\n"))
    assert tail.split(")\n", 2)[2] == after + "\n"


def test_an_order_that_stands_before_the_pipeline_moves_behind_it() -> None:
    tail = get_tail(migrate(make_fit() + "a >> fit\n" + "b = other('b')\n" + MAKE_MODEL + "fit >> model\n"))
    assert tail.startswith("b = other('b')\ndeploy_fit = ")
    assert tail.endswith(")\na >> deploy_fit\n")


@pytest.mark.parametrize(
    ("text", "pipelines"),
    [
        pytest.param(
            make_fit() + "m = other('m')\n" + MAKE_MODEL + "fit >> m >> model\n", 2, id="another task between"
        ),
        pytest.param(
            make_fit() + MAKE_MODEL + "fit >> model\nfit >> m\nm >> model\n", 2, id="a way round over another task"
        ),
        pytest.param(
            make_fit() + MAKE_MODEL.replace("config=", "trigger_rule='all_done', config=") + "fit >> model\n",
            2,
            id="a trigger rule",
        ),
        pytest.param(
            make_fit() + MAKE_MODEL + "fit >> model\nbranch = other(lambda: 'model')\n", 2, id="a branch names it"
        ),
        pytest.param(make_fit(", retries=2") + MAKE_MODEL + "fit >> model\n", 2, id="other retries"),
        pytest.param(
            make_fit() + MAKE_MODEL + "fit >> model\nx >> model\n", 2, id="another task comes before the second"
        ),
        pytest.param(make_fit() + MAKE_MODEL + "fit >> model\nx >> fit\nx >> model\n", 1, id="it came before both"),
    ],
)
def test_segments_end_where_a_pipeline_would_do_something_else(text: str, pipelines: int) -> None:
    assert len(get_definitions(migrate(text))) == pipelines


def test_a_value_passes_from_pipeline_to_pipeline_and_to_tasks() -> None:
    package = migrate(
        make_fit()
        + "say = BashOperator(task_id='say', bash_command="
        + '\'echo {{ ti.xcom_pull("fit")["Training"]["ModelArtifacts"]["S3ModelArtifacts"] }}\')\n'
        + "def use(ti): return ti.xcom_pull(task_ids='fit')['Training']['BillableTimeInSeconds']\n"
        + MAKE_MODEL
        + "fit >> say >> model\n"
    )
    tail = get_tail(package)
    key = "fit_ModelArtifacts_S3ModelArtifacts"
    assert f"""'echo {{{{ ti.xcom_pull(task_ids="run_fit", key="{key}") }}}}'""" in tail
    assert 'return ti.xcom_pull(task_ids="run_fit", key="fit_BillableTimeInSeconds")' in tail
    assert f'''"{{{{ ti.xcom_pull(task_ids='run_fit', key='{key}') }}}}"''' in tail
    assert f'"{key}": "Steps.fit.ModelArtifacts.S3ModelArtifacts"' in tail
    assert "deploy_fit >> " not in tail
    assert tail.endswith("run_fit >> say >> deploy_model\n")


def test_what_only_airflow_knows_becomes_a_parameter() -> None:
    config = TRAINING.replace('"s3://b/models"', "f\"s3://{Variable.get('bucket')}/{{{{ ds }}}}/x\"").replace(
        '"InstanceCount": 1', '"InstanceCount": COUNTS["fit"]'
    )
    package = migrate("from airflow.sdk import Variable\nCOUNTS = load()\n" + make_fit(config=config))
    tail = get_tail(package)
    assert """"Bucket": Variable.get('bucket'),""" in tail
    assert '"Ds": "{{ ds }}",' in tail
    assert """"Fit": COUNTS['fit']""" in tail
    (definition,) = get_definitions(package).values()
    assert {one["Name"]: one["Type"] for one in definition["Parameters"]} == {
        "Bucket": "String",
        "Ds": "String",
        "Fit": "Integer",
    }
    output = definition["Steps"][0]["Arguments"]["OutputDataConfig"]["S3OutputPath"]
    assert output["Std:Join"]["Values"] == ["s3://", {"Get": "Parameters.Bucket"}, "/", {"Get": "Parameters.Ds"}, "/x"]


def test_a_config_may_stand_in_another_module() -> None:
    base = TRAINING.replace("ROLE", "'arn:aws:iam::111122223333:role/R'").replace("IMAGE", "'i'")
    package = migrate(
        "import settings\n" + make_fit(config="settings.CONFIGS['fit']"),
        modules={"settings": f"BASE = {base}\nCONFIGS = {{'fit': {{**BASE}}}}\n"},
    )
    (definition,) = get_definitions(package).values()
    assert definition["Steps"][0]["Arguments"]["RoleArn"] == "arn:aws:iam::111122223333:role/R"


def test_a_sensor_of_a_job_is_folded_into_the_run() -> None:
    wait = "wait = SageMakerTrainingSensor(task_id='wait', job_name='fit-{{ ds }}')\n"
    package = migrate(make_fit(", wait_for_completion=False") + wait + MAKE_MODEL + "fit >> wait >> model >> z\n")
    assert package.is_complete
    assert get_tail(package).endswith("run_fit >> z\n")
    (definition,) = get_definitions(package).values()
    assert [(one["Name"], one.get("DependsOn")) for one in definition["Steps"]] == [("fit", None), ("model", ["fit"])]
    assert [str(one.outcome) for one in package.migration.records] == ["approximated", "folded", "translated"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(make_fit(config="config('fit')"), "old.py:11:7: its config is config('fit'), which", id="a call"),
        pytest.param("for n in x:\n    " + make_fit(), "old.py:12:11: it is made in a loop", id="a loop"),
        pytest.param(make_fit() + "tasks = [fit]\n", "fit is used here as something else", id="another use"),
        pytest.param(make_fit(", **more"), "it takes arguments by * or **", id="more arguments"),
        pytest.param(make_fit(", resources=1"), "neither a step nor the run task has resources", id="an argument"),
        pytest.param(
            make_fit(config=TRAINING.replace("ROLE", "'r'")), "RoleArn is 'r', the name of a role", id="a role"
        ),
        pytest.param(make_fit() + "x = ti.xcom_pull('fit')\n", "its whole result is read here", id="its whole result"),
        pytest.param(
            make_fit() + "s = SageMakerTrainingSensor(task_id='s', job_name='fit-{{ ds }}')\nfit >> z >> s\n",
            "a sensor waits for it by its name",
            id="a sensor behind another task",
        ),
        pytest.param(
            make_fit(config=TRAINING.replace('{"TrainingImage": IMAGE, "TrainingInputMode": "File"}', "algorithm()")),
            "AlgorithmSpecification is algorithm(",
            id="a part of a config",
        ),
    ],
)
def test_what_cannot_become_a_step_stays_with_its_place(text: str, problem: str) -> None:
    package = migrate(text)
    assert not package.is_complete
    assert any(problem in record.action for record in package.migration.records)
    assert package.files["flow.py"] == HEAD + text


def test_an_argument_that_is_set_afterwards_goes_with_the_task() -> None:
    package = migrate(make_fit() + "fit.wait_for_completion = False\nfit >> z\n")
    assert get_tail(package).endswith("run_fit >> z\n")
    assert "wait_for_completion" not in get_tail(package)
    assert "AIRFLOW-WAIT-001" in {one.code for one in package.migration.records[0].reasons}


def test_another_task_that_says_a_name_is_told() -> None:
    package = migrate(MAKE_MODEL.replace("m-{{ ds }}", "mine") + "drop = other(config={'ModelName': 'mine'})\n")
    said = [one.text for one in package.migration.records[0].reasons if one.code == "AIRFLOW-NAMES-002"]
    assert said == ["old.py:18:35 names what it made; SageMaker gives that another name."]


def test_a_rendered_config_takes_the_place_of_one_that_cannot_be_read() -> None:
    rendered = {
        "fit": {"RoleArn": "arn:aws:iam::111122223333:role/R", "OutputDataConfig": {"S3OutputPath": "s3://b/o"}}
    }
    package = migrate(make_fit(config="config('fit')"), rendered=rendered)
    (definition,) = get_definitions(package).values()
    assert definition["Steps"][0]["Arguments"]["OutputDataConfig"] == {"S3OutputPath": "s3://b/o"}
    assert [one.code for one in package.migration.records[0].reasons] == ["AIRFLOW-RENDERED-001"]


def test_a_config_of_several_things_becomes_several_steps() -> None:
    combined = f"{{'Model': {MODEL.replace('ti.xcom_pull', 'x')}, 'Transform': {TRANSFORM}}}"
    package = migrate(f"score = SageMakerTransformOperator(task_id='score', config={combined})\n")
    (definition,) = get_definitions(package).values()
    assert [(one["Name"], one["Type"]) for one in definition["Steps"]] == [
        ("score-Model", "Model"),
        ("score", "Transform"),
    ]
    assert definition["Steps"][1]["Arguments"]["ModelName"] == {"Get": "Steps.score-Model.ModelName"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            make_fit() + MAKE_MODEL + "fit >> model >> fit\n", "tasks wait for each other: fit, model", id="circle"
        ),
        pytest.param("x = 1\n", "old.py:1:1: no task there is made by a SageMaker operator", id="nothing to do"),
        pytest.param(
            "".join(f"t{n} = SageMakerModelOperator(task_id='t{n}', config={{}})\n" for n in range(MAX_TASKS + 1)),
            "501 SageMaker tasks; at most 500 can be read",
            id="too many",
        ),
        pytest.param("print 'x'\n", "old.py:11:1: ", id="Python 2"),
    ],
)
def test_bad_input_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(MigrationError, match=r"old\.py:\d+:\d+: ") as caught:
        migrate(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_import_stands_before_its_use_and_behind_a_comment() -> None:
    text = "import a  # noqa\n" + make_fit() + "rest = SageMakerModelOperator(**x)\nimport z  # the end\n"
    text = "from airflow.providers.amazon.aws.operators import sagemaker as sm  # ops\n" + text
    package = migrate(text.replace("SageMakerTrainingOperator", "sm.SageMakerTrainingOperator"))
    ours = "from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator"
    assert f"import a  # noqa\n{ours}\ndeploy_fit = " in package.files["flow.py"]
    assert package.files["flow.py"].endswith("import z  # the end\n")


def test_ids_of_other_tasks_are_not_taken() -> None:
    tail = get_tail(migrate(make_fit() + "def deploy_flow(): pass\nx = other(task_id='run_flow')\n"))
    assert 'task_id="deploy_flow_2"' in tail
    assert 'task_id="run_flow_2"' in tail


def test_another_encoding_is_refused() -> None:
    source = ("# coding: latin-1\n" + HEAD + make_fit()).encode("latin-1")
    with pytest.raises(MigrationError, match=r"old\.py:1:1: this file is written in iso-8859-1\. Save it as UTF-8"):
        migrate_dag_file(source, file_name="old.py", name="flow", load=lambda _: None)


def test_the_same_file_gives_the_same_files() -> None:
    text = make_fit() + MAKE_MODEL + "fit >> model\n"
    assert migrate(text).files == migrate(text).files
