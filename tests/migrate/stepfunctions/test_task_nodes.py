"""What ``.sync`` waits for, held against the models of the APIs that it asks."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

from airflow_sm_pipelines.migrate import CallNode
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import CallResource, read_resource
from tests.migrate.stepfunctions.machines import function, machine, package, read, task

INTEGRATIONS = (
    *("athena:startQueryExecution", "batch:submitJob", "codebuild:startBuild", "databrew:startJobRun", "ecs:runTask"),
    *("elasticmapreduce:addStep", "elasticmapreduce:createCluster", "elasticmapreduce:terminateCluster"),
    *("emr-containers:startJobRun", "emr-serverless:startJobRun", "glue:startJobRun", "mediaconvert:createJob"),
    *("sagemaker:createLabelingJob", "states:startExecution"),
)


def find_shape(shape: Any, path: str) -> Any:
    """The shape at a path with dots, or with capitals where the API has small letters."""
    for part in path.split("."):
        if part.isdigit() or part == "*":
            shape = shape.member
        else:
            shape = shape.members[part if part in shape.members else part[0].lower() + part[1:]]
    return shape


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_a_wait_asks_for_what_the_api_has(name: str) -> None:
    resource = read_resource(f"arn:aws:states:::{name}.sync")
    assert isinstance(resource, CallResource)
    assert resource.wait is not None
    model = botocore.session.get_session().get_service_model(resource.service)
    operations = {re.sub(r"\W|_", "", one).lower(): model.operation_model(one) for one in model.operation_names}
    start, look = (operations[one.replace("_", "")] for one in (resource.operation, resource.wait.operation))
    for argument, path in resource.wait.arguments.items():
        assert argument in look.input_shape.members
        known = {**start.input_shape.members, **getattr(start.output_shape, "members", {})}
        first, _, rest = path.partition(".")
        at = known[first if first in known else first[0].lower() + first[1:]]
        assert (find_shape(at, rest) if rest else at).type_name in ("string", "list")
    status = find_shape(look.output_shape, resource.wait.path)
    named = {*resource.wait.success, *resource.wait.failure}
    assert not status.enum or named <= set(status.enum)
    for path in (*map(tuple, resource.added.values()), resource.result):
        assert not path or find_shape(look.output_shape, ".".join(map(str, path)))
    if resource.wait.zero:
        assert find_shape(look.output_shape, resource.wait.zero).type_name == "integer"


def test_a_cluster_is_made_used_and_ended() -> None:
    emr = "arn:aws:states:::elasticmapreduce:"
    used = {"ClusterId.$": "$.cluster.ClusterId", "Step": {"Name": "s", "HadoopJarStep": {"Jar": "j"}}}
    document = machine(
        Make=task(f"{emr}createCluster.sync", {"Name": "c", "Instances": {}}, ResultPath="$.cluster", Next="Use"),
        Use=task(f"{emr}addStep.sync", used, ResultPath="$.step", Next="End"),
        End=task(f"{emr}terminateCluster.sync", {"ClusterId.$": "$.cluster.ClusterId"}),
    )
    assert package(document).is_complete
    made, step, end = read(document).workflow.nodes
    assert isinstance(made, CallNode)
    assert isinstance(step, CallNode)
    assert isinstance(end, CallNode)
    cluster = {"Get": "Tasks.Make.Cluster.Id"}
    assert (made.operation, step.operation, end.operation) == (
        "run_job_flow",
        "add_job_flow_steps",
        "terminate_job_flows",
    )
    assert step.arguments == {"JobFlowId": cluster, "Steps": [used["Step"]]}
    assert end.arguments == {"JobFlowIds": [cluster]}


def test_a_container_that_ends_badly_fails_its_task() -> None:
    run = task("arn:aws:states:::ecs:runTask.sync", {"Cluster": "c", "TaskDefinition": "t"}, Next="Tell")
    made = package(machine(Run=run, Tell=function(Parameters={"why.$": "$.StoppedReason"})))
    assert made.is_complete
    assert 'zero="Tasks.0.Containers.*.ExitCode"' in made.files["flow.py"]
    assert "ti.xcom_pull(task_ids='Run_end')['Tasks'][0]['StoppedReason']" in made.files["flow.py"]
