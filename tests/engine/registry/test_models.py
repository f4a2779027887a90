"""Models and model packages: every member that is kept, and the containers of a model that names a package."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from airflow_sm_pipelines.engine.registry.models import add_group, add_model, add_model_package, find_containers
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.store import Store
from tests.engine.fake_world import ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.fake_world import World

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012"
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
TAGS = [{"Key": "team", "Value": "ml"}]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "engine.sqlite3")
    yield opened
    opened.close()


ARNS = ArnFactory("us-east-1", "123456789012")


def specification(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"InferenceSpecification": {"Containers": list(containers), "SupportedContentTypes": ["text/csv"]}}


def containers_of(store: Store, **members: Any) -> list[dict[str, Any]]:
    add_model(store, ARNS, {"ModelName": "m", "ExecutionRoleArn": ROLE, **members}, now=NOW)
    return find_containers(store, ARNS, "m")


def test_a_container_that_names_a_package_is_the_packages_with_the_containers_own_environment_on_top(
    store: Store,
) -> None:
    plain = {"Image": "second", "ModelDataUrl": "s3://bucket/b"}
    package = specification({"Image": "first", "Environment": {"A": "package", "B": "package"}}, plain)
    arn = add_model_package(store, ARNS, {"ModelPackageName": "p", **package}, now=NOW).arn
    given = {"ModelPackageName": arn, "Environment": {"A": "model", "C": "model"}}
    assert containers_of(store, Containers=[given, {"Image": "last"}]) == [
        {"Image": "first", "Environment": {"A": "model", "B": "package", "C": "model"}},
        {**plain, "Environment": {"A": "model", "C": "model"}},
        {"Image": "last"},
    ]


def test_a_package_may_be_of_a_group_and_needs_no_environment(store: Store) -> None:
    add_group(store, ARNS, {"ModelPackageGroupName": "g"}, now=NOW)
    arn = add_model_package(store, ARNS, {"ModelPackageGroupName": "g", **specification({"Image": "i"})}, now=NOW).arn
    assert containers_of(store, PrimaryContainer={"ModelPackageName": arn}) == [{"Image": "i", "Environment": {}}]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, f'Model "{PREFIX}:model/m" has no container with an image.'),
        ({"PrimaryContainer": {"ModelDataUrl": "s3://b/m"}}, f'Model "{PREFIX}:model/m" has no container with'),
        ({"PrimaryContainer": {"ModelPackageName": "x"}}, "ModelPackage x does not exist."),
    ],
    ids=["none", "no image", "no package"],
)
def test_a_model_that_nothing_can_serve_is_refused(store: Store, members: dict[str, Any], says: str) -> None:
    with pytest.raises(ServiceError) as refused:
        containers_of(store, **members)
    assert refused.value.message.startswith(says)


def test_a_model_is_described_and_listed_with_what_it_was_made_of(world: World) -> None:
    request = {
        "ModelName": "m",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Image": "i", "Environment": {"A": "1"}},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    }
    arn = f"{PREFIX}:model/m"
    assert world.engine.call("CreateModel", {**request, "Tags": TAGS}) == {"ModelArn": arn}
    described = world.engine.call("DescribeModel", {"ModelName": "m"})
    made = described["CreationTime"]
    assert described == {**request, "ModelArn": arn, "EnableNetworkIsolation": False, "CreationTime": made}
    assert world.engine.call("ListModels", {}) == {
        "Models": [{"ModelName": "m", "ModelArn": arn, "CreationTime": made}]
    }
    assert world.engine.call("ListTags", {"ResourceArn": arn})["Tags"] == TAGS
    world.engine.call("CreateModel", {**request, "ModelName": "n", "EnableNetworkIsolation": True})
    assert world.engine.call("DescribeModel", {"ModelName": "n"})["EnableNetworkIsolation"] is True


def test_a_package_is_described_and_listed_with_what_it_was_made_of_and_what_changed(world: World) -> None:
    call = world.engine.call
    call("CreateModelPackageGroup", {"ModelPackageGroupName": "g", "ModelPackageGroupDescription": "d", "Tags": TAGS})
    (group,) = call("ListModelPackageGroups", {})["ModelPackageGroupSummaryList"]
    assert (
        group.pop("CreationTime") == call("DescribeModelPackageGroup", {"ModelPackageGroupName": "g"})["CreationTime"]
    )
    assert group == {
        "ModelPackageGroupName": "g",
        "ModelPackageGroupArn": f"{PREFIX}:model-package-group/g",
        "ModelPackageGroupDescription": "d",
        "ModelPackageGroupStatus": "Completed",
    }
    given = {"ModelPackageDescription": "first", "CustomerMetadataProperties": {"a": "1", "b": "2"}} | specification(
        {"Image": "i"}
    )
    request = {**given, "ModelPackageGroupName": "g", "ModelApprovalStatus": "Approved", "ClientToken": "t" * 36}
    arn = call("CreateModelPackage", {**request, "Tags": TAGS})["ModelPackageArn"]
    assert arn == f"{PREFIX}:model-package/g/1"
    described = call("DescribeModelPackage", {"ModelPackageName": arn})
    kept = {
        **given,
        "ModelPackageArn": arn,
        "ModelPackageName": "g",
        "ModelPackageGroupName": "g",
        "ModelPackageVersion": 1,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "ModelApprovalStatus": "Approved",
        "CertifyForMarketplace": False,
        "CreatedBy": {},
        "CreationTime": described["CreationTime"],
    }
    assert described == kept
    (listed,) = call("ListModelPackages", {"ModelPackageGroupName": "g"})["ModelPackageSummaryList"]
    details = {*given, "ModelPackageStatusDetails", "CertifyForMarketplace", "CreatedBy"} - {"ModelPackageDescription"}
    assert listed == {key: value for key, value in kept.items() if key not in details}

    changes = {"ModelApprovalStatus": "Rejected", "ApprovalDescription": "no", "SourceUri": "s3://bucket/m"}
    metadata = {"CustomerMetadataProperties": {"c": "3"}, "CustomerMetadataPropertiesToRemove": ["a", "never there"]}
    more = [{"Name": "other", "Containers": [{"Image": "j"}]}]
    for _ in range(2):
        added = {"AdditionalInferenceSpecificationsToAdd": more}
        call("UpdateModelPackage", {"ModelPackageArn": arn, **changes, **metadata, **added})
    updated = call("DescribeModelPackage", {"ModelPackageName": arn})
    assert updated.pop("LastModifiedTime") > updated["CreationTime"]
    assert updated == {
        **kept,
        **changes,
        "CustomerMetadataProperties": {"b": "2", "c": "3"},
        "AdditionalInferenceSpecifications": more * 2,
        "LastModifiedBy": {},
    }
    for status, count in (("Rejected", 1), ("Approved", 0)):
        found = call("ListModelPackages", {"ModelPackageType": "Versioned", "ModelApprovalStatus": status})
        assert len(found["ModelPackageSummaryList"]) == count


def test_packages_are_listed_by_their_type_and_by_default_those_without_versions(world: World) -> None:
    call = world.engine.call
    call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"})
    call("CreateModelPackage", {"ModelPackageGroupName": "g"})
    call("CreateModelPackage", {"ModelPackageName": "alone", "CertifyForMarketplace": True})
    alone = call("DescribeModelPackage", {"ModelPackageName": "alone"})
    assert alone["CertifyForMarketplace"] is True
    assert "ModelApprovalStatus" not in alone

    def listed(**request: Any) -> list[str]:
        answer = call("ListModelPackages", request)["ModelPackageSummaryList"]
        return [one["ModelPackageArn"].rpartition("model-package/")[2] for one in answer]

    assert (listed(), listed(ModelPackageType="Unversioned")) == (["alone"], ["alone"])
    assert listed(ModelPackageType="Versioned") == ["g/1"]
    assert listed(ModelPackageType="Both") == ["alone", "g/1"]
    with pytest.raises(ServiceError, match=f"Model Package already exists: {PREFIX}:model-package/alone"):
        call("CreateModelPackage", {"ModelPackageName": "alone"})
    with pytest.raises(ServiceError, match=f"Model Package Group already exists: {PREFIX}:model-package-group/g"):
        call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"})
