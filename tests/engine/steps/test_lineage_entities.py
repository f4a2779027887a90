"""Lineage steps, and the operations on what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError

if TYPE_CHECKING:
    from tests.engine.fake_world import World

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
EXECUTION = {"Get": "Execution.PipelineExecutionId"}


def lineage(**arguments: Any) -> dict[str, Any]:
    return {"Name": "Note", "Type": "Lineage", "Arguments": arguments}


def whole_step() -> dict[str, Any]:
    action = {"ActionName": EXECUTION, "ActionType": "Evaluation", "Source": {"SourceUri": "s3://b/model"}}
    context = {"ContextName": "runs", "ContextType": "PipelineExecution", "Source": {"SourceUri": "u"}}
    artifact = {"ArtifactName": "report", "ArtifactType": "Report", "Source": {"SourceUri": "s3://b/report"}}
    named = {"Source": {"Name": "report", "Type": "Artifact"}, "Destination": {"Name": EXECUTION, "Type": "Action"}}
    by_arn = {"Source": {"Arn": f"{ARN}:model-package/g/1"}, "Destination": {"Name": "runs", "Type": "Context"}}
    return lineage(
        Actions=[action],
        Contexts=[context],
        Artifacts=[artifact],
        Associations=[{**named, "AssociationType": "ContributedTo"}, by_arn],
    )


def test_a_step_makes_entities_and_joins_them(world: World) -> None:
    arn, status = world.run([whole_step()])
    assert status == "Succeeded", world.steps(arn)
    made = world.steps(arn)["Note"]["Metadata"]["Lineage"]
    action = f"{ARN}:action/{arn.rpartition('/')[2]}"
    assert made["ActionArns"] == {arn.rpartition("/")[2]: action}
    assert made["ContextArns"] == {"runs": f"{ARN}:context/runs"}
    report = made["ArtifactArns"]["report"]
    assert made["Associations"] == [
        {"SourceArn": report, "DestinationArn": action},
        {"SourceArn": f"{ARN}:model-package/g/1", "DestinationArn": f"{ARN}:context/runs"},
    ]
    call = world.engine.call
    (found,) = call("ListAssociations", {"SourceArn": report})["AssociationSummaries"]
    assert (found["SourceName"], found["SourceType"], found["DestinationType"], found["AssociationType"]) == (
        "report",
        "Report",
        "Evaluation",
        "ContributedTo",
    )
    (artifact,) = call("ListArtifacts", {"SourceUri": "s3://b/report"})["ArtifactSummaries"]
    assert artifact["ArtifactArn"] == report
    assert call("ListArtifacts", {"SourceUri": "s3://b/other"})["ArtifactSummaries"] == []


def test_an_association_with_what_is_not_there_fails_the_step_and_leaves_nothing(world: World) -> None:
    step = whole_step()
    step["Arguments"]["Associations"][0]["Source"]["Name"] = "repord"
    arn, status = world.run([step])
    assert status == "Failed"
    assert (
        "the source of an association is the Artifact 'repord', and there is none"
        in (world.steps(arn)["Note"]["FailureReason"])
    )
    assert world.engine.call("ListContexts", {})["ContextSummaries"] == []


def test_an_entity_is_changed_and_deleted(world: World) -> None:
    call = world.engine.call
    given = {"ActionName": "a", "ActionType": "t", "Source": {"SourceUri": "u"}, "Properties": {"k": "v", "l": "w"}}
    assert call("CreateAction", given) == {"ActionArn": f"{ARN}:action/a"}
    with pytest.raises(ServiceError, match="must be unique"):
        call("CreateAction", given)
    call("UpdateAction", {"ActionName": "a", "Status": "Completed", "PropertiesToRemove": ["k"]})
    described = call("DescribeAction", {"ActionName": "a"})
    assert (described["Status"], described["Properties"]) == ("Completed", {"l": "w"})
    call("DeleteAction", {"ActionName": "a"})
    with pytest.raises(ServiceError, match="does not exist"):
        call("DescribeAction", {"ActionName": "a"})


def test_an_association_ends(world: World) -> None:
    call, pair = world.engine.call, {"SourceArn": f"{ARN}:artifact/a", "DestinationArn": f"{ARN}:action/b"}
    assert [call("AddAssociation", pair), call("AddAssociation", pair)] == [pair, pair]
    assert len(call("ListAssociations", {})["AssociationSummaries"]) == 1
    call("DeleteAssociation", pair)
    with pytest.raises(ServiceError, match="No association leads"):
        call("DeleteAssociation", pair)
