"""The API operations: answers, errors, idempotency, paging. Whole executions are in ``driver/test_runner``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from tests.engine.fake_world import ROLE, Gate, definition_text, processing, run_until_stopped, wait_until

if TYPE_CHECKING:
    from tests.engine.fake_world import World

TOKEN = "t" * 32
PIPELINE_ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/demo"
ONE = definition_text([processing("A")])
TWO = definition_text([processing("A"), processing("B")])


def refusal(world: World, operation: str, **request: Any) -> tuple[str, str]:
    """The code and message of a call that is refused."""
    with pytest.raises(ServiceError) as refused:
        world.engine.call(operation, request)
    return refused.value.code, refused.value.message


def update(world: World, **request: Any) -> dict[str, Any]:
    return world.engine.call("UpdatePipeline", {"PipelineName": "demo", **request})


def test_a_pipeline_is_described_as_it_was_created(world: World) -> None:
    world.create(
        [processing("A")],
        PipelineDescription="text",
        Tags=[{"Key": "team", "Value": "ml"}],
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
        PipelineVersionAliases=["live"],
    )
    described = world.engine.call("DescribePipeline", {"PipelineName": PIPELINE_ARN})
    assert described["PipelineArn"] == PIPELINE_ARN
    assert described["PipelineDefinition"] == ONE
    assert described["PipelineDisplayName"] == "demo"
    assert described["PipelineStatus"] == "Active"
    assert described["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}
    assert described["PipelineVersionAliases"] == ["live"]
    assert "LastRunTime" not in described
    assert world.engine.call("ListTags", {"ResourceArn": PIPELINE_ARN})["Tags"] == [{"Key": "team", "Value": "ml"}]


def test_a_second_pipeline_of_the_same_name_is_refused_in_the_services_words(world: World) -> None:
    world.create([processing("A")])
    assert refusal(world, "CreatePipeline", PipelineName="demo", RoleArn=ROLE, PipelineDefinition=ONE) == (
        "ValidationException",
        "Pipeline names must be unique within an AWS account and region. Pipeline with name (demo) already exists.",
    )


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        pytest.param("not json", "Unable to parse pipeline definition. ", id="not JSON"),
        pytest.param(definition_text([processing("A"), processing("A")]), "'A'", id="duplicate names"),
        pytest.param(definition_text([processing("A", depends_on=["Z"])]), "'Z'", id="unknown reference"),
    ],
)
def test_a_definition_that_cannot_be_parsed_is_refused_and_leaves_nothing(
    world: World, definition: str, message: str
) -> None:
    code, text = refusal(world, "CreatePipeline", PipelineName="demo", RoleArn=ROLE, PipelineDefinition=definition)
    assert code == "ValidationException"
    assert text.startswith("Unable to parse pipeline definition. ")
    assert message in text
    assert world.engine.call("ListPipelines", {}) == {"PipelineSummaries": []}


def test_a_definition_may_stand_in_s3(world: World) -> None:
    world.objects["s3://code/demo"] = ONE.encode()
    location = {"Bucket": "code", "ObjectKey": "demo"}
    request = {"PipelineName": "demo", "RoleArn": ROLE, "PipelineDefinitionS3Location": location}
    world.engine.call("CreatePipeline", request)
    assert world.engine.call("DescribePipeline", {"PipelineName": "demo"})["PipelineDefinition"] == ONE
    missing = {**request, "PipelineName": "other", "PipelineDefinitionS3Location": {"Bucket": "code", "ObjectKey": "x"}}
    assert "s3://code/x cannot be read" in refusal(world, "CreatePipeline", **missing)[1]


def test_an_update_makes_a_version_only_if_the_definition_says_something_else(world: World) -> None:
    world.create([processing("A")])
    respelled = ONE.replace(", ", " ,  ")
    assert update(world, PipelineDefinition=respelled, PipelineDescription="new")["PipelineVersionId"] == 1
    assert update(world, PipelineDefinition=TWO)["PipelineVersionId"] == 2
    versions = world.engine.call("ListPipelineVersions", {"PipelineName": "demo"})["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in versions] == [2, 1]
    described = world.engine.call("DescribePipeline", {"PipelineName": "demo", "PipelineVersionId": 1})
    assert described["PipelineDefinition"] == ONE
    assert described["PipelineDescription"] == "new"


def test_executions_start_from_the_version_or_alias_named_and_keep_its_definition(world: World) -> None:
    world.create([processing("A")], PipelineVersionAliases=["live"])
    update(world, PipelineDefinition=TWO)
    for request, steps in (({}, 2), ({"PipelineVersionId": 1}, 1), ({"PipelineVersionAlias": "live"}, 1)):
        arn = world.start(**request)
        assert world.finish(arn) == "Succeeded"
        assert len(world.steps(arn)) == steps
    definition = world.engine.call("DescribePipelineDefinitionForExecution", {"PipelineExecutionArn": arn})
    assert definition["PipelineDefinition"] == ONE
    listed = world.engine.call("ListPipelineExecutions", {"PipelineName": "demo", "PipelineVersionAlias": "live"})
    assert len(listed["PipelineExecutionSummaries"]) == 2
    both = refusal(
        world, "StartPipelineExecution", PipelineName="demo", PipelineVersionId=1, PipelineVersionAlias="live"
    )
    assert both[0] == "ValidationException"
    assert (
        refusal(world, "StartPipelineExecution", PipelineName="demo", PipelineVersionAlias="x")[0] == "ResourceNotFound"
    )


def test_an_alias_belongs_to_one_version_until_it_is_removed_there(world: World) -> None:
    world.create([processing("A")], PipelineVersionAliases=["live"])
    update(world, PipelineDefinition=TWO)

    def change(version: int, **operations: list[str]) -> dict[str, Any]:
        request = {
            "PipelineArn": PIPELINE_ARN,
            "PipelineVersionId": version,
            "PipelineVersionAliasOperations": operations,
        }
        return world.engine.call("UpdatePipelineVersion", request)

    with pytest.raises(ServiceError, match="assigned to version 1") as refused:
        change(2, Add=["live"])
    assert refused.value.code == "ConflictException"
    with pytest.raises(ServiceError, match="not digits only"):
        change(2, Add=["42"])
    with pytest.raises(ServiceError, match="does not have the aliases"):
        change(2, Remove=["live"])
    with pytest.raises(ServiceError, match="at most 10"):
        change(1, Add=[f"a{number}" for number in range(10)])
    change(1, Remove=["live"])
    change(2, Add=["live"])
    described = world.engine.call("DescribePipeline", {"PipelineName": "demo", "PipelineVersionAlias": "live"})
    assert described["PipelineDefinition"] == TWO
    with pytest.raises(ServiceError, match="only when the update changes"):
        update(world, PipelineDefinition=TWO, PipelineVersionAliases=["next"])


def test_the_same_token_with_the_same_request_is_the_same_execution_and_with_another_a_conflict(world: World) -> None:
    world.create([processing("A")], parameters=[{"Name": "P", "Type": "String", "DefaultValue": "x"}])
    first = world.start(ClientRequestToken=TOKEN)
    assert world.start(ClientRequestToken=TOKEN) == first
    assert world.finish(first) == "Succeeded"
    assert world.start(ClientRequestToken=TOKEN) == first
    assert world.start(ClientRequestToken="u" * 32) != first
    code, message = refusal(
        world,
        "StartPipelineExecution",
        PipelineName="demo",
        ClientRequestToken=TOKEN,
        PipelineParameters=[{"Name": "P", "Value": "y"}],
    )
    assert code == "ConflictException"
    assert TOKEN in message


def test_a_refused_request_does_not_use_up_its_token(world: World) -> None:
    world.create([processing("A")], parameters=[{"Name": "P", "Type": "Integer"}])
    assert (
        refusal(world, "StartPipelineExecution", PipelineName="demo", ClientRequestToken=TOKEN)[0]
        == "ValidationException"
    )
    world.start(ClientRequestToken=TOKEN, PipelineParameters=[{"Name": "P", "Value": "1"}])


def test_parameters_are_typed_and_all_findings_told_at_once(world: World) -> None:
    parameters = [
        {"Name": "Depth", "Type": "Integer", "DefaultValue": 5},
        {"Name": "Data", "Type": "String"},
        {"Name": "Flag", "Type": "Boolean", "DefaultValue": False},
    ]
    world.create([processing("A")], parameters=parameters)
    given = [{"Name": "Depth", "Value": "deep"}, {"Name": "Dta", "Value": "x"}]
    code, message = refusal(world, "StartPipelineExecution", PipelineName="demo", PipelineParameters=given)
    assert code == "ValidationException"
    assert all(name in message for name in ("Depth", "Dta", "Data"))
    empty = [{"Name": "Data", "Value": ""}]
    assert refusal(world, "StartPipelineExecution", PipelineName="demo", PipelineParameters=empty) == (
        "ValidationException",
        '[string "" is too short (length: 0, required minimum: 1)]',
    )
    arn = world.start(PipelineParameters=[{"Name": "Data", "Value": "s3://b/x"}])
    listed = world.engine.call("ListPipelineParametersForExecution", {"PipelineExecutionArn": arn, "MaxResults": 2})
    assert listed["PipelineParameters"] == [{"Name": "Depth", "Value": "5"}, {"Name": "Data", "Value": "s3://b/x"}]
    rest = {"PipelineExecutionArn": arn, "MaxResults": 2, "NextToken": listed["NextToken"]}
    assert world.engine.call("ListPipelineParametersForExecution", rest) == {
        "PipelineParameters": [{"Name": "Flag", "Value": "False"}]
    }


def test_a_pipeline_with_a_running_execution_is_not_deleted_and_later_goes_with_all_of_them(world: World) -> None:
    gate = Gate()
    world.behaviours["A"] = gate
    world.create([processing("A")], ClientRequestToken=TOKEN)
    arn = world.start(ClientRequestToken=TOKEN)
    assert refusal(world, "DeletePipeline", PipelineName="demo")[0] == "ConflictException"
    gate.opened.set()
    world.finish(arn)
    assert world.engine.call("DeletePipeline", {"PipelineName": "demo"}) == {"PipelineArn": PIPELINE_ARN}
    assert refusal(world, "DescribePipelineExecution", PipelineExecutionArn=arn)[0] == "ResourceNotFound"
    assert refusal(world, "DescribePipeline", PipelineName="demo") == (
        "ResourceNotFound",
        f"Pipeline '{PIPELINE_ARN}' does not exist.",
    )
    world.create([processing("A")], ClientRequestToken=TOKEN)
    assert world.start(ClientRequestToken=TOKEN) != arn


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["Name", "CreationTime"])
def test_pages_of_a_list_hold_everything_once_in_order(world: World, sort_by: str, order: str) -> None:
    names = [f"p{number:02d}" for number in range(7)]
    for name in names:
        world.create([processing("A")], name=name)
    request = {"SortBy": sort_by, "SortOrder": order, "MaxResults": 3}
    found: list[str] = []
    sizes = []
    while True:
        answer = world.engine.call("ListPipelines", request)
        sizes.append(len(answer["PipelineSummaries"]))
        found += [summary["PipelineName"] for summary in answer["PipelineSummaries"]]
        if "NextToken" not in answer:
            break
        request = {**request, "NextToken": answer["NextToken"]}
    assert sizes == [3, 3, 1]
    assert found == (names if order == "Ascending" else names[::-1])


def test_a_token_of_another_request_or_of_nobody_is_refused(world: World) -> None:
    for name in ("a", "b"):
        world.create([processing("A")], name=name)
    token = world.engine.call("ListPipelines", {"MaxResults": 1})["NextToken"]
    assert refusal(world, "ListPipelines", MaxResults=1, SortBy="Name", NextToken=token)[0] == "ValidationException"
    assert refusal(world, "ListPipelines", NextToken="nonsense")[0] == "ValidationException"


def test_lists_filter_by_name_and_time(world: World) -> None:
    for name in ("train-a", "train-b", "TRAIN"):
        world.create([processing("A")], name=name)
    found = world.engine.call("ListPipelines", {"PipelineNamePrefix": "train", "SortBy": "Name"})
    assert [summary["PipelineName"] for summary in found["PipelineSummaries"]] == ["train-b", "train-a"]
    latest = max(
        summary["CreationTime"] for summary in world.engine.call("ListPipelines", {})["PipelineSummaries"]
    ) + timedelta(milliseconds=1)
    assert world.engine.call("ListPipelines", {"CreatedAfter": latest})["PipelineSummaries"] == []
    assert len(world.engine.call("ListPipelines", {"CreatedBefore": latest})["PipelineSummaries"]) == 3


def test_executions_and_steps_are_listed_newest_first_in_pages(world: World) -> None:
    world.create([processing("A"), processing("B", depends_on=["A"]), processing("C", depends_on=["B"])])
    arns = [world.start(PipelineExecutionDisplayName=f"run-{number}") for number in range(3)]
    for arn in arns:
        world.finish(arn)
    listed = world.engine.call("ListPipelineExecutions", {"PipelineName": "demo", "SortBy": "PipelineExecutionArn"})
    assert [summary["PipelineExecutionArn"] for summary in listed["PipelineExecutionSummaries"]] == sorted(arns)[::-1]
    steps = world.engine.call("ListPipelineExecutionSteps", {"PipelineExecutionArn": arns[0], "MaxResults": 2})
    assert [step["StepName"] for step in steps["PipelineExecutionSteps"]] == ["C", "B"]
    more = {"PipelineExecutionArn": arns[0], "MaxResults": 2, "NextToken": steps["NextToken"]}
    assert [
        step["StepName"] for step in world.engine.call("ListPipelineExecutionSteps", more)["PipelineExecutionSteps"]
    ] == ["A"]


def test_an_execution_can_be_renamed_and_widened_while_it_runs(world: World) -> None:
    gates = {"A": Gate(), "B": Gate()}
    world.behaviours.update(gates)
    world.create([processing("A"), processing("B")])
    arn = world.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert gates["A"].entered.wait(10)
    assert not gates["B"].entered.is_set()
    world.engine.call(
        "UpdatePipelineExecution",
        {
            "PipelineExecutionArn": arn,
            "PipelineExecutionDisplayName": "renamed",
            "ParallelismConfiguration": {"MaxParallelExecutionSteps": 2},
        },
    )
    assert gates["B"].entered.wait(10)
    for gate in gates.values():
        gate.opened.set()
    assert world.finish(arn) == "Succeeded"
    assert world.describe(arn)["PipelineExecutionDisplayName"] == "renamed"


def test_a_job_a_client_creates_runs_and_can_be_stopped_listed_and_deleted(world: World) -> None:
    world.behaviours["mine"] = run_until_stopped
    request = {**processing("x")["Arguments"], "ProcessingJobName": "mine", "Tags": [{"Key": "a", "Value": "b"}]}
    arn = world.engine.call("CreateProcessingJob", request)["ProcessingJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:processing-job/mine"
    assert "mine" in refusal(world, "CreateProcessingJob", **request)[1]
    wait_until(lambda: bool(world.started))
    assert refusal(world, "DeleteProcessingJob", ProcessingJobName="mine")[0] == "ValidationException"
    world.engine.call("StopProcessingJob", {"ProcessingJobName": "mine"})

    def describe() -> dict[str, Any]:
        return world.engine.call("DescribeProcessingJob", {"ProcessingJobName": "mine"})

    wait_until(lambda: describe()["ProcessingJobStatus"] == "Stopped")
    assert not [key for key in describe() if key.startswith("$") or key == "Tags"]
    assert world.engine.call("ListTags", {"ResourceArn": arn})["Tags"] == [{"Key": "a", "Value": "b"}]
    listed = world.engine.call("ListProcessingJobs", {"NameContains": "in", "StatusEquals": "Stopped"})
    assert [summary["ProcessingJobName"] for summary in listed["ProcessingJobSummaries"]] == ["mine"]
    world.engine.call("DeleteProcessingJob", {"ProcessingJobName": "mine"})
    missing = ("ValidationException", "Requested resource not found.")
    assert refusal(world, "DescribeProcessingJob", ProcessingJobName="mine") == missing


def test_model_packages_count_up_in_their_group_and_numbers_are_never_given_twice(world: World) -> None:
    call = world.engine.call
    assert "does not exist" in refusal(world, "CreateModelPackage", ModelPackageGroupName="g")[1]
    assert refusal(world, "CreateModelPackage")[1] == "Missing ARN."
    both = {"ModelPackageGroupName": "g", "ModelPackageName": "p"}
    assert "Cannot determine which one to use." in refusal(world, "CreateModelPackage", **both)[1]
    call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"})
    arns = [call("CreateModelPackage", {"ModelPackageGroupName": "g"})["ModelPackageArn"] for _ in range(3)]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2", "3"]
    described = call("DescribeModelPackage", {"ModelPackageName": arns[0]})
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    call("UpdateModelPackage", {"ModelPackageArn": arns[0], "ModelApprovalStatus": "Approved"})
    approved = call("ListModelPackages", {"ModelPackageGroupName": "g", "ModelApprovalStatus": "Approved"})
    assert [summary["ModelPackageArn"] for summary in approved["ModelPackageSummaryList"]] == arns[:1]
    assert refusal(world, "DeleteModelPackageGroup", ModelPackageGroupName="g")[0] == "ConflictException"
    call("DeleteModelPackage", {"ModelPackageName": arns[2]})
    again = call("CreateModelPackage", {"ModelPackageGroupName": "g"})["ModelPackageArn"]
    assert again.endswith("g/4")
    for arn in (*arns[:2], again):
        call("DeleteModelPackage", {"ModelPackageName": arn})
    call("DeleteModelPackageGroup", {"ModelPackageGroupName": "g"})
    assert call("ListModelPackageGroups", {}) == {"ModelPackageGroupSummaryList": []}


def test_models_are_created_listed_described_and_deleted(world: World) -> None:
    call = world.engine.call
    arn = call("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE})["ModelArn"]
    assert refusal(world, "CreateModel", ModelName="m")[0] == "ValidationException"
    assert call("DescribeModel", {"ModelName": "m"})["ModelArn"] == arn
    assert [model["ModelName"] for model in call("ListModels", {"NameContains": "m"})["Models"]] == ["m"]
    call("DeleteModel", {"ModelName": "m"})
    assert refusal(world, "DescribeModel", ModelName="m") == ("ValidationException", f'Could not find model "{arn}".')


def test_tags_are_added_overwritten_and_deleted(world: World) -> None:
    world.create([processing("A")])
    call = world.engine.call
    call("AddTags", {"ResourceArn": PIPELINE_ARN, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]})
    call("AddTags", {"ResourceArn": PIPELINE_ARN, "Tags": [{"Key": "a", "Value": "3"}]})
    call("DeleteTags", {"ResourceArn": PIPELINE_ARN, "TagKeys": ["b"]})
    assert call("ListTags", {"ResourceArn": PIPELINE_ARN}) == {"Tags": [{"Key": "a", "Value": "3"}]}
    assert world.engine.owns(PIPELINE_ARN)
    assert not world.engine.owns(PIPELINE_ARN + "x")
    assert refusal(world, "ListTags", ResourceArn=PIPELINE_ARN + "x")[0] == "ResourceNotFound"


def test_what_cannot_be_done_locally_yet_is_refused_and_says_so(world: World) -> None:
    world.create([processing("A")])
    code, message = refusal(world, "SendPipelineExecutionStepSuccess", CallbackToken="a" * 10)
    assert code == "ResourceNotFound"
    assert "a" * 10 in message


def test_every_pipeline_operation_of_the_api_is_answered(world: World) -> None:
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    expected = {name for name in model.operation_names if "Pipeline" in name}
    assert len(expected) == 18
    assert expected <= world.engine.operations
    assert world.engine.operations <= set(model.operation_names)
