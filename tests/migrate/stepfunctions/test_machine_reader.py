"""What states become, and where each value of the document comes from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.migrate import (
    CallNode,
    ChoiceNode,
    LoopNode,
    Migration,
    OperatorNode,
    PipelineStepNode,
    TryNode,
    ValueNode,
    WaitNode,
    make_package,
)
from airflow_sm_pipelines.migrated_queries import query_jsonata
from tests.migrate.stepfunctions.machines import (
    ROLE,
    definition,
    function,
    machine,
    model,
    outcomes,
    package,
    read,
    sagemaker,
    task,
)
from tests.migrate.workflows import get

TRAINING: Any = {
    "TrainingJobName.$": "$$.Execution.Name",
    "AlgorithmSpecification": {"TrainingImage.$": "$.image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://${Bucket}/models"},
    "ResourceConfig": {"InstanceCount.$": "$.count", "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30},
    "RoleArn": ROLE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "HyperParameters.$": "$.hyper",
}


def test_jobs_of_sagemaker_are_steps_of_one_pipeline() -> None:
    made = package(
        machine(
            Train=sagemaker("createTrainingJob.sync", TRAINING, Next="Save"),
            Save=sagemaker(
                "createModel",
                {
                    "ModelName.$": "$.TrainingJobName",
                    "ExecutionRoleArn": ROLE,
                    "PrimaryContainer": {"Image": "i", "ModelDataUrl.$": "$.ModelArtifacts.S3ModelArtifacts"},
                },
                Next="Score",
            ),
            Score=sagemaker(
                "createTransformJob.sync",
                {
                    "TransformJobName.$": "$$.Execution.Name",
                    "ModelName.$": "$$.Execution.Name",
                    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/t"}}},
                    "TransformOutput": {"S3OutputPath": "s3://b/o"},
                    "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
                },
            ),
        ),
        defined=("Bucket=b",),
    )
    assert made.is_complete
    assert set(outcomes(made).values()) == {"translated"}
    train, save, score = definition(made)["Steps"]
    assert [one["Type"] for one in (train, save, score)] == ["Training", "Model", "Transform"]
    assert "TrainingJobName" not in train["Arguments"]
    assert train["Arguments"]["OutputDataConfig"] == {"S3OutputPath": "s3://b/models"}
    assert train["Arguments"]["HyperParameters"] == "${hyper}"
    assert save["Arguments"]["PrimaryContainer"]["ModelDataUrl"] == get("Steps.Train.ModelArtifacts.S3ModelArtifacts")
    # The transform job names the model by the text that named it, which is the training job's name as well.
    assert score["Arguments"]["ModelName"] == get("Steps.Save.ModelName")
    declared = {one["Name"]: one["Type"] for one in definition(made)["Parameters"]}
    assert declared == {"image": "String", "count": "Integer"}


def test_a_sample_gives_the_defaults() -> None:
    train = machine(Train=sagemaker("createTrainingJob.sync", TRAINING))
    made = package(train, sample={"image": "i", "count": 2, "hyper": {"a": "1"}, "unread": 1})
    source = made.files["flow.py"]
    for text in ('"image": Param("i")', '"count": Param(2)', '"hyper": Param({"a": "1"})', '"Bucket": Param()'):
        assert text in source
    assert "unread" not in source
    assert [one.code for one in made.migration.differences if "Bucket" in one.text] == ["ASL-PLACEHOLDER-001"]


def test_a_function_gets_the_document_and_gives_its_answer() -> None:
    found = read(machine(A=function(ResultPath="$.a", Next="B"), B=function(Next="C"), C=function(InputPath="$.deep")))
    payloads = [node.arguments["Payload"] for node in found.workflow.nodes if isinstance(node, CallNode)]
    merged = {"Std:Function": {"Name": "Merge", "Arguments": [get("Input"), {"a": get("Tasks.A.Payload")}]}}
    assert payloads == [get("Input"), merged, get("Tasks.B.Payload.deep")]


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ({"x.$": "$.a['b c'][0]"}, get("Input.a['b c'][0]")),
        ({"x.$": "$.a.[0].b"}, get("Input.a[0].b")),
        ({"x.$": "$$.Execution.Input.a"}, get("Input.a")),
        ({"x.$": "$$.Execution.Id"}, get("Execution.PipelineExecutionId")),
        ({"x.$": "$$.State.Name"}, "A"),
        ({"x.$": "States.Format('{}-{}', $.a, 'b')"}, {"Std:Join": {"On": "", "Values": [get("Input.a"), "-b"]}}),
        ({"x.$": "States.Array($.a, 1, States.UUID())"}, None),
        ({"x.$": "States.JsonToString(States.Array(1, 'b'))"}, '[1,"b"]'),
        ({"x.$": "States.ArrayGetItem(States.Array('a', 'b'), 1)"}, "b"),
        ({"x.$": "States.MathAdd($.n, 1)"}, {"Std:Function": {"Name": "Add", "Arguments": [get("Input.n"), 1]}}),
        ({"x": "s3://${Bucket}/in"}, {"Std:Join": {"On": "", "Values": ["s3://", get("Input.Bucket"), "/in"]}}),
        ({"x": "$.a"}, "$.a"),
    ],
    ids=str,
)
def test_a_template_gives(template: Any, value: Any) -> None:
    (node,) = read(machine(A=function(Parameters=template))).workflow.nodes
    assert isinstance(node, CallNode)
    payload: Any = node.arguments["Payload"]
    assert value is None or payload == {"x": value}


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ({"x.$": "$.a[?(@.b"}, "is no path that jsonpath-ng reads"),
        ({"x.$": "$.a "}, "is no reference path"),
        ({"x.$": "$.[0].a"}, "The input is a list"),
        ({"x.$": "States.JsonMerge($.a, $.b, true)"}, "States.JsonMerge with these arguments is not carried"),
        ({"x.$": "States.Format('{}')"}, "0 values for 1 places"),
        ({"x.$": "$$.Task.Token"}, "The task token stands where no Callback step gives it"),
        ({"x.$": "$.a['it\\'s']"}, "is no reference path"),
        ({"x": {"Get": "Execution.PipelineName"}}, "would be read as an expression"),
    ],
    ids=str,
)
def test_a_template_that_is_not_carried_says_why(template: Any, why: str) -> None:
    found = read(machine(A=function(Parameters=template, Next="B"), B=function()))
    assert outcomes(found)["A"] == "unsupported"
    assert why in found.records[0].reasons[0].text
    source = make_package(found).files["flow.py"]
    assert "States.A (m.asl.json:" in source
    assert not found.is_complete


def choice(*rules: Any, **members: Any) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": list(rules), **members}


def test_ways_join_and_values_are_those_of_the_way_taken() -> None:
    found = read(
        machine(
            C=choice({"Variable": "$.n", "NumericGreaterThan": 1, "Next": "A"}, Default="B"),
            A=function(ResultPath="$.r", Next="End"),
            B={"Type": "Pass", "Result": "none", "ResultPath": "$.r", "Next": "End"},
            End=function(Parameters={"r.$": "$.r"}),
        )
    )
    fork, end = found.workflow.nodes
    assert isinstance(fork, ChoiceNode)
    assert isinstance(end, CallNode)
    assert [[node.name for node in branch.nodes] for branch in fork.branches] == [["A"], []]
    assert end.arguments["Payload"] == {"r": {"Std:First": [get("Tasks.A.Payload"), "none"]}}


def read_ways(member: str) -> Migration:
    """A machine whose two ways give ``r`` a value each; its last state reads a member of the document."""
    return read(
        machine(
            C=choice({"Variable": "$.n", "NumericGreaterThan": 1, "Next": "A"}, Default="B"),
            A={"Type": "Pass", "Result": "a", "ResultPath": "$.r", "Next": "End"},
            B={"Type": "Pass", "Result": "b", "ResultPath": "$.r", "Next": "End"},
            End=function(Parameters={f"{member}.$": f"$.{member}"}),
        )
    )


def test_each_way_gives_a_value_that_only_it_can_tell() -> None:
    found = read_ways("r")
    fork, last = found.workflow.nodes
    assert isinstance(fork, ChoiceNode)
    given = [node for branch in fork.branches for node in branch.nodes]
    assert [(node.name, node.value) for node in given if isinstance(node, ValueNode)] == [("C-r", "a"), ("C-r-2", "b")]
    assert isinstance(last, CallNode)
    assert last.arguments["Payload"] == {"r": {"Std:First": [get("Tasks.C-r"), get("Tasks.C-r-2")]}}


def test_a_value_that_no_state_reads_is_given_by_no_way() -> None:
    found = read_ways("n")
    assert [node.name for node in found.workflow.nodes] == ["End"]


def test_rules_that_lead_to_a_common_part_stand_together() -> None:
    rule = {"Variable": "$.n", "NumericEquals": 1}
    found = read(
        machine(
            C=choice(
                {**rule, "Next": "A"},
                {**rule, "NumericEquals": 2, "Next": "Stop"},
                {**rule, "NumericEquals": 3, "Next": "B"},
            ),
            A=function(Next="Both"),
            B=function(Next="Both"),
            Stop={"Type": "Succeed"},
            Both=function(),
        )
    )
    (fork,) = found.workflow.nodes
    assert isinstance(fork, ChoiceNode)
    both, stop, none = fork.branches
    assert [type(node).__name__ for node in both.nodes] == ["ChoiceNode", "CallNode"]
    assert stop.nodes == ()
    assert none.nodes[0].type == "Fail"  # type: ignore[union-attr]
    equals = [{"Type": "Equals", "LeftValue": get("Input.n"), "RightValue": number} for number in (1, 2, 3)]
    negated = {"Type": "Not", "Condition": equals[1]}
    third = {
        "Type": "Not",
        "Condition": {"Type": "Or", "Conditions": [{"Type": "Not", "Condition": equals[2]}, equals[1]]},
    }
    assert negated
    assert both.conditions == ({"Type": "Or", "Conditions": [equals[0], third]},)


def test_states_with_one_catcher_are_one_work() -> None:
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Tell"}]
    made = package(
        machine(
            A=model("a", ResultPath="$.a", Catch=caught, Next="B"),
            B=model("b", ResultPath=None, Catch=caught, Next="C"),
            C=function(),
            Tell=function(Parameters={"c.$": "$.error.Cause"}, Next="Stop"),
            Stop={"Type": "Fail"},
        )
    )
    tried, last = made.migration.workflow.nodes
    assert isinstance(tried, TryNode)
    assert [node.name for node in tried.nodes] == ["A", "B"]
    assert [node.name for node in tried.handler] == ["Tell", "Stop"]
    assert tried.handler[0].arguments["Payload"] == {"c": get("Errors.A-outcome.Cause")}  # type: ignore[union-attr]
    assert (last.name, last.after[0].step) == ("C", "A-outcome")
    assert made.is_complete
    assert "choose_by_outcome" in made.files["flow.py"]


def test_a_handler_that_ends_the_machine_keeps_the_rest_from_running() -> None:
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "Tell"}]
    (tried,) = read(machine(A=function(Catch=caught, Next="B"), B=function(), Tell=function())).workflow.nodes
    assert isinstance(tried, TryNode)
    assert [node.name for node in tried.otherwise] == ["B"]
    assert [node.name for node in tried.handler] == ["Tell"]


def test_a_call_is_repeated_until_its_answer_leads_out() -> None:
    made = package(
        machine(
            Start=function(ResultPath="$.job", Next="Wait"),
            Wait={"Type": "Wait", "Seconds": 30, "Next": "Look"},
            Look=function(ResultPath="$.state", Next="Done?"),
            **{
                "Done?": choice(
                    {"Variable": "$.state.status", "StringEquals": "FAILED", "Next": "Bad"},
                    {"Variable": "$.state.status", "StringEquals": "SUCCEEDED", "Next": "Last"},
                    Default="Wait",
                )
            },
            Bad={"Type": "Fail"},
            Last=function(),
        )
    )
    assert made.is_complete
    source = made.files["flow.py"]
    assert '@task.sensor(task_id="Look", poke_interval=30, mode="poke")' in source
    assert 'arguments["Payload"] = lay_over(arguments["Payload"], {"state": answer["Payload"]})' in source
    assert 'str(answer["Payload"]["status"]) == "FAILED"' in source
    assert outcomes(made) == {
        "Start": "airflow",
        "Wait": "folded",
        "Look": "approximated",
        "Done?": "airflow",
        "Bad": "translated",
        "Last": "airflow",
    }


def looked_at(look: Any, **members: Any) -> Any:
    """A machine that looks at a job as long as a Choice says so, which it does before the first look, too."""
    rule = {"Variable": "$.status", "StringEquals": "DONE", "Next": "Last"}
    done = choice(rule, {"Variable": "$.status", "StringEquals": "BAD", "Next": "Bad"}, Default="Wait", **members)
    wait = {"Type": "Wait", "Seconds": 30, "InputPath": "$", "Next": "Look"}
    last = function(Parameters={"s.$": "$.status"})
    return machine(
        **{"Start": function(Next="Done?"), "Done?": done, "Wait": wait}, Look=look, Last=last, Bad={"Type": "Fail"}
    )


def test_a_circle_that_begins_with_its_choice_is_a_call_that_may_not_be_made() -> None:
    made = package(looked_at(function(Next="Done?")))
    assert made.is_complete
    _, entry, way_out, last = made.migration.workflow.nodes
    assert isinstance(entry, ChoiceNode)
    assert [[node.name for node in branch.nodes] for branch in entry.branches] == [[], ["Look"]]
    assert isinstance(way_out, ChoiceNode)
    assert [[node.name for node in branch.nodes] for branch in way_out.branches] == [[], ["Bad"]]
    assert last.name == "Last"
    assert 'arguments["Payload"] = answer["Payload"]' in made.files["flow.py"]
    assert "keeps its worker" in made.migration.records[3].reasons[0].text


@pytest.mark.parametrize(
    "document",
    [
        looked_at(function(Parameters={"n.$": "States.MathAdd($.n, 1)"}, Next="Done?")),
        looked_at(function(Next="Done?"), InputPath="$.inner"),
    ],
    ids=["a counter", "another input"],
)
def test_a_circle_that_works_something_out_is_not_carried(document: Any) -> None:
    assert outcomes(read(document))["Look"] == "unsupported"


def test_what_a_repeated_call_gave_is_read_by_a_template() -> None:
    rule = {"Variable": "$.Status", "StringEquals": "DONE", "Next": "Tell"}
    look = task("arn:aws:states:::aws-sdk:sns:getSMSSandboxAccountStatus", {}, Next="Done?")
    message = {"TopicArn": "t", "Message.$": "$.Status"}
    states = {"Look": look, "Done?": choice(rule, Default="Wait")}
    wait = {"Type": "Wait", "Seconds": 1, "Next": "Look"}
    made = package(machine(**states, Wait=wait, Tell=task("arn:aws:states:::sns:publish", message)))
    # A sensor gives one XCom, and none for each key.
    assert "{{ ti.xcom_pull(task_ids='Look')['Status'] }}" in made.files["flow.py"]


def test_a_call_is_repeated_by_a_pattern_and_by_the_rules_of_two_choices() -> None:
    is_there = {"Variable": "$.state", "IsPresent": True}
    made = package(
        machine(
            Look=function(ResultPath="$.state", Next="Good?"),
            Wait={"Type": "Wait", "Seconds": 30, "Next": "Look"},
            Last=function(),
            Bad={"Type": "Fail"},
            **{
                "Good?": choice({"Variable": "$.state.now", "StringEquals": "DONE", "Next": "Last"}, Default="Bad?"),
                "Bad?": choice(
                    {"And": [is_there, {"Variable": "$.state.now", "StringMatches": "FAIL*"}], "Next": "Bad"},
                    Default="Wait",
                ),
            },
        )
    )
    assert made.is_complete
    assert 'holds("Matches", answer_text(answer, "Payload", "now"), ' in made.files["flow.py"]
    assert 'holds("IsPresent", answer_text(answer, "Payload"))' in made.files["flow.py"]
    assert (outcomes(made)["Good?"], outcomes(made)["Bad?"]) == ("airflow", "folded")


def test_other_circles_are_refused_by_name() -> None:
    found = read(
        machine(
            A=function(Next="B"),
            B=function(Next="C"),
            C=choice({"Variable": "$.n", "NumericGreaterThan": 1, "Next": "A"}, Default="D"),
            D=function(Parameters={}),
        )
    )
    assert outcomes(found) == {**dict.fromkeys("ABC", "unsupported"), "D": "airflow"}
    assert "A, B, C lead back to A" in found.records[0].reasons[0].text


def test_branches_of_a_parallel_state_run_beside_each_other() -> None:
    branches = [machine(A=function()), machine(B=model("b"))]
    found = read(
        machine(
            P={"Type": "Parallel", "Branches": branches, "ResultPath": "$.r", "Next": "Last"},
            Last=function(Parameters={"a.$": "$.r[0].x", "b.$": "$.r[1].ModelArn"}),
        )
    )
    a, b, last = found.workflow.nodes
    assert (a.after, b.after, [one.step for one in last.after]) == ((), (), ["A", "B"])
    assert last.arguments["Payload"] == {"a": get("Tasks.A.Payload.x"), "b": get("Steps.B.ModelArn")}  # type: ignore[union-attr]


def test_a_map_over_steps_is_a_loop() -> None:
    made = package(
        machine(
            Each={
                "Type": "Map",
                "ItemsPath": "$.names",
                "MaxConcurrency": 3,
                "Iterator": machine(Make=model("$.name")),
                "End": True,
            }
        )
    )
    (loop,) = made.migration.workflow.nodes
    assert isinstance(loop, LoopNode)
    (step,) = definition(made)["Steps"]
    assert (step["Type"], step["Arguments"]["MaxConcurrency"]) == ("ForEach", 3)
    assert made.is_complete


def mapped(inner: Any, **members: Any) -> Any:
    """A machine that looks at each name of a list, and tells what came of all."""
    each = {"Type": "Map", "ItemsPath": "$.names", "Iterator": inner, "Next": "Tell", **members}
    return machine(Each=each, Tell=function())


def test_a_map_over_tasks_is_a_loop_whose_results_are_read() -> None:
    made = package(
        mapped(machine(Look=function(ResultPath="$.found", Next="Name"), Name={"Type": "Pass", "End": True}))
    )
    assert made.is_complete
    loop, tell = made.migration.workflow.nodes
    assert isinstance(loop, LoopNode)
    assert isinstance(tell, CallNode)
    assert (loop.result, tell.arguments["Payload"]) == ("Each-result", get("Tasks.Each"))


def test_a_map_whose_results_nobody_reads_gathers_none() -> None:
    made = package(mapped(machine(Look=function()), ResultPath=None))
    assert made.is_complete
    assert "give_value" not in made.files["flow.py"]


def test_a_map_of_nothing_but_values_gives_them() -> None:
    one = {"Type": "Pass", "Parameters": {"key.$": "$.name"}, "End": True}
    assert package(mapped(machine(Name=one))).is_complete


def test_a_map_in_a_map_is_not_carried() -> None:
    inner = {"Type": "Map", "ItemsPath": "$.parts", "Iterator": machine(Look=function()), "End": True}
    found = outcomes(read(mapped(machine(Inner=inner), ResultPath=None)))
    assert (found["Inner"], found["Look"]) == ("unsupported", "unsupported")


@pytest.mark.parametrize(
    ("member", "node"),
    [
        ({"Seconds": 5}, {"seconds": 5, "until": None}),
        ({"SecondsPath": "$.s"}, {"seconds": get("Input.s"), "until": None}),
        ({"Timestamp": "2026-01-01T00:00:00Z"}, {"seconds": None, "until": "2026-01-01T00:00:00Z"}),
    ],
    ids=str,
)
def test_a_wait_waits(member: Any, node: Any) -> None:
    (found,) = read(machine(W={"Type": "Wait", **member, "End": True})).workflow.nodes
    assert isinstance(found, WaitNode)
    assert {"seconds": found.seconds, "until": found.until} == node


def test_jsonata_is_read_as_far_as_paths_and_text_go() -> None:
    document = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {
                    "FunctionName": "f",
                    "Payload": {"a": "{% 'x-' & $states.input.a %}", "id": "{% $uuid() %}"},
                },
                "Assign": {"found": "{% $states.result.Payload.n %}"},
                "Output": "{% $states.result.Payload %}",
                "Next": "C",
            },
            "C": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $found > 3 and $states.input.ok = true %}", "Next": "B"}],
                "Default": "D",
            },
            "B": {"Type": "Pass", "End": True, "Output": "{% $sum([1]) %}"},
            "D": {"Type": "Wait", "Seconds": "{% $found %}", "End": True},
        },
    }
    found = read(document)
    first, fork = found.workflow.nodes
    assert isinstance(first, CallNode)
    joined = {"Std:Join": {"On": "", "Values": ["x-", get("Input.a")]}}
    new_id = {"Std:Function": {"Name": "Uuid", "Arguments": []}}
    assert first.arguments["Payload"] == {"a": joined, "id": new_id}
    assert isinstance(fork, ChoiceNode)
    assert json.dumps(fork.branches[0].conditions).count("Tasks.A.Payload") == 2
    assert outcomes(found) == {"A": "airflow", "C": "translated", "B": "folded", "D": "airflow"}


def test_retries_timeouts_and_lost_members_are_told() -> None:
    retry = [{"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 2, "MaxAttempts": 6, "BackoffRate": 2}]
    found = read(
        machine(
            A=function(Retry=retry, TimeoutSeconds=60, HeartbeatSeconds=5, Next="B"),
            B=sagemaker("createTrainingJob", TRAINING, Retry=retry, TimeoutSeconds=60),
        )
    )
    call, step = found.workflow.nodes
    assert isinstance(call, CallNode)
    assert (call.retries, call.retry_delay_seconds, call.retry_backoff, call.timeout_seconds) == (6, 2, 2, 60)
    assert isinstance(step, PipelineStepNode)
    assert step.members["RetryPolicies"][0]["MaxAttempts"] == 6  # type: ignore[index, call-overload]
    first, second = found.records
    assert first.lost == ("HeartbeatSeconds",)
    assert [one.code for one in second.reasons] == ["ASL-RETRY-001", "ASL-ASYNC-001", "ASL-TIMEOUT-001"]


@pytest.mark.parametrize(
    ("resource", "call"),
    [
        ("arn:aws:states:::sns:publish", ("sns", "publish")),
        ("arn:aws:states:::dynamodb:putItem", ("dynamodb", "put_item")),
        ("arn:aws-cn:states:::aws-sdk:sfn:listStateMachines", ("stepfunctions", "list_state_machines")),
        ("arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint", ("sagemaker-runtime", "invoke_endpoint")),
        ("arn:aws:states:::glue:startJobRun.sync", ("glue", "start_job_run")),
        ("arn:aws:states:::states:startExecution.sync:2", ("stepfunctions", "start_execution")),
        ("arn:aws:states:::sagemaker:createLabelingJob.sync", ("sagemaker", "create_labeling_job")),
        ("arn:aws:states:::bedrock:invokeModel", ("bedrock-runtime", "invoke_model")),
    ],
    ids=str,
)
def test_calls_of_other_services_are_tasks(resource: str, call: tuple[str, str]) -> None:
    (node,) = read(machine(A=task(resource, {}))).workflow.nodes
    assert isinstance(node, CallNode)
    assert (node.service, node.operation) == call
    assert (node.wait is not None) is (".sync" in resource)


def test_a_structure_in_place_of_text_is_json_text() -> None:
    message = {"found.$": "$.found", "plain": 1}
    made = package(machine(A=task("arn:aws:states:::sns:publish", {"TopicArn": "t", "Message": message})))
    assert "\"Message\": \"{{ ({'found': params['found'], 'plain': 1} | tojson) }}\"" in made.files["flow.py"]


def test_the_body_of_a_models_answer_is_json() -> None:
    invoke = task("arn:aws:states:::bedrock:invokeModel", {"ModelId": "m", "Body": {"x": 1}}, Next="B")
    last = read(machine(A=invoke, B=function(Parameters={"text.$": "$.Body.content[0].text"}))).workflow.nodes[-1]
    assert isinstance(last, CallNode)
    assert "ParseJson" in json.dumps(last.arguments)


def distributed(**members: Any) -> Any:
    """A distributed Map that makes a model for each item."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **machine(M=model("$.name"))}
    return machine(Each={"Type": "Map", "ItemProcessor": processor, "End": True, **members})


def test_a_distributed_map_over_a_list_is_a_loop() -> None:
    made = package(distributed(ItemsPath="$.items", ToleratedFailureCount=1))
    assert made.is_complete
    record = made.migration.records[0]
    assert (record.reasons[0].code, record.lost) == ("ASL-MAP-001", ("ToleratedFailureCount",))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.list.items[*].name", ("Tasks.A.Payload.items", "$[*].name")),
        ("$.list.items[?(@.kind == 'Cat')].name", ("Tasks.A.Payload.items", "$[?(@.kind == 'Cat')].name")),
        ("$.list.items[0:2]", ("Tasks.A.Payload.items", "$[0:2]")),
        ("$.list..name", ("Tasks.A.Payload", "$..name")),
    ],
)
def test_what_a_path_finds_is_asked_when_the_dag_runs(path: str, expected: tuple[str, str]) -> None:
    made = package(machine(A=function(ResultPath="$.list", Next="B"), B=function(Parameters={"names.$": path})))
    assert made.is_complete
    _, last = made.migration.workflow.nodes
    query = {"Name": "Query", "Arguments": [get(expected[0]), expected[1]]}
    assert isinstance(last, CallNode)
    assert last.arguments["Payload"] == {"names": {"Std:Function": query}}
    assert 'user_defined_macros={"query_json": query_json}' in made.files["flow.py"]


def test_a_path_that_nobody_reads_is_not_carried() -> None:
    found = read(machine(A=function(Parameters={"x.$": "$.list[?(@.a"})))
    assert outcomes(found) == {"A": "unsupported"}


def reader(action: str, given: Any, **config: Any) -> Any:
    """A reader of items."""
    return {"Resource": f"arn:aws:states:::s3:{action}", "Parameters": given, "ReaderConfig": config}


@pytest.mark.parametrize(
    ("read_by", "arguments"),
    [
        (
            reader("listObjectsV2", {"Bucket": "b", "Prefix.$": "$.p"}, MaxItems=5),
            {"kind": "OBJECTS", "bucket": "b", "prefix": get("Input.p"), "max_items": 5},
        ),
        (
            reader("getObject", {"Bucket": "b", "Key": "k"}, InputType="CSV", CSVHeaderLocation="FIRST_ROW"),
            {"kind": "CSV", "bucket": "b", "key": "k"},
        ),
    ],
    ids=["objects", "table"],
)
def test_a_distributed_map_over_what_a_bucket_has_is_a_loop(read_by: Any, arguments: Any) -> None:
    made = package(distributed(ItemReader=read_by))
    assert made.is_complete
    node, loop = made.migration.workflow.nodes
    assert isinstance(node, OperatorNode)
    assert isinstance(loop, LoopNode)
    assert (node.arguments, loop.items) == (arguments, get("Tasks.Each-reader"))
    assert "ReadItemsOperator(" in made.files["flow.py"]


def test_items_of_an_unknown_kind_are_not_carried() -> None:
    read_by = reader("getObject", {"Bucket": "b", "Key": "k"}, InputType="PARQUET")
    assert outcomes(read(distributed(ItemReader=read_by))) == {"Each": "unsupported", "M": "unsupported"}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"ResultWriter": {}}, "ResultWriter is not carried"),
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 100}}, "limited otherwise than by a number"),
        ({"ItemBatcher": {"MaxItemsPerBatch": 2}, "ItemSelector": {"a": 1}}, "An ItemSelector makes the items"),
    ],
    ids=["results in a bucket", "batches by size", "batches of selected items"],
)
def test_a_distributed_map_is_not_carried(members: Any, why: str) -> None:
    found = read(distributed(**members))
    assert outcomes(found) == {"Each": "unsupported", "M": "unsupported"}
    assert why in found.records[0].reasons[0].text


def test_the_items_of_a_distributed_map_are_put_together_in_batches() -> None:
    pytest.importorskip("jsonata", reason="batches need what the extra 'compare' brings: run make setup")
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"kind.$": "$.kind"}}
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **machine(M=function(Parameters={"all.$": "$.Items"}))}
    each = {"Type": "Map", "ItemsPath": "$.items", "ItemBatcher": batcher, "ItemProcessor": processor, "End": True}
    made = package(machine(Each=each))
    assert made.is_complete
    (loop,) = made.migration.workflow.nodes
    assert isinstance(loop, LoopNode)
    ((expression, given),) = [one["Std:Function"]["Arguments"] for one in loop.items["Std:Function"]["Arguments"]]  # type: ignore[index,call-overload]
    assert given == {"items": get("Input.items"), "size": 2, "input": {"kind": get("Input.kind")}}
    values = {"items": ({"items": [1, 2, 3]}, "items"), "size": (2,), "input": ({"kind": "k"},)}
    batches = [{"BatchInput": {"kind": "k"}, "Items": items} for items in ([1, 2], [3])]
    assert query_jsonata(expression, values) == batches
    assert query_jsonata(expression, {**values, "items": ([1],)}) == [{"BatchInput": {"kind": "k"}, "Items": [1]}]


@pytest.mark.parametrize(
    ("function_call", "given", "value"),
    [
        ("States.ArrayPartition($.a, 2)", [1, 2, 3], [[1, 2], [3]]),
        ("States.ArrayPartition($.a, 2)", [1], [[1]]),
        ("States.Base64Encode($.a)", "a b", "YSBi"),
        ("States.Base64Decode($.a)", "YSBi", "a b"),
        ("States.Hash($.a, 'SHA-256')", "a", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("States.MathRandom($.a, 8)", 7, 7),
    ],
)
def test_intrinsic_functions_that_jsonata_has_are_worked_out_by_it(function_call: str, given: Any, value: Any) -> None:
    pytest.importorskip("jsonata", reason="JSONata needs what the extra 'compare' brings: run make setup")
    (node,) = read(machine(A=function(Parameters={"x.$": function_call}))).workflow.nodes
    assert isinstance(node, CallNode)
    payload: Any = node.arguments["Payload"]
    expression, variables = payload["x"]["Std:Function"]["Arguments"]
    filled = {name: (given if isinstance(one, dict) else one,) for name, one in variables.items()}
    assert query_jsonata(expression, filled) == value


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::apigateway:invoke",
        "arn:aws:states:::eks:runJob.sync",
        "arn:aws:states:us-east-1:123456789012:activity:review",
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "not an arn",
        "",
    ],
)
def test_what_nothing_does_is_a_task_that_fails(resource: str) -> None:
    found = read(machine(A=task(resource, {})))
    assert outcomes(found) == {"A": "unsupported"}
    assert found.records[0].action


def test_a_message_with_a_token_is_a_callback_step() -> None:
    parameters = {"QueueUrl.$": "$.queue", "MessageBody": {"token.$": "$$.Task.Token", "job.$": "$.job"}}
    made = package(machine(Ask=task("arn:aws:states:::sqs:sendMessage.waitForTaskToken", parameters)))
    (step,) = definition(made)["Steps"]
    assert (step["Type"], step["SqsQueueUrl"]) == ("Callback", get("Parameters.queue"))
    assert step["Arguments"] == {"job": get("Parameters.job")}


HOSTILE = "'\"\\{{ boom() }}{% x %}\u2028"


def test_hostile_text_in_every_place_stays_text() -> None:
    import ast

    document = machine(
        **{
            HOSTILE: function(
                Parameters={HOSTILE: HOSTILE, "x.$": f"States.Format('{{}}{HOSTILE[3:]}', $.a)"},
                ResultPath="$.r",
                Next=f"C{HOSTILE}",
            ),
            f"C{HOSTILE}": choice({"Variable": "$.r", "StringEquals": HOSTILE, "Next": "F"}, Default="T"),
            "F": {"Type": "Fail", "Error": HOSTILE, "Cause": HOSTILE},
            "T": task("arn:aws:states:::sns:publish", {"Message": HOSTILE, "TopicArn": HOSTILE}),
        }
    )
    document["Comment"] = HOSTILE
    source = package(document).files["flow.py"]
    for node in ast.walk(ast.parse(source)):
        assert not (isinstance(node, ast.Name) and node.id == "boom")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "boom" in node.value:
            outside = "".join(part.rpartition("}}")[2] for part in node.value.split("{{ '"))
            assert "{{ boom" not in outside or node.value in (HOSTILE,) or "Choose" in node.value
