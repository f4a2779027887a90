"""Endpoints, their configurations and what of a model they show: every member, through the engine's operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from tests.engine.fake_world import ROLE

if TYPE_CHECKING:
    from tests.engine.fake_world import World

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012"
TAGS = [{"Key": "team", "Value": "ml"}]
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


def on_instances(model: str = "m", **rest: Any) -> dict[str, Any]:
    return {"VariantName": "all", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2, **rest}


def configure(world: World, name: str, *variants: dict[str, Any], **rest: Any) -> None:
    request = {"EndpointConfigName": name, "ProductionVariants": list(variants), **rest}
    assert world.engine.call("CreateEndpointConfig", request) == {
        "EndpointConfigArn": f"{PREFIX}:endpoint-config/{name}"
    }


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if not key.endswith("Time")}


@pytest.fixture
def models(world: World) -> World:
    """A model of one container, and one of three, the second of which has its image from a package."""
    formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    specification = {"Containers": [{"Image": "second"}], **formats}
    world.engine.call("CreateModelPackage", {"ModelPackageName": "p", "InferenceSpecification": specification})
    for name, containers in (
        ("m", {"PrimaryContainer": {"Image": "one"}}),
        ("chain", {"Containers": [{"Image": "first"}, {"ModelPackageName": "p"}, {"Image": "last"}]}),
    ):
        world.engine.call("CreateModel", {"ModelName": name, "ExecutionRoleArn": ROLE, **containers})
    return world


@pytest.mark.parametrize(
    ("variant", "shown"),
    [
        pytest.param(
            on_instances(),
            {
                "DeployedImages": [{"SpecifiedImage": "one"}],
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 2,
                "DesiredInstanceCount": 2,
            },
            id="on instances",
        ),
        pytest.param(
            {"VariantName": "all", "ModelName": "chain", "ServerlessConfig": SERVERLESS, "InitialVariantWeight": 0.25},
            {
                "DeployedImages": [{"SpecifiedImage": "first"}, {"SpecifiedImage": "last"}],
                "CurrentWeight": 0.25,
                "DesiredWeight": 0.25,
                "CurrentServerlessConfig": SERVERLESS,
            },
            id="serverless",
        ),
        pytest.param(
            {"VariantName": "all", "InitialInstanceCount": 0, "InitialVariantWeight": 0.0},
            {
                "DeployedImages": [],
                "CurrentWeight": 0.0,
                "DesiredWeight": 0.0,
                "CurrentInstanceCount": 0,
                "DesiredInstanceCount": 0,
            },
            id="none yet, for components",
        ),
    ],
)
def test_a_variant_shows_what_its_configuration_says(
    models: World, variant: dict[str, Any], shown: dict[str, Any]
) -> None:
    configure(models, "c", variant)
    models.engine.call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})
    described = models.engine.call("DescribeEndpoint", {"EndpointName": "e"})
    assert described["ProductionVariants"] == [{"VariantName": "all", **shown}]


def test_an_endpoint_has_its_configurations_members_and_an_update_replaces_them(models: World) -> None:
    call = models.engine.call
    asynchronous = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
    explainer = {"ClarifyExplainerConfig": {"EnableExplanations": "`true`"}}
    configure(models, "c", on_instances(), AsyncInferenceConfig=asynchronous, ExplainerConfig=explainer, Tags=TAGS)
    configure(models, "d", on_instances("chain", InitialInstanceCount=3))
    arn = f"{PREFIX}:endpoint/e"
    made = call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c", "Tags": TAGS})
    assert made == {"EndpointArn": arn}
    described = call("DescribeEndpoint", {"EndpointName": "e"})
    (variant,) = described.pop("ProductionVariants")
    assert variant["CurrentInstanceCount"] == 2
    assert described["CreationTime"] == described["LastModifiedTime"]
    assert without_times(described) == {
        "EndpointName": "e",
        "EndpointArn": arn,
        "EndpointConfigName": "c",
        "EndpointStatus": "InService",
        "AsyncInferenceConfig": asynchronous,
        "ExplainerConfig": explainer,
    }
    assert call("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "d"}) == {"EndpointArn": arn}
    updated = call("DescribeEndpoint", {"EndpointName": "e"})
    assert updated["CreationTime"] == described["CreationTime"] < updated["LastModifiedTime"]
    (variant,) = updated.pop("ProductionVariants")
    assert variant["DeployedImages"] == [{"SpecifiedImage": "first"}, {"SpecifiedImage": "last"}]
    assert variant["CurrentInstanceCount"] == 3
    assert without_times(updated) == {
        "EndpointName": "e",
        "EndpointArn": arn,
        "EndpointConfigName": "d",
        "EndpointStatus": "InService",
    }
    for kind in ("endpoint/e", "endpoint-config/c"):
        assert call("ListTags", {"ResourceArn": f"{PREFIX}:{kind}"})["Tags"] == TAGS


def test_a_configuration_is_described_as_it_was_made_and_both_are_listed(models: World) -> None:
    call = models.engine.call
    shadow = on_instances("chain", VariantName="shadow")
    configure(models, "c", on_instances(), ShadowProductionVariants=[shadow], KmsKeyId="key", Tags=TAGS)
    described = call("DescribeEndpointConfig", {"EndpointConfigName": "c"})
    assert without_times(described) == {
        "EndpointConfigName": "c",
        "EndpointConfigArn": f"{PREFIX}:endpoint-config/c",
        "ProductionVariants": [on_instances()],
        "ShadowProductionVariants": [shadow],
        "KmsKeyId": "key",
    }
    call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})
    (config,) = call("ListEndpointConfigs", {})["EndpointConfigs"]
    assert config == {key: described[key] for key in ("EndpointConfigName", "EndpointConfigArn", "CreationTime")}
    endpoint = call("DescribeEndpoint", {"EndpointName": "e"})
    (listed,) = call("ListEndpoints", {"StatusEquals": "InService"})["Endpoints"]
    names = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    assert listed == {key: endpoint[key] for key in names}
    assert call("ListEndpoints", {"StatusEquals": "Failed"}) == {"Endpoints": []}


def test_what_is_not_there_or_already_there_is_named(models: World) -> None:
    call = models.engine.call
    configure(models, "c", on_instances())
    call("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})

    def refused(operation: str, **request: Any) -> str:
        with pytest.raises(ServiceError) as caught:
            call(operation, request)
        assert caught.value.code == "ValidationException"
        return caught.value.message

    taken = "Cannot create already existing endpoint"
    config = {"EndpointConfigName": "n", "ProductionVariants": [on_instances()]}
    assert refused("CreateEndpoint", EndpointName="e", EndpointConfigName="c") == f'{taken} "{PREFIX}:endpoint/e".'
    assert refused("CreateEndpointConfig", **{**config, "EndpointConfigName": "c"}) == (
        f'{taken} configuration "{PREFIX}:endpoint-config/c".'
    )
    for members in ({"ProductionVariants": [on_instances("x")]}, {"ShadowProductionVariants": [on_instances("x")]}):
        assert refused("CreateEndpointConfig", **{**config, **members}) == f'Could not find model "{PREFIX}:model/x".'
    no_config = f'Could not find endpoint configuration "{PREFIX}:endpoint-config/x".'
    assert refused("CreateEndpoint", EndpointName="n", EndpointConfigName="x") == no_config
    assert refused("UpdateEndpoint", EndpointName="e", EndpointConfigName="x") == no_config
    assert refused("DeleteEndpointConfig", EndpointConfigName="x") == no_config
    for operation in ("DescribeEndpoint", "DeleteEndpoint"):
        assert refused(operation, EndpointName="x") == f'Could not find endpoint "{PREFIX}:endpoint/x".'
    call("DeleteEndpoint", {"EndpointName": "e"})
    call("DeleteEndpointConfig", {"EndpointConfigName": "c"})
    assert (call("ListEndpoints", {}), call("ListEndpointConfigs", {})) == ({"Endpoints": []}, {"EndpointConfigs": []})
