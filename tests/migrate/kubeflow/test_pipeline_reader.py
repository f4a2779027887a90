from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from airflow_sm_pipelines.migrate import (
    ChoiceNode,
    LoopNode,
    Migration,
    MissingNode,
    OperatorNode,
    Outcome,
    PipelineStepNode,
    TryNode,
)
from tests.migrate.kubeflow.pipelines import call, constant, define, given, graph, make, make_files, output

ALPINE = {"command": ["echo"], "args": ["{{$.inputs.parameters['text']}}"]}


def nodes_of(migration: Migration) -> dict[str, Any]:
    """The outermost nodes by name."""
    return {node.name: node for node in migration.workflow.nodes}


def describe(migration: Migration, step: str) -> dict[str, Any]:
    """The description that the launcher of a step reads."""
    components = json.loads(migration.files["p.components.json"])
    found: dict[str, Any] = next(one for name, one in components.items() if name.rsplit("-", 1)[0] == step)
    return found


def why(migration: Migration, source: str) -> tuple[Outcome, str]:
    """What became of a task, and why."""
    record = next(one for one in migration.records if one.source == source)
    return record.outcome, " ".join(reason.text for reason in record.reasons)


def test_values_pass_from_step_to_step_by_files() -> None:
    migration = make({"a": call("comp-work", text=constant("x" * 3000)), "b": call("comp-work", text=output("a"))})
    assert make_files(migration).is_complete
    assert describe(migration, "a")["parameters"]["text"]["value"] == {"literal": "x" * 3000}
    assert describe(migration, "b")["parameters"]["text"]["value"] == {"input": "input-1", "keys": {"a": "Output"}}
    staged = nodes_of(migration)["b"].arguments["ProcessingInputs"][1]["S3Input"]["S3Uri"]
    base = {"Get": "Steps.a.ProcessingOutputConfig.Outputs['kfp'].S3Output.S3Uri"}
    assert staged == {"Std:Join": {"On": "/", "Values": [base, "outputs.json"]}}
    arguments = nodes_of(migration)["a"].arguments["AppSpecification"]["ContainerArguments"]
    assert all(len(json.dumps(one)) < 256 for one in arguments)


def test_whole_numbers_are_given_without_a_point() -> None:
    migration = make({"a": call("comp-work", text=constant({"n": 7.0, "f": 0.5}))})
    literal = describe(migration, "a")["parameters"]["text"]["value"]["literal"]
    assert json.dumps(literal) == '{"n": 7, "f": 0.5}'


def test_a_command_that_needs_no_launcher_is_the_containers_own() -> None:
    components = {
        "comp-say": {"executorLabel": "exec-work", "inputDefinitions": {"parameters": {"text": {}}}},
    }
    inputs = {"name": {"parameterType": "STRING", "defaultValue": "you"}}
    tasks = {"say": call("comp-say", text=constant("hello {{$.inputs.parameters['who']}}"), who=given("name"))}
    migration = make(tasks, components, inputs=inputs, image="alpine:3", container=ALPINE)
    node = nodes_of(migration)["say"]
    assert node.arguments["AppSpecification"] == {
        "ImageUri": "alpine:3",
        "ContainerEntrypoint": ["echo"],
        "ContainerArguments": [{"Std:Join": {"On": "", "Values": ["hello ", {"Get": "Parameters.name"}]}}],
    }
    assert make_files(migration).is_complete
    assert not migration.files


def test_if_is_a_condition_step() -> None:
    condition = "inputs.parameter_values['c'] == 'heads'"
    branch = {"comp-if": graph({"then": call("comp-work", text=constant("x"))}, "c")}
    tasks = {
        "flip": call("comp-work", text=constant("y")),
        "if": call("comp-if", condition=condition, c=output("flip")),
    }
    migration = make(tasks, branch)
    package = make_files(migration)
    (name,) = (name for name in package.files if name.endswith("definition.json"))
    steps = {step["Name"]: step for step in json.loads(package.files[name])["Steps"]}
    assert steps["if"]["Type"] == "Condition"
    assert [one["Name"] for one in steps["if"]["Arguments"]["IfSteps"]] == ["then"]
    assert isinstance(nodes_of(migration)["if"], ChoiceNode)


def test_conditions_that_do_not_exclude_each_other_are_choices_of_their_own() -> None:
    inside = {"comp-if": graph({"then": call("comp-work", text=constant("x"))}, "c")}
    both = {
        name: call("comp-if", condition=f"inputs.parameter_values['c'] != '{name}'", c=given("c"))
        for name in ("one", "two")
    }
    tasks = {"flip": call("comp-work", text=constant("y")), "group": call("comp-group", c=output("flip"))}
    migration = make(tasks, {**inside, "comp-group": graph(both, "c")})
    assert {name for name, node in nodes_of(migration).items() if isinstance(node, ChoiceNode)} == {"one", "two"}


def branches(outputs: bool = True) -> dict[str, Any]:
    """If, Elif and Else around ``comp-work``, with a OneOf of what they give."""
    first, second = "inputs.parameter_values['c'] == 'a'", "inputs.parameter_values['c'] == 'b'"
    conditions = {"one": first, "two": f"!({first}) && {second}", "three": f"!({first}) && !({second})"}
    selectors = [{"producerSubtask": name, "outputParameterKey": "o"} for name in conditions]
    made = {name: call("comp-way", condition=text, c=given("c")) for name, text in conditions.items()}
    way = graph(
        {"do": call("comp-work", text=given("c"))},
        "c",
        {"o": {"valueFromParameter": {"producerSubtask": "do", "outputParameterKey": "Output"}}},
    )
    chosen = {"o": {"valueFromOneof": {"parameterSelectors": selectors}}} if outputs else None
    return {"comp-branches": graph(made, "c", chosen), "comp-way": way}


def test_one_of_is_what_whichever_branch_gave() -> None:
    tasks = {
        "flip": call("comp-work", text=constant("y")),
        "branches": call("comp-branches", c=output("flip")),
        "after": call("comp-work", text=output("branches", "o")),
    }
    migration = make(tasks, branches())
    choice = nodes_of(migration)["branches"]
    assert [len(branch.conditions) for branch in choice.branches] == [1, 1, 0]
    value = describe(migration, "after")["parameters"]["text"]["value"]
    assert value["keys"] == {"do": "Output", "do-2": "Output", "do-3": "Output"}
    assert make_files(migration).is_complete


def test_a_branch_that_is_known_is_decided() -> None:
    migration = make({"branches": call("comp-branches", c=constant("b"))}, branches(outputs=False))
    assert set(nodes_of(migration)) == {"Upload-components", "do"}
    assert make_files(migration).is_complete
    condition = "inputs.parameter_values['c'] == 'a'"
    inside = {"comp-if": graph({"then": call("comp-work", text=constant("x"))}, "c")}
    tasks = {
        "yes": call("comp-if", condition=condition, c=constant("a")),
        "no": call("comp-if", condition=condition, c=constant("b")),
    }
    decided = make(tasks, inside)
    assert set(nodes_of(decided)) == {"Upload-components", "then"}
    assert "known to be false" in why(decided, "root.no")[1]


def loop(over: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A loop over ``comp-each``."""
    return {**call("comp-each", **options), "parameterIterator": {"itemInput": "item", "items": over}}


EACH = {
    "comp-each": graph(
        {"do": call("comp-work", text=given("item"))},
        "item",
        {"o": {"valueFromParameter": {"producerSubtask": "do", "outputParameterKey": "Output"}}},
    )
}


def test_a_loop_over_known_items_is_written_out() -> None:
    tasks = {"loop": loop({"raw": '["a", {"b": 1}]'}), "after": call("comp-work", text=output("loop", "o"))}
    tasks["loop"]["iteratorPolicy"] = {"parallelismLimit": 1}
    migration = make(tasks, EACH)
    assert describe(migration, "do-1")["parameters"]["text"]["value"] == {"literal": {"b": 1}}
    assert [one.step for one in nodes_of(migration)["do-1"].after] == ["do-0"]
    collected = describe(migration, "after")["parameters"]["text"]["value"]["list"]
    assert [one["keys"] for one in collected] == [{"do-0": "Output"}, {"do-1": "Output"}]
    assert make_files(migration).is_complete


def test_a_loop_over_an_output_is_a_for_each_step_and_collects_in_order() -> None:
    tasks = {
        "list": call("comp-work", text=constant("x")),
        "loop": loop({"inputParameter": "items"}, items=output("list")),
        "after": call("comp-work", ("loop",), text=output("loop", "o")),
    }
    migration = make(tasks, EACH)
    node = nodes_of(migration)["loop"]
    assert isinstance(node, LoopNode)
    assert node.items["Std:JsonGet"]["Path"] == "items.Output"  # type: ignore[index, call-overload]
    (step,) = node.nodes
    assert isinstance(step, PipelineStepNode)
    address = json.dumps(step.arguments["ProcessingOutputConfig"])
    assert "ForEach.CurrentItem.index" in address
    assert describe(migration, "after")["parameters"]["text"]["value"] == {"collected": "input-1", "key": "Output"}
    assert make_files(migration).is_complete


def test_a_loop_over_a_parameter_numbers_its_items_first() -> None:
    inputs = {"names": {"parameterType": "LIST", "defaultValue": ["a", "b"]}}
    migration = make({"loop": loop({"inputParameter": "items"}, items=given("names"))}, EACH, inputs=inputs)
    number, node = nodes_of(migration)["loop-items"], nodes_of(migration)["loop"]
    assert isinstance(number, OperatorNode)
    assert node.items == {"Get": "Tasks.loop-items"}
    assert make_files(migration).is_complete


NAMES = {"names": {"parameterType": "LIST", "defaultValue": [{"kind": "a", "parts": ["x"]}]}}


def nested(inside: dict[str, Any], **given_to_it: Any) -> dict[str, Any]:
    """A loop over ``names``, in it a condition, and in that a loop over ``parts`` of the item."""
    member = {**given("item"), "parameterExpressionSelector": 'parseJson(string_value)["parts"]'}
    kind = {**given("item"), "parameterExpressionSelector": 'parseJson(string_value)["kind"]'}
    condition = "inputs.parameter_values['kind'] == 'a'"
    return {
        **EACH,
        "comp-if": graph({"inner": loop({"inputParameter": "parts"}, parts=given("parts"))}, "kind parts"),
        "comp-outer": graph(
            {"way": call("comp-if", condition=condition, kind=kind, parts=member, **given_to_it), **inside}, "item"
        ),
    }


def outer(**options: Any) -> dict[str, Any]:
    """A loop over the pipeline's ``names`` with ``comp-outer``."""
    task = call("comp-outer", names=given("names"), **options)
    return {**task, "parameterIterator": {"itemInput": "item", "items": {"inputParameter": "names"}}}


def test_a_loop_in_a_loop_stands_beside_it_and_repeats_for_the_items_of_both() -> None:
    components = nested({"own": call("comp-work", text=given("item"))})
    migration = make({"loop": outer()}, components, inputs=NAMES)
    found = nodes_of(migration)
    assert [node.name for node in found["loop"].nodes] == ["own"]
    levels = found["inner-items"].arguments["levels"]
    assert levels == [{"items": {"Get": "Parameters.names"}}, {"level": 1, "member": "parts"}]
    (choice,) = found["inner"].nodes
    assert choice.branches[0].conditions[0]["LeftValue"] == {"Get": "ForEach.CurrentItem.field_kind"}
    (step,) = choice.branches[0].nodes
    assert "ForEach.CurrentItem.level_2_value" in json.dumps(step.arguments)
    assert why(migration, "root.loop.way.inner")[0] is Outcome.APPROXIMATED
    assert make_files(migration).is_complete


def test_loops_that_need_each_other_item_by_item_are_not_carried() -> None:
    follows = nested({"own": call("comp-work", ("way",), text=given("item"))})
    migration = make({"loop": outer()}, follows, inputs=NAMES)
    assert "waits for a loop in the loop that it stands in" in why(migration, "root.loop")[1]
    reads = nested({"own": call("comp-work", text=given("item"))})
    work = {"do": call("comp-work", text=given("own"))}
    reads["comp-each"] = graph(work, "item own")
    reads["comp-if"] = graph(
        {"inner": loop({"inputParameter": "parts"}, parts=given("parts"), own=given("own"))}, "kind parts own"
    )
    reads["comp-outer"]["dag"]["tasks"]["way"]["inputs"]["parameters"]["own"] = output("own")
    migration = make({"loop": outer()}, reads, inputs=NAMES)
    assert "reads what a loop around its own gives" in why(migration, "root.loop")[1]
    assert not make_files(migration).is_complete


def test_what_follows_a_branch_in_a_loop_is_copied_into_each_branch() -> None:
    inputs = {"names": {"parameterType": "LIST", "defaultValue": ["a"]}}
    first = "inputs.parameter_values['c'] == 'a'"
    ways = {
        "one": call("comp-way", condition=first, c=given("c")),
        "two": call("comp-way", condition=f"!({first})", c=given("c")),
    }
    selectors = [{"producerSubtask": name, "outputParameterKey": "o"} for name in ways]
    both = {"o": {"valueFromOneof": {"parameterSelectors": selectors}}}
    components = {
        "comp-way": graph(
            {"do": call("comp-work", text=given("c"))},
            "c",
            {"o": {"valueFromParameter": {"producerSubtask": "do", "outputParameterKey": "Output"}}},
        ),
        "comp-ways": graph(ways, "c", both),
        "comp-outer": graph(
            {
                "choose": call("comp-ways", c=given("item")),
                "after": call("comp-work", ("choose",), text=output("choose", "o")),
            },
            "item",
        ),
    }
    migration = make({"loop": outer()}, components, inputs=inputs)
    package = make_files(migration)
    assert package.is_complete
    (name,) = (name for name in package.files if name.endswith("definition.json"))
    (step,) = json.loads(package.files[name])["Steps"]
    arguments = step["Arguments"]
    assert [[one["Name"] for one in arguments[key]] for key in ("IfSteps", "ElseSteps")] == [
        ["do", "after"],
        ["do-2", "after-2"],
    ]
    assert "Steps.do-2." in json.dumps(arguments["ElseSteps"][1])


def test_words_for_an_image_without_python_are_chosen_when_it_is_migrated() -> None:
    rule = (
        '{"IfPresent": {"InputName": "text", "Then": ["-e", {"Concat": ["a=", "{{$.inputs.parameters[\'text\']}}"]}]}}'
    )
    container = {"command": ["echo", rule, "x"], "args": []}
    work = {"comp-say": {"executorLabel": "exec-work", "inputDefinitions": define("text")}}
    work["comp-say"]["inputDefinitions"]["parameters"]["text"]["isOptional"] = True
    tasks = {"with": call("comp-say", text=constant("b")), "without": call("comp-say")}
    migration = make(tasks, work, image="busybox", container=container)
    words = [node.arguments["AppSpecification"]["ContainerEntrypoint"] for node in nodes_of(migration).values()]
    assert words == [["echo", "-e", "a=b", "x"], ["echo", "x"]]


def test_an_exit_task_runs_after_success_and_after_failure() -> None:
    tasks = {
        "work": call("comp-work", text=constant("x")),
        "exit": {
            **call("comp-work", ("work",), text={"taskFinalStatus": {"producerTask": "work"}}),
            "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        },
    }
    migration = make(tasks)
    node = nodes_of(migration)["work-ended"]
    assert isinstance(node, TryNode)
    assert [one.name for one in node.otherwise] == ["exit"]
    assert [one.name for one in node.handler] == ["exit-failed", "work-failed"]
    states = [
        describe(migration, name)["parameters"]["text"]["value"]["literal"]["state"] for name in ("exit", "exit-failed")
    ]
    assert states == ["SUCCEEDED", "FAILED"]
    assert make_files(migration).is_complete


def test_retries_resources_time_limit_and_cache() -> None:
    task = call("comp-work", text=constant("x"))
    task |= {"cachingOptions": {"enableCache": True}, "retryPolicy": {"maxRetryCount": 2, "backoffDuration": "3s"}}
    platform = {"deploymentSpec": {"executors": {"exec-work": {"activeDeadlineSeconds": 60, "tolerations": []}}}}
    migration = make({"a": task}, container={"resources": {"cpuLimit": 3.0, "memoryLimit": 10.0}}, platform=platform)
    node = nodes_of(migration)["a"]
    assert describe(migration, "a")["retries"]["count"] == 2
    assert node.arguments["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.m5.xlarge"
    assert node.arguments["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert node.members["CacheConfig"]["Enabled"] is True
    assert migration.records[0].lost == ("platforms.kubernetes.tolerations",)


@pytest.mark.parametrize(
    ("image", "executor", "reason"),
    [
        ("gcr.io/ml-pipeline/google-cloud-pipeline-components:2.0", {}, "Work is a component of Google's"),
        ("python:3.11", {"pvcMount": [{"mountPath": "/data"}]}, "a volume of the cluster"),
        ("python:3.11", {"initContainers": [{"name": "wait"}]}, "containers that run before it"),
        ("python:3.11", {"fieldPathAsEnv": [{"name": "A", "fieldPath": "spec.nodeName"}]}, "spec.nodeName"),
        ("python:3.11", {"secretAsEnv": [{"secretNameParameter": given("no")}]}, "name of a secret"),
        ("busybox", {"secretAsEnv": [{"secretName": "s"}]}, "has no Python 3"),
    ],
    ids=["google", "volume", "init container", "field of the node", "secret without a name", "no Python"],
)
def test_what_no_job_does_is_a_task_that_fails(image: str, executor: dict[str, Any], reason: str) -> None:
    platform = {"deploymentSpec": {"executors": {"exec-work": executor}}}
    migration = make({"a": call("comp-work", text=constant("x"))}, image=image, platform=platform)
    assert isinstance(nodes_of(migration)["a"], MissingNode)
    outcome, text = why(migration, "root.a")
    assert outcome is Outcome.UNSUPPORTED
    assert reason in text
    assert not make_files(migration).is_complete


def test_secrets_config_maps_and_fields_of_the_pod_have_something_in_their_place() -> None:
    executor = {
        "secretAsEnv": [
            {"secretName": "db", "keyToEnv": [{"secretKey": "password", "envVar": "PASSWORD"}]},
            {"secretNameParameter": output("name"), "keyToEnv": []},
            {"secretNameParameter": given("unknown"), "optional": True},
        ],
        "configMapAsVolume": [
            {
                "configMapNameParameter": {"componentInputParameter": "settings"},
                "mountPath": "/etc/it",
                "optional": True,
            }
        ],
        "podMetadata": {"labels": {"team": "blue"}},
        "fieldPathAsEnv": [
            {"name": "TEAM", "fieldPath": "metadata.labels['team']"},
            {"name": "NONE", "fieldPath": "metadata.annotations['none']"},
            {"name": "POD", "fieldPath": "metadata.name"},
        ],
        "emptyDirMounts": [{"mountPath": "/scratch", "sizeLimit": "5Gi"}],
    }
    migration = make(
        {"name": call("comp-name", text=constant("x")), "a": call("comp-work", ("name",), text=constant("x"))},
        {
            "comp-name": {
                "executorLabel": "exec-name",
                "inputDefinitions": define("text"),
                "outputDefinitions": define("Output"),
            }
        },
        inputs={"settings": {"parameterType": "STRING", "defaultValue": "it"}},
        platform={"deploymentSpec": {"executors": {"exec-work": executor}}},
        executors={"exec-name": {"container": {"image": "python:3.11", "command": ["python3", "-c", "pass"]}}},
    )
    assert make_files(migration).is_complete
    description = describe(migration, "a")
    names = [(one["kind"], one["name"], one["env"], one["folder"]) for one in description["entries"]]
    assert names == [
        ("secret", {"literal": "db"}, {"PASSWORD": "password"}, ""),
        ("secret", {"input": "input-1", "keys": {"name": "Output"}}, {}, ""),
        ("config map", {"argument": "value-2"}, {}, "/etc/it"),
    ]
    assert description["env"] == {"TEAM": "blue", "NONE": "", "POD": "{{$.processing_job_name}}"}
    assert description["facts"] == {"{{$.processing_job_name}}": {"argument": "value-1"}}
    assert description["folders"] == ["/scratch"]
    cluster = nodes_of(migration)["a"].arguments["ProcessingResources"]["ClusterConfig"]
    assert cluster["VolumeSizeInGB"] == 35
    outcome, text = why(migration, "root.a")
    assert outcome is Outcome.APPROXIMATED
    assert "The secret 'db' is a secret of AWS Secrets Manager of the same name now" in text


def test_an_importer_outside_of_s3_asks_each_run_for_an_address() -> None:
    reader = {
        "executorLabel": "exec-work",
        "inputDefinitions": {"artifacts": {"data": {}}},
        "outputDefinitions": {"parameters": {"Output": {"parameterType": "STRING"}}},
    }
    importer = {"executorLabel": "exec-import", "outputDefinitions": {"artifacts": {"artifact": {}}}}
    read = call("comp-read")
    source = {"producerTask": "load", "outputArtifactKey": "artifact"}
    read["inputs"]["artifacts"] = {"data": {"taskOutputArtifact": source}}
    for uri, parameters in (("gs://b/rows", ["load_uri"]), ("s3://b/rows", [])):
        executor = {"importer": {"artifactUri": {"constant": uri}, "typeSchema": {"schemaTitle": "system.Dataset"}}}
        tasks = {"load": call("comp-import"), "read": read}
        components = {"comp-import": importer, "comp-read": reader}
        migration = make(tasks, components, executors={"exec-import": executor})
        own = [one.name for one in migration.workflow.parameters if one.name.endswith("_uri")]
        assert own == parameters
        assert make_files(migration).is_complete


def test_an_image_may_stand_in_for_another() -> None:
    migration = make({"a": call("comp-work", text=constant("x"))}, image="alpine", images={"alpine": "mine:1"})
    assert nodes_of(migration)["a"].arguments["AppSpecification"]["ImageUri"] == "mine:1"


def test_what_follows_a_task_that_is_not_carried_is_not_carried() -> None:
    platform = {"deploymentSpec": {"executors": {"exec-work": {"pvcMount": [{"mountPath": "/data"}]}}}}
    tasks = {"a": call("comp-work", text=constant("x")), "b": call("comp-work", text=output("a"))}
    migration = make(tasks, platform=platform)
    assert why(migration, "root.b") == (
        Outcome.UNSUPPORTED,
        "Its input 'text' is not there: a gives it, which is not carried.",
    )


# --- rules of the table in docs/migrate-kubeflow.md that no test above is about ---------------------------------------

FINAL = {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}


def test_a_task_that_ignores_a_failure_gets_its_default_after_one() -> None:
    optional = {"parameterType": "STRING", "defaultValue": "nothing", "isOptional": True}
    say = {"executorLabel": "exec-work", "inputDefinitions": {"parameters": {"text": optional}}}
    tasks = {
        "work": call("comp-work", text=constant("x")),
        "say": {**call("comp-say", ("work",), text=output("work")), **FINAL},
    }
    migration = make(tasks, {"comp-say": say})
    assert make_files(migration).is_complete
    given_to = [describe(migration, name)["parameters"]["text"]["value"] for name in ("say", "say-failed")]
    assert given_to == [{"input": "input-1", "keys": {"work": "Output"}}, {"literal": "nothing"}]
    (node,) = (one for one in migration.workflow.nodes if isinstance(one, TryNode))
    assert [one.type for one in node.handler if isinstance(one, PipelineStepNode)] == ["Processing", "Fail"]


def test_one_of_is_the_artifact_that_whichever_branch_gave() -> None:
    first = "inputs.parameter_values['c'] == 'a'"
    ways = {
        "one": call("comp-way", condition=first, c=given("c")),
        "two": call("comp-way", condition=f"!({first})", c=given("c")),
    }
    made = {"artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset"}}}}
    way, both = graph({"do": call("comp-make")}, "c"), graph(ways, "c")
    way["dag"]["outputs"] = {
        "artifacts": {"data": {"artifactSelectors": [{"producerSubtask": "do", "outputArtifactKey": "data"}]}}
    }
    selectors = [{"producerSubtask": name, "outputArtifactKey": "data"} for name in ways]
    both["dag"]["outputs"] = {"artifacts": {"data": {"artifactSelectors": selectors}}}
    read = call("comp-read", ("choose",))
    source = {"producerTask": "choose", "outputArtifactKey": "data"}
    read["inputs"]["artifacts"] = {"data": {"taskOutputArtifact": source}}
    components = {
        "comp-make": {"executorLabel": "exec-work", "outputDefinitions": made},
        "comp-read": {"executorLabel": "exec-work", "inputDefinitions": {"artifacts": {"data": {}}}},
        "comp-way": {**way, "outputDefinitions": made},
        "comp-both": {**both, "outputDefinitions": made},
    }
    tasks = {"flip": call("comp-work", text=constant("y")), "choose": call("comp-both", c=output("flip")), "read": read}
    migration = make(tasks, components, container={"args": ["{{$}}"]})
    assert make_files(migration).is_complete
    assert describe(migration, "read")["artifacts"]["data"]["keys"] == {"do": "data", "do-2": "data"}


def test_what_is_collected_comes_from_no_cache_and_leaves_nothing_out() -> None:
    inputs = {"names": {"parameterType": "LIST", "defaultValue": ["a"]}}
    each = copy.deepcopy(EACH["comp-each"])
    each["dag"]["tasks"]["do"]["cachingOptions"] = {"enableCache": True}
    migration = make(
        {"loop": loop({"inputParameter": "items"}, items=given("names"))}, {"comp-each": each}, inputs=inputs
    )
    (step,) = nodes_of(migration)["loop"].nodes
    assert "CacheConfig" not in step.members
    some = graph(
        {"do": call("comp-work", condition="inputs.parameter_values['text'] == 'a'", text=given("item"))}, "item"
    )
    some |= {"outputDefinitions": each["outputDefinitions"]}
    some["dag"]["outputs"] = each["dag"]["outputs"]
    tasks = {"loop": loop({"raw": '["a", "b"]'}), "after": call("comp-work", ("loop",), text=output("loop", "o"))}
    assert why(make(tasks, {"comp-each": some}), "root.after")[0] is Outcome.UNSUPPORTED


def test_an_optional_input_that_is_not_given_is_absent() -> None:
    work = {"executorLabel": "exec-work", "inputDefinitions": define("text more")}
    work["inputDefinitions"]["parameters"]["more"] |= {"isOptional": True}
    migration = make({"a": call("comp-two", text=constant("x"))}, {"comp-two": work}, container={"args": ["{{$}}"]})
    assert make_files(migration).is_complete
    assert describe(migration, "a")["parameters"].keys() == {"text"}
