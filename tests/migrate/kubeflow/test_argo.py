"""Workflows of Argo as KFP 1 compiled them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import ChoiceNode, Migration, PipelineStepNode, TryNode
from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline
from airflow_sm_pipelines.migrate.workflow import iter_nodes
from tests.migrate.kubeflow.pipelines import make_files

SAGEMAKER = "public.ecr.aws/kubeflow-on-aws/aws-sagemaker-kfp-components:1.1.2"


def container(name: str, inputs: str = "", output: str = "", **members: Any) -> dict[str, Any]:
    """A template with a container."""
    body: dict[str, Any] = {"image": "python:3.7", "command": ["sh", "-c"], "args": ["echo > /tmp/out"], **members}
    template: dict[str, Any] = {"name": name, "container": body}
    template["inputs"] = {"parameters": [{"name": one} for one in inputs.split()]}
    if output:
        template["outputs"] = {"parameters": [{"name": output, "valueFrom": {"path": "/tmp/out"}}]}
    return template


def dag(name: str, *tasks: dict[str, Any], inputs: str = "") -> dict[str, Any]:
    """A template with a graph."""
    return {
        "name": name,
        "inputs": {"parameters": [{"name": one} for one in inputs.split()]},
        "dag": {"tasks": list(tasks)},
    }


def task(name: str, after: str = "", **members: Any) -> dict[str, Any]:
    """A task that calls the template of its own name."""
    given = [{"name": key.replace("_", "-"), "value": value} for key, value in members.pop("given", {}).items()]
    return {
        "name": name,
        "template": name,
        "dependencies": after.split(),
        "arguments": {"parameters": given},
        **members,
    }


def read(*templates: dict[str, Any], parameters: dict[str, str] | None = None, **spec: Any) -> Migration:
    """The migration of a workflow whose first template is the entrypoint."""
    arguments = {"parameters": [{"name": name, "value": value} for name, value in (parameters or {}).items()]}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "old-"},
        "spec": {
            "entrypoint": templates[0]["name"],
            "templates": list(templates),
            "arguments": arguments,
            **spec,
        },
    }
    (held,) = find_pipelines(json.dumps(document).encode(), name="old.yaml")
    return read_pipeline(held, name="old", origin="old.yaml")


def test_outputs_conditions_and_exit_task() -> None:
    output = "{{tasks.flip.outputs.parameters.flip-out}}"
    migration = read(
        dag("main", task("flip"), task("say", "flip", when=f'"{output}" == "heads"', given={"flip_out": output})),
        container("flip", output="flip-out"),
        container("say", "flip-out", args=["echo {{inputs.parameters.flip-out}}"]),
        container("end"),
        onExit="end",
    )
    (node,) = (one for one in migration.workflow.nodes if isinstance(one, TryNode))
    assert [type(one) for one in node.nodes] == [PipelineStepNode, ChoiceNode]
    assert make_files(migration).is_complete


def test_a_loop_gives_the_fields_of_its_items() -> None:
    migration = read(
        dag("main", task("say", withItems=[{"a": 1}, {"a": 2}], given={"x": "n={{item.a}}"})),
        container("say", "x", args=["echo {{inputs.parameters.x}}"]),
    )
    steps = [one for one in migration.workflow.nodes if isinstance(one, PipelineStepNode)]
    arguments = [one.arguments["AppSpecification"]["ContainerArguments"] for one in steps]  # type: ignore[index, call-overload]
    assert arguments == [["echo n=1"], ["echo n=2"]]
    assert make_files(migration).is_complete


def flags(**values: str) -> list[str]:
    """The arguments of a SageMaker component."""
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def test_sagemaker_components_become_native_steps() -> None:
    channels = '[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://{{inputs.parameters.bucket}}/train"}}}]'
    train = flags(
        region="us-east-1",
        role="{{inputs.parameters.role}}",
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1",
        hyperparameters='{"k": 10, "feature_dim": "784"}',
        channels=channels,
        instance_type="ml.m5.xlarge",
        instance_count="{{inputs.parameters.count}}",
        volume_size="50",
        model_artifact_path="s3://{{inputs.parameters.bucket}}/models",
        vpc_security_group_ids="sg-1,sg-2",
        vpc_subnets="subnet-1",
        network_isolation="True",
        spot_instance="False",
        max_wait_time="86400",
        max_run_time="3600",
        checkpoint_config="{}",
        tags='{"team": "a"}',
        model_artifact_url_output_path="/tmp/outputs/url/data",
    )
    url = "{{tasks.train.outputs.parameters.train-model_artifact_url}}"
    trained = container("train", "bucket role count", image=SAGEMAKER, command=["python3"])
    trained["container"]["args"] = ["train/src/sagemaker_training_component.py", *train]
    trained["outputs"] = {
        "parameters": [{"name": "train-model_artifact_url", "valueFrom": {"path": "/tmp/outputs/url/data"}}]
    }
    model = container("model", "train-model_artifact_url role", image=SAGEMAKER, command=["python3"])
    model["container"]["args"] = [
        "create_model.py",
        *flags(
            role="{{inputs.parameters.role}}",
            image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1",
            model_artifact_url="{{inputs.parameters.train-model_artifact_url}}",
            model_name="old-name",
        ),
    ]
    model["outputs"] = {"parameters": [{"name": "model-model_name", "valueFrom": {"path": "/tmp/outputs/n/data"}}]}
    deploy = container("deploy", "model-model_name", image=SAGEMAKER, command=["python3"])
    deploy["container"]["args"] = [
        "deploy.py",
        *flags(
            model_name_1="{{inputs.parameters.model-model_name}}",
            instance_type_1="ml.m5.large",
            initial_instance_count_1="1",
        ),
    ]
    own = "{{inputs.parameters.%s}}"
    migration = read(
        dag(
            "main",
            task("train", given={name: own % name for name in ("bucket", "role", "count")}),
            task("model", "train", arguments={"parameters": [
                {"name": "train-model_artifact_url", "value": url}, {"name": "role", "value": own % "role"}]}),
            task("deploy", "model", arguments={"parameters": [
                {"name": "model-model_name", "value": "{{tasks.model.outputs.parameters.model-model_name}}"}]}),
            inputs="bucket role count",
        ),
        trained,
        model,
        deploy,
        parameters={"bucket": "b", "role": "arn:aws:iam::123456789012:role/r", "count": "2"},
    )  # fmt: skip
    steps = {one.name: one for one in iter_nodes(migration.workflow.nodes) if isinstance(one, PipelineStepNode)}
    assert {name: one.type for name, one in steps.items()} == {
        "train": "Training",
        "model": "Model",
        "deploy-config": "EndpointConfig",
        "deploy": "Endpoint",
    }
    request: Any = steps["train"].arguments
    assert request["HyperParameters"] == {"k": "10", "feature_dim": "784"}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1"]}
    assert request["Tags"] == [{"Key": "team", "Value": "a"}]
    assert request["ResourceConfig"]["InstanceCount"] == {"Get": "Parameters.count"}
    uri = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert uri == {"Std:Join": {"On": "", "Values": ["s3://", {"Get": "Parameters.bucket"}, "/train"]}}
    primary: Any = steps["model"].arguments["PrimaryContainer"]
    assert primary["ModelDataUrl"] == {"Get": "Steps.train.ModelArtifacts.S3ModelArtifacts"}
    variants: Any = steps["deploy-config"].arguments["ProductionVariants"]
    assert variants[0]["ModelName"] == {"Get": "Steps.model.ModelName"}
    (count,) = (one for one in migration.workflow.parameters if one.name == "count")
    assert (count.type, count.default) == ("Integer", 2)
    package = make_files(migration)
    assert package.is_complete
    assert not any(package.findings.values())


def test_a_flag_that_a_run_gives_is_put_into_the_definition_and_an_empty_one_is_left_out() -> None:
    trained = container("train", "hyper subnets", image=SAGEMAKER, command=["python3"])
    own = "{{inputs.parameters.%s}}"
    trained["container"]["args"] = [
        "train.py",
        *flags(hyperparameters=own % "hyper", vpc_subnets=own % "subnets", model_artifact_path="s3://b/models"),
        *flags(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", instance_type="ml.m5.xlarge"),
        *flags(instance_count="1", volume_size="30", max_run_time="3600", role="arn:aws:iam::123456789012:role/r"),
    ]
    given = {"hyper": own % "hyper", "subnets": own % "subnets"}
    migration = read(
        dag("main", task("train", given=given), inputs="hyper subnets"),
        trained,
        parameters={"hyper": '{"k": "10"}', "subnets": ""},
    )
    package = make_files(migration)
    assert package.is_complete
    definition = json.loads(package.files["old.definition.json"])
    request = definition["Steps"][0]["Arguments"]
    assert request["HyperParameters"].startswith("${hyper")
    assert "macros.json.loads(params.hyper)" in package.files["old.py"]
    assert "VpcConfig" not in request
    assert "--vpc_subnets is left out" in migration.records[0].reasons[0].text


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ({"entrypoint": "gone"}, "there is no template 'gone'"),
        ({"templates": "x"}, "has no templates"),
        ({"templates": [{"dag": {}}]}, "this template has no name"),
    ],
    ids=["entrypoint", "templates", "name"],
)
def test_what_argo_refuses_is_refused(member: dict[str, Any], problem: str) -> None:
    with pytest.raises(MigrationError, match=problem):
        read(dag("main", task("a")), container("a"), **member)


def test_a_workflow_of_the_second_backend_is_refused() -> None:
    with pytest.raises(MigrationError, match="give the pipeline's own YAML"):
        read(dag("main"), container("system-dag-driver"))


def test_variables_and_volumes_of_the_cluster_are_given_as_kfp_2_gives_them() -> None:
    mounted = container("a", args=["run"])
    mounted["container"] |= {
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "key"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "volumeMounts": [{"name": "keys", "mountPath": "/keys"}, {"name": "room", "mountPath": "/room"}],
    }
    volumes = [{"name": "keys", "secret": {"secretName": "api"}}, {"name": "room", "emptyDir": {}}]
    migration = read(dag("main", task("a")), mounted, volumes=volumes)
    assert make_files(migration).is_complete
    (description,) = json.loads(migration.files["old.components.json"]).values()
    assert [(one["name"]["literal"], one["env"], one["folder"]) for one in description["entries"]] == [
        ("api", {"TOKEN": "token"}, ""),
        ("api", {}, "/keys"),
    ]
    assert description["folders"] == ["/room"]
    assert "POD" in description["env"]
    shared = [{"name": "keys", "persistentVolumeClaim": {"claimName": "c"}}, volumes[1]]
    assert not make_files(read(dag("main", task("a")), mounted, volumes=shared)).is_complete
