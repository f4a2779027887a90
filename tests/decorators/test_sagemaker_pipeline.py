"""``@task.sagemaker_pipeline`` in this process: what is compiled and deployed, and that what was deployed is run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.decorators.sagemaker_pipeline import sagemaker_pipeline_task
from airflow_sm_pipelines.deployment import deployer
from airflow_sm_pipelines.deployment.deployer import Deployment
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

if TYPE_CHECKING:
    from airflow_sm_pipelines.deployment.options import DeployOptions
    from tests.airflow_fakes import FakeSageMaker

pytestmark = pytest.mark.usefixtures("fake_is_aws", "xcoms", "no_pauses")

DEPTH = 3


def build(sagemaker_session: Any, role: str, depth: int = 2, params: Any = None) -> Any:
    return sagemaker_session, role, depth, params


def careless(sagemaker_session: Any) -> Any:
    return sagemaker_session, DEPTH


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[DeployOptions, Any]]:
    """What was deployed, and its provenance; a deployment makes version 1 of the fake's pipeline."""
    found: list[tuple[DeployOptions, Any]] = []

    class Deployer:
        def __init__(self, hook: Any, options: DeployOptions, *, provenance: Any, log: Any) -> None:
            found.append((options, provenance))
            self.name = str(options.pipeline_name)

        def deploy(self, *, check: Any) -> Deployment:
            check(None)
            return Deployment(self.name, f"arn:aws:sagemaker:us-east-1:1:pipeline/{self.name}", 1, "updated", "h", ())

    monkeypatch.setattr(deployer, "PipelineDeployer", Deployer)
    return found


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the scripts in a folder of the test's own."""
    monkeypatch.setenv("SM_PIPELINES_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(tmp_path: Path, *, function: Any = build, map_index: int = -1, **options: Any) -> tuple[Any, dict[str, Any]]:
    arguments = options.pop("arguments", {})
    with DAG("my_dag", schedule=None) as dag:
        usual = {"task_id": "train", "aws_conn_id": None, "requirements": ["sagemaker<3"]}
        task: Any = sagemaker_pipeline_task(function, **{**usual, **options})
        operator = task(**arguments).operator
    dag.fileloc = str(tmp_path / "dag.py")
    ti = FakeTaskInstance(task_id="train", map_index=map_index)
    context = make_context(ti, store=FakeTaskStateStore(), params={"a": 1})
    return operator.execute(context), ti.pushed


def test_the_function_is_deployed_with_its_arguments_and_its_version_is_run(
    fake: FakeSageMaker, deployed: Any, tmp_path: Path, own_cache: Path
) -> None:
    fake.add_pipeline("mine")
    role = "arn:aws:iam::123456789012:role/mine"
    result, pushed = run(
        tmp_path,
        arguments={"depth": 4},
        pipeline_name="mine",
        role_arn=role,
        description="of the pipeline",
        parameters={"MaxDepth": 5},
    )
    ((options, provenance),) = deployed
    script, _, name = options.pipeline.rpartition(":")
    assert name == "build"
    assert Path(script).parts[: len(own_cache.parts)] == own_cache.parts
    assert "def build(" in Path(script).read_text()
    assert "sagemaker<3" in Path(script).read_text()
    assert (options.folder, options.is_run_in_folder) == (str(tmp_path), True)
    assert options.config == {"depth": 4, "params": {"a": 1}}
    assert (options.pipeline_name, options.role_arn, options.description) == ("mine", role, "of the pipeline")
    assert (provenance.dag_id, provenance.task_id) == ("d", "train")

    ((_, execution),) = fake.executions.items()
    assert "RoleArn" not in execution.request
    assert execution.request["PipelineExecutionDescription"] != "of the pipeline"
    assert execution.request["PipelineVersionId"] == 1
    assert execution.request["PipelineParameters"] == [{"Name": "MaxDepth", "Value": "5"}]
    assert (result["pipeline_name"], result["status"]) == ("mine", "Succeeded")
    expected = {"action": "updated", "pipeline_arn": "arn:aws:sagemaker:us-east-1:1:pipeline/mine"}
    assert {**pushed, **expected} == pushed


@pytest.mark.parametrize(("map_index", "name"), [(-1, "my-dag-train"), (0, "my-dag-train-0"), (3, "my-dag-train-3")])
def test_without_a_name_the_pipeline_is_called_after_its_task_and_each_mapped_one_differs(
    fake: FakeSageMaker, deployed: Any, tmp_path: Path, map_index: int, name: str
) -> None:
    fake.add_pipeline(name)
    _, pushed = run(tmp_path, map_index=map_index, arguments={"depth": 1}, do_xcom_push=False)
    assert [options.pipeline_name for options, _ in deployed] == [name]
    assert pushed == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"requirements": None}, "needs the SDK that its function is written for: requirements="),
        ({"function": careless}, "uses 'DEPTH' from outside"),
        ({"arguments": {"depth": object()}}, "'depth'"),
        ({"on_stopped": "x"}, "on_stopped='x'"),
        ({"cache": "perhaps"}, "cache='perhaps'"),
        ({"parameters": 7}, "parameters=7"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_started(
    fake: FakeSageMaker, deployed: Any, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    fake.add_pipeline("my-dag-train")
    with pytest.raises(AirflowFailException, match=named):
        run(tmp_path, **options)
    assert fake.executions == {}


def test_an_interpreter_that_has_the_sdk_stands_for_requirements(
    fake: FakeSageMaker, deployed: Any, tmp_path: Path
) -> None:
    fake.add_pipeline("my-dag-train")
    run(tmp_path, requirements=None, interpreter=sys.executable)
    assert [options.interpreter for options, _ in deployed] == [sys.executable]
