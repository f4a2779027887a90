"""What steps say about each other must be true."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition import inspect_definition

PROCESSING = {
    "Name": "P",
    "Type": "Processing",
    "Arguments": {
        "ProcessingInputs": [{"InputName": "raw"}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "train"}, {"OutputName": "metrics"}]},
    },
    "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "metrics", "FilePath": "report.json"}],
}
LAMBDA = {"Name": "L", "Type": "Lambda", "OutputParameters": [{"OutputName": "uri", "OutputType": "String"}]}
FAIL = {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
FOR_EACH = {
    "Name": "Each",
    "Type": "ForEach",
    "Arguments": {
        "IterableItems": ["a"],
        "MaxConcurrency": 1,
        "ForEachBody": [{"Name": "Body", "Type": "Lambda", "OutputParameters": [{"OutputName": "o"}]}],
    },
}


def problems_of(*steps: Any, **keys: Any) -> dict[str, str]:
    _, problems = inspect_definition({"Steps": list(steps), **keys})
    return {problem.path: problem.message for problem in problems}


def step(name: str, *depends_on: Any, **arguments: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Training", "DependsOn": list(depends_on), "Arguments": arguments}


def branch(
    name: str, *if_steps: Any, conditions: Any = (), otherwise: Any = (), depends_on: Any = ()
) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Condition",
        "DependsOn": list(depends_on),
        "Arguments": {"Conditions": list(conditions), "IfSteps": list(if_steps), "ElseSteps": list(otherwise)},
    }


def get(reference: str) -> dict[str, str]:
    return {"Get": reference}


def report(source: Any) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": source, "Path": "a.b"}}


@pytest.mark.parametrize(
    "value",
    [
        get("Parameters.Depth"),
        get("Execution.PipelineExecutionId"),
        get("PipelineExperimentConfig.TrialName"),
        get("Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"),
        get("Steps.P.ProcessingInputs['raw'].S3Input.S3Uri"),
        get("Steps.P.ProcessingJobName"),
        get("Steps.L.OutputParameters['uri']"),
        get("Steps.Inner.ModelArtifacts.S3ModelArtifacts"),
        get("Steps.Choice.Outcome"),
        get("Steps.Each.Selected.OutputParameters['o']"),
        get("Steps.Each.IterationOutputs[0].Body.OutputParameters['o']"),
        report(get("Steps.P.PropertyFiles.Report")),
        {"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": [get("Steps.P.X"), "a"]}}, "Path": "x"}},
        {"Std:Join": {"Values": [report(get("Steps.P.PropertyFiles.Report")), None, 1]}},
        {"Get": "Nonsense", "And": "more, so a plain object"},
    ],
)
def test_a_true_reference_is_accepted(value: Any) -> None:
    steps = (step("A", x=value), PROCESSING, LAMBDA, FOR_EACH, branch("Choice", step("Inner")))
    assert problems_of(*steps, Parameters=[{"Name": "Depth"}]) == {}


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (get("Parameters.Dept"), "but the pipeline declares no parameter 'Dept'. Did you mean 'Depth'?"),
        (get("Execution.PipelineExecutionID"), "Did you mean 'PipelineExecutionId'?"),
        (get("Parameter.Depth"), "Did you mean 'Parameters'?"),
        (get("Parameters"), "names no member"),
        (get("Parameters.Depth.X"), "goes too far"),
        (get("Steps.P"), "must name a property"),
        (get("Steps.P.X[a]"), "cannot be read from '[a]' on"),
        (get("Steps.Q.X"), "but no step is called 'Q'"),
        (get(""), "refers to nothing"),
        ({"Get": 5}, "'Get' takes a string such as 'Parameters.InputData', found the number 5."),
        (
            get("Steps.P.ProcessingOutputConfig.Outputs['trian'].S3Output.S3Uri"),
            "no output 'trian'; there is 'train', 'metrics'.",
        ),
        (get("Steps.P.ProcessingInputs['row'].S3Input.S3Uri"), "no input 'row'; there is 'raw'."),
        (get("Steps.L.OutputParameters['url']"), "declares no output parameter 'url'; there is 'uri'."),
        (get("Steps.F.ErrorMessage"), "is a Fail step, which has no properties"),
        (get("Steps.Body.OutputParameters['o']"), "is in the body of the ForEach step 'Each'"),
        (get("Steps.Each.IterationOutputs[0].Boby.X"), "the body of 'Each' has no step 'Boby'"),
        (get("Steps.P.PropertyFiles.Report"), "a property file is not a value"),
        (get("ForEach.CurrentItem"), "only the body of a ForEach step"),
        (get("IterationOutput.Body.X"), "only in 'Selector.Field' of a ForEach step"),
        (report(get("Steps.P.PropertyFiles.Repot")), "declares no property file 'Repot'; it declares 'Report'."),
        (report("Report"), "must be {'Get': 'Steps.<step>.PropertyFiles.<name>'}, found the string 'Report'"),
        ({"Std:JsonGet": {"Path": "x"}}, "exactly one of 'PropertyFile' and 'S3Uri'"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/k"}}, "needs 'Path'"),
        ({"Std:Join": {"On": "/"}}, "needs 'Values'"),
        ({"Std:Join": []}, "takes an object"),
        ({"Std:Jion": {}}, "Did you mean 'Std:Join'?"),
    ],
)
def test_a_reference_to_nothing_is_refused(value: Any, part: str) -> None:
    found = problems_of(step("A", x=[value]), PROCESSING, LAMBDA, FAIL, FOR_EACH, Parameters=[{"Name": "Depth"}])
    assert part in next(iter(found.values()))
    assert all(path.startswith("Steps[0].Arguments.x[0]") for path in found)


def test_references_are_checked_wherever_they_may_stand() -> None:
    wrong = get("Parameters.Gone")
    condition = {"Type": "Or", "Conditions": [{"Type": "Not", "Condition": {"Type": "In", "Value": 1, "In": [wrong]}}]}
    body = {"Name": "B", "Type": "Lambda", "FunctionArn": wrong}
    each = {"IterableItems": wrong, "MaxConcurrency": 1, "ForEachBody": [body]}
    found = problems_of(
        branch("C", conditions=[condition], otherwise=[step("A", x=wrong)]),
        {"Name": "L", "Type": "Lambda", "FunctionArn": wrong},
        {"Name": "Each", "Type": "ForEach", "Arguments": each},
        PipelineExperimentConfig={"TrialName": wrong},
        MlflowConfig={"MlflowExperimentName": wrong},
    )
    assert set(found) == {
        "PipelineExperimentConfig.TrialName",
        "MlflowConfig.MlflowExperimentName",
        "Steps[0].Arguments.Conditions[0].Conditions[0].Condition.In[0]",
        "Steps[0].Arguments.ElseSteps[0].Arguments.x",
        "Steps[1].FunctionArn",
        "Steps[2].Arguments.IterableItems",
        "Steps[2].Arguments.ForEachBody[0].FunctionArn",
    }


def test_outputs_named_by_an_expression_are_not_second_guessed() -> None:
    outputs = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": get("Parameters.Name")}]}}
    processing = {**PROCESSING, "Arguments": outputs}
    reference = step("A", x=get("Steps.P.ProcessingOutputConfig.Outputs['any'].S3Output.S3Uri"))
    assert problems_of(processing, reference, Parameters=[{"Name": "Name"}]) == {}


def test_a_property_file_in_an_output_that_is_not_there_is_refused() -> None:
    file = {"PropertyFileName": "Report", "OutputName": "metric", "FilePath": "r.json"}
    assert problems_of({**PROCESSING, "PropertyFiles": [file]}) == {
        "Steps[0].PropertyFiles[0].OutputName": "the property file 'Report' belongs in the output 'metric', but "
        "step 'P' has no such output; it has 'train', 'metrics'. Did you mean 'metrics'?"
    }


def test_names_are_unique_in_branches_and_bodies_too() -> None:
    found = problems_of(
        step("A"),
        branch("C", step("A"), otherwise=[branch("D", step("X"), otherwise=[step("X")])]),
        {**FOR_EACH, "Arguments": {**FOR_EACH["Arguments"], "ForEachBody": [{"Name": "C", "Type": "Lambda"}]}},  # type: ignore[dict-item]
    )
    assert list(found) == [
        "Steps[1].Arguments.IfSteps[0].Name",
        "Steps[1].Arguments.ElseSteps[0].Arguments.ElseSteps[0].Name",
        "Steps[2].Arguments.ForEachBody[0].Name",
    ]
    assert "the name 'A' is taken by the step at Steps[0]" in found["Steps[1].Arguments.IfSteps[0].Name"]


def test_a_name_that_an_iteration_will_have_is_refused() -> None:
    found = problems_of(FOR_EACH, step("Body-0"), step("Body-x"))
    assert list(found) == ["Steps[1].Name"]


def test_nothing_follows_a_fail_step() -> None:
    assert problems_of(FAIL, step("A", "F")) == {
        "Steps[1].DependsOn[0]": "A can not depends on F: a Fail step ends the execution, nothing follows it."
    }


def test_a_cycle_is_named_with_every_reason() -> None:
    found = problems_of(
        step("A", "B"), step("B", x=get("Steps.C.X")), step("C", {"Step": "A", "Trigger": "Any"}), step("D", "A")
    )
    assert found == {
        "Steps[0]": "these steps wait for each other: A → B → C → A ('A' depends on 'B' at Steps[0].DependsOn[0]; "
        "'B' refers to 'C' at Steps[1].Arguments.x; 'C' depends on 'A' at Steps[2].DependsOn[0]). "
        "Remove one of these dependencies."
    }


def test_a_step_that_waits_for_itself_is_refused() -> None:
    found = problems_of(step("A", x=get("Steps.A.TrainingJobName")))
    assert found == {"Steps[0]": "step 'A' waits for itself: 'A' refers to 'A' at Steps[0].Arguments.x. Remove that."}


def test_two_cycles_are_both_told() -> None:
    assert list(problems_of(step("A", "B"), step("B", "A"), step("C", "D"), step("D", "C"))) == ["Steps[0]", "Steps[2]"]


def test_a_condition_cannot_wait_for_its_own_branch() -> None:
    (message,) = problems_of(branch("C", step("A"), depends_on=["A"])).values()
    assert "C → A → C" in message
    assert "'A' is in a branch of 'C'" in message


def test_what_crosses_branches_is_legal() -> None:
    steps = (
        branch("C", step("InBranch"), otherwise=[step("Other", x=get("Steps.InBranch.X"))]),
        step("Outside", "InBranch"),
        branch("D", step("Deep", "Other", x=get("Steps.C.Outcome"))),
    )
    assert problems_of(*steps) == {}


def test_a_body_may_not_hold_what_ends_or_branches() -> None:
    body = [branch("C"), {**FAIL}, {**FOR_EACH, "Name": "Inner"}]
    each = {**FOR_EACH, "Arguments": {"IterableItems": ["a"], "MaxConcurrency": 1, "ForEachBody": body}}
    found = problems_of(each)
    assert [path for path in found if path.endswith("Type")] == [
        f"Steps[0].Arguments.ForEachBody[{index}].Type" for index in range(3)
    ]


def test_a_for_each_step_without_its_parts_is_refused() -> None:
    found = inspect_definition({"Steps": [{"Name": "E", "Type": "ForEach", "Arguments": {"IterableItems": "a"}}]})[1]
    assert [problem.message for problem in found] == [
        "step 'E' needs 'IterableItems', a filled array or an expression; found the string 'a'.",
        "step 'E' needs 'MaxConcurrency', a number from 1 to 50.",
        "step 'E' needs 'ForEachBody', an array with at least one step.",
    ]


def test_a_selector_chooses_among_its_own_body() -> None:
    arguments: Any = FOR_EACH["Arguments"]
    selector = {"Pick": "MaxBy", "Field": get("IterationOutput.Bady.OutputParameters['o']")}
    found = problems_of({**FOR_EACH, "Arguments": {**arguments, "Selector": selector}})
    assert found == {
        "Steps[0].Arguments.Selector.Field": "step 'Each' refers to 'IterationOutput.Bady.OutputParameters.o', but "
        "the body has no step 'Bady'; it has 'Body'. Did you mean 'Body'?"
    }


def test_body_steps_may_use_each_other_and_what_is_outside() -> None:
    body = [
        {"Name": "One", "Type": "Lambda", "Arguments": {"item": get("ForEach.CurrentItem['a'].b")}},
        {"Name": "Two", "Type": "Lambda", "DependsOn": ["One", "Before"], "Arguments": {"x": get("Steps.One.X")}},
    ]
    each = {**FOR_EACH, "Arguments": {"IterableItems": ["a"], "MaxConcurrency": 1, "ForEachBody": body}}
    assert problems_of(each, step("Before")) == {}


def test_a_cleanup_step_needs_real_sources() -> None:
    cleanup = {"Name": "T", "Type": "Cleanup", "Arguments": {"Resources": {"S3": [{"StepName": "Trian"}]}}}
    assert problems_of(step("Train"), cleanup) == {
        "Steps[1].Arguments.Resources.S3[0].StepName": "step 'T' cleans up 'Trian', but no step is called 'Trian'. "
        "Did you mean 'Train'?"
    }
