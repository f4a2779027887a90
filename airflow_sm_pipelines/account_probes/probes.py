"""The probes, and the comparison of two accounts by them.

Each asks an account one question that docs/engine.md answers with a *chosen* rule, or quotes.
Those without a job come first: they cost nothing on AWS but requests to a queue, whose first million a month is free.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.account_probes.account import code_of
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_sm_pipelines.account_probes.account import ProbedAccount
    from airflow_sm_pipelines.cost import PriceTable
    from airflow_sm_pipelines.definition import JsonObject, JsonValue

INSTANCE_TYPE = "ml.t3.medium"
"""The smallest instance of processing jobs; every account may have some."""

_IMAGES = {
    "us-east-1": "683313688378.dkr.ecr.us-east-1.amazonaws.com",
    "us-east-2": "257758044811.dkr.ecr.us-east-2.amazonaws.com",
    "us-west-2": "246618743249.dkr.ecr.us-west-2.amazonaws.com",
    "eu-west-1": "141502667606.dkr.ecr.eu-west-1.amazonaws.com",
    "eu-central-1": "492215442770.dkr.ecr.eu-central-1.amazonaws.com",
}
"""Registries of the scikit-learn image; source: SageMaker's "Docker registry paths"."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question.

    :param name: of at most 20 characters; a part of pipelines' names.
    :param question: in a few words.
    :param ask: gives the answer, as JSON that can be compared.
    :param instance_minutes: how long instances run for it on AWS, at most; 0 for a probe without a job.
    """

    name: str
    question: str
    ask: Callable[[ProbedAccount], JsonValue]
    instance_minutes: float = 0.0


def _say(name: str, value: JsonValue) -> JsonObject:
    """A Fail step whose reason is the text of a value: it shows what an expression gives, without a job."""
    return {
        "Name": name,
        "Type": "Fail",
        "Arguments": {"ErrorMessage": {"Std:Join": {"On": "|", "Values": ["", value]}}},
    }


def _each(items: JsonValue, body: JsonObject) -> JsonObject:
    arguments: JsonObject = {"IterableItems": items, "MaxConcurrency": 2, "ForEachBody": [body]}
    return {"Name": "Each", "Type": "ForEach", "Arguments": arguments}


def _shown(account: ProbedAccount, probe: str, value: JsonValue, **members: JsonValue) -> JsonValue:
    """The text of a value."""
    refused = account.create(probe, [_say("Say", value)], **members)
    if refused != "accepted":
        return refused
    arn = account.start(probe)
    account.finish(arn)
    return str(account.steps(arn)["Say"].get("FailureReason"))


def _condition(kind: str, left: JsonValue, right: JsonValue, name: str = "Check") -> JsonObject:
    conditions: list[JsonValue] = [{"Type": kind, "LeftValue": left, "RightValue": right}]
    return {"Name": name, "Type": "Condition", "Arguments": {"Conditions": conditions, "IfSteps": [], "ElseSteps": []}}


def _callback(account: ProbedAccount, name: str, **members: Any) -> JsonObject:
    outputs = [{"OutputName": "Rows", "OutputType": "Integer"}] if members.pop("outputs", False) else []
    return {
        "Name": name,
        "Type": "Callback",
        "SqsQueueUrl": account.queue_url,
        "Arguments": {"a": "b"},
        "OutputParameters": outputs,
        **members,
    }


def _fail(name: str, message: str = "stop", **members: Any) -> JsonObject:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **members}


def _processing(name: str, *, script: str = "print(1)", **arguments: Any) -> JsonObject:
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": INSTANCE_TYPE, "VolumeSizeInGB": 1}
            },
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "-c", script]},
            "RoleArn": "arn:aws:iam::111122223333:role/Masked",
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
            **arguments,
        },
    }


def _parameter(name: str, kind: str, default: JsonValue) -> list[JsonValue]:
    return [{"Name": name, "Type": kind, "DefaultValue": default}]


def _get(name: str) -> JsonObject:
    return {"Get": name}


def _value_probe(
    name: str, question: str, value: JsonValue, *, shape_only: bool = False, **members: JsonValue
) -> Probe:
    def ask(account: ProbedAccount) -> JsonValue:
        text = _shown(account, name, value, **members)
        return re.sub(r"\d", "0", str(text)) if shape_only else text

    return Probe(name, question, ask)


def _condition_probe(
    name: str, question: str, kind: str, left: JsonValue, right: JsonValue, **members: JsonValue
) -> Probe:
    return Probe(name, question, lambda account: account.run(name, [_condition(kind, left, right)], **members))


def _run_probe(name: str, question: str, *steps: JsonObject, **members: JsonValue) -> Probe:
    return Probe(name, question, lambda account: account.run(name, steps, **members))


def _creation_probe(name: str, question: str, *steps: JsonObject, **members: JsonValue) -> Probe:
    return Probe(name, question, lambda account: account.create(name, steps, **members))


# --- probes that do something while an execution runs -----------------------------------------------------------------


def _ask_foreign_failure(account: ProbedAccount) -> JsonValue:
    """Whether a step that waited only for a running one starts after another has failed."""
    steps = [_callback(account, "Wait"), _condition("Equals", 1, 1, "Later"), _fail("Stop", DependsOn=[])]
    steps[1]["DependsOn"] = ["Wait"]
    account.create("foreign-failure", steps)
    arn = account.start("foreign-failure")
    token = account.token(arn, "Wait")
    account.wait(lambda: account.steps(arn).get("Stop", {}).get("StepStatus") == "Failed")
    account.sagemaker.send_pipeline_execution_step_success(CallbackToken=token)
    return account.finish(arn)


def _answered(name: str, outputs: list[dict[str, str]]) -> Callable[[ProbedAccount], JsonValue]:
    """What is said to a success of a Callback step with these outputs, where it declares an Integer ``Rows``."""

    def ask(account: ProbedAccount) -> JsonValue:
        account.create(name, [_callback(account, "Wait", outputs=True)])
        arn = account.start(name)
        token = account.token(arn, "Wait")
        said = code_of(
            lambda: account.sagemaker.send_pipeline_execution_step_success(
                CallbackToken=token, OutputParameters=outputs
            )
        )
        if account.status(arn) == "Executing" and said != "accepted":
            account.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token)
        return {"said": said, **account.finish(arn)}

    return ask


def _stopped(name: str, *, answer: str) -> Callable[[ProbedAccount], JsonValue]:
    """How a Callback step and its execution end when it is answered after a stop."""

    def ask(account: ProbedAccount) -> JsonValue:
        account.create(name, [_callback(account, "Wait")])
        arn = account.start(name)
        token = account.token(arn, "Wait")
        account.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=secrets.token_hex(20))
        account.wait(lambda: account.steps(arn)["Wait"]["StepStatus"] == "Stopping")
        getattr(account.sagemaker, f"send_pipeline_execution_step_{answer}")(CallbackToken=token)
        return account.finish(arn)

    return ask


def _failed_callback(account: ProbedAccount, name: str, *more: JsonObject) -> str:
    """An execution whose Callback step ``Wait`` was answered with a failure; its ARN."""
    account.create(name, [_callback(account, "Wait"), *more])
    arn = account.start(name)
    token = account.token(arn, "Wait")
    account.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="no")
    account.finish(arn)
    return arn


def _ask_no_items(account: ProbedAccount) -> JsonValue:
    step = _each(_get("Parameters.Items"), _callback(account, "Wait"))
    return account.run("foreach-empty", [step], Parameters=_parameter("Items", "String", "[]"))


def _ask_failed_iteration(account: ProbedAccount) -> JsonValue:
    """Which iterations run, of three with two at once, when the first one fails and then the second one ends."""
    account.create("foreach-failure", [_each([1, 2, 3], _callback(account, "Wait"))])
    arn = account.start("foreach-failure")
    first, second = account.token(arn, "Wait-0"), account.token(arn, "Wait-1")
    account.sagemaker.send_pipeline_execution_step_failure(CallbackToken=first)
    account.wait(lambda: account.steps(arn)["Wait-0"]["StepStatus"] == "Failed")
    account.sagemaker.send_pipeline_execution_step_success(CallbackToken=second)
    account.wait(lambda: "Wait-2" in account.steps(arn) or account.status(arn) != "Executing")
    if account.status(arn) == "Executing":
        account.sagemaker.send_pipeline_execution_step_success(CallbackToken=account.token(arn, "Wait-2"))
    return account.finish(arn)


def _ask_retry(account: ProbedAccount) -> JsonValue:
    """What runs again, and how attempts are counted."""
    arn = _failed_callback(account, "retry", _condition("Equals", 1, 1))
    account.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=secrets.token_hex(20))
    # What runs again is not listed until it has begun.
    account.wait(lambda: account.steps(arn).get("Wait", {}).get("StepStatus") == "Executing")
    account.sagemaker.send_pipeline_execution_step_success(CallbackToken=account.token(arn, "Wait"))
    ended = account.finish(arn)
    return {**ended, "attempts": {name: step.get("AttemptCount") for name, step in sorted(account.steps(arn).items())}}


def _ask_retry_fail_step(account: ProbedAccount) -> JsonValue:
    account.create("retry-fail-step", [_fail("Stop")])
    arn = account.start("retry-fail-step")
    account.finish(arn)
    token = secrets.token_hex(20)
    return code_of(
        lambda: account.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    )


def _ask_handled(account: ProbedAccount) -> JsonValue:
    mend = {**_condition("Equals", 1, 1, "Mend"), "DependsOn": [{"Step": "Wait", "Trigger": "Failed"}]}
    arn = _failed_callback(account, "handled", mend)  # type: ignore[arg-type]
    return account.finish(arn)


def _ask_selection(account: ProbedAccount) -> JsonValue:
    """Which steps of the source are listed."""
    first, second = _callback(account, "First"), _callback(account, "Second", DependsOn=["First"])
    account.create("selection", [first, second])
    source = account.start("selection")
    for name in ("First", "Second"):
        account.sagemaker.send_pipeline_execution_step_success(CallbackToken=account.token(source, name))
    account.finish(source)
    selected = {"SourcePipelineExecutionArn": source, "SelectedSteps": [{"StepName": "Second"}]}
    arn = account.start("selection", SelectiveExecutionConfig=selected)
    account.sagemaker.send_pipeline_execution_step_success(CallbackToken=account.token(arn, "Second"))
    ended = account.finish(arn)
    listed = sorted(account.steps(arn).items())
    taken: list[JsonValue] = [name for name, step in listed if step.get("SelectiveExecutionResult")]
    return {**ended, "taken": taken}


def _ask_same_token(account: ProbedAccount) -> JsonValue:
    account.create("same-token", [_condition("Equals", 1, 1)])
    token = secrets.token_hex(20)
    arns = {account.start("same-token", ClientRequestToken=token) for _ in range(2)}
    return len(arns)


def _ask_other_request(account: ProbedAccount) -> JsonValue:
    account.create("other-request", [_condition("Equals", 1, 1)])
    token = secrets.token_hex(20)
    account.start("other-request", ClientRequestToken=token)
    return code_of(
        lambda: account.sagemaker.start_pipeline_execution(
            PipelineName=account.name("other-request"), ClientRequestToken=token, PipelineExecutionDisplayName="other"
        )
    )


def _ask_delete_running(account: ProbedAccount) -> JsonValue:
    account.create("delete-running", [_callback(account, "Wait")])
    arn = account.start("delete-running")
    account.token(arn, "Wait")
    name, token = account.name("delete-running"), secrets.token_hex(20)
    return code_of(lambda: account.sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken=token))


def _ask_stop_ended(account: ProbedAccount) -> JsonValue:
    account.create("stop-ended", [_condition("Equals", 1, 1)])
    arn = account.start("stop-ended")
    account.finish(arn)
    token = secrets.token_hex(20)
    return code_of(
        lambda: account.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    )


def _search(name: str, operator: str, change: Callable[[str], str]) -> Callable[[ProbedAccount], JsonValue]:
    """How many pipelines are found by a name in another spelling."""

    def ask(account: ProbedAccount) -> JsonValue:
        account.create(name, [_condition("Equals", 1, 1)])
        wanted = {"Name": "PipelineName", "Operator": operator, "Value": change(account.name(name))}
        expression = {"Filters": [wanted]}
        return len(account.sagemaker.search(Resource="Pipeline", SearchExpression=expression)["Results"])

    return ask


# --- probes with a job ------------------------------------------------------------------------------------------------


def _real_processing(account: ProbedAccount, name: str, script: str, **members: Any) -> JsonObject:
    region = account.sagemaker.meta.region_name
    registry = _IMAGES.get(region, _IMAGES["us-east-1"])
    image = f"{registry}/sagemaker-scikit-learn:1.2-1-cpu-py3"
    step = _processing(name, script=script, RoleArn=account.role_arn, Tags=account.tags)
    step["Arguments"]["AppSpecification"]["ImageUri"] = image  # type: ignore[index,call-overload]
    return {**step, **members}


def _ask_job_reason(account: ProbedAccount) -> JsonValue:
    """The step's reason of a job that has written its own, up to the first colon after it."""
    script = "open('/opt/ml/output/message','w').write('mine'); raise SystemExit(3)"
    account.create("job-reason", [_real_processing(account, "Job", script)])
    arn = account.start("job-reason")
    ended = account.finish(arn)
    return {**ended, "begins": account.steps(arn)["Job"].get("FailureReason", "").split(" ")[0]}


def _ask_job_stopped(account: ProbedAccount) -> JsonValue:
    account.create("job-stopped", [_real_processing(account, "Job", "import time; time.sleep(240)")])
    arn = account.start("job-stopped")
    account.wait(lambda: bool(_job_arn(account, arn)))
    name = _job_arn(account, arn).rpartition("/")[2]
    account.sagemaker.stop_processing_job(ProcessingJobName=name)
    return account.finish(arn)


def _ask_job_timeout(account: ProbedAccount) -> JsonValue:
    step = _real_processing(account, "Job", "import time; time.sleep(200)")
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 60}  # type: ignore[index,call-overload]
    return account.run("job-timeout", [step])


def _ask_cache(account: ProbedAccount) -> JsonValue:
    """Whether a result without ExpireAfter is taken, and which attempt it counts as."""
    step = _real_processing(account, "Job", "print(1)", CacheConfig={"Enabled": True})
    account.create("cache", [step])
    account.finish(account.start("cache"))
    arn = account.start("cache")
    ended = account.finish(arn)
    found = account.steps(arn)["Job"]
    return {**ended, "hit": "CacheHitResult" in found, "attempts": found.get("AttemptCount")}


def _job_arn(account: ProbedAccount, arn: str) -> str:
    metadata = account.steps(arn).get("Job", {}).get("Metadata") or {}
    return str((metadata.get("ProcessingJob") or {}).get("Arn") or "")


def _ask_empty_message(account: ProbedAccount) -> JsonValue:
    account.create("empty-message", [_fail("Stop", "")])
    arn = account.start("empty-message")
    account.finish(arn)
    return account.steps(arn)["Stop"].get("FailureReason")


_TEXT, _WHOLE = _parameter("P", "String", "10"), _parameter("P", "Integer", 5)
_P = _get("Parameters.P")
_IN: JsonObject = {
    "Name": "Check",
    "Type": "Condition",
    "Arguments": {
        "Conditions": [{"Type": "In", "QueryValue": _P, "Values": ["5"]}],
        "IfSteps": [],
        "ElseSteps": [],
    },
}

PROBES = (
    _value_probe("join-integer", "how Std:Join writes an Integer", _P, Parameters=_WHOLE),
    _value_probe("join-float", "how Std:Join writes a Float", _P, Parameters=_parameter("P", "Float", 0.5)),
    _value_probe(
        "join-whole-float", "how Std:Join writes a Float that is whole", _P, Parameters=_parameter("P", "Float", 2.0)
    ),
    _value_probe("join-boolean", "how Std:Join writes a Boolean", _P, Parameters=_parameter("P", "Boolean", True)),
    _value_probe("start-time", "how Execution.StartDateTime reads", _get("Execution.StartDateTime"), shape_only=True),
    _value_probe(
        "current-time", "how Execution.CurrentDateTime reads", _get("Execution.CurrentDateTime"), shape_only=True
    ),
    Probe("empty-message", "the reason of a Fail step with an empty message", _ask_empty_message),
    _condition_probe("text-order", "whether '10' is less than '9'", "LessThan", _P, "9", Parameters=_TEXT),
    _condition_probe("whole-and-float", "whether 5 equals 5.0", "Equals", _P, 5.0, Parameters=_WHOLE),
    _condition_probe("number-and-text", "comparing a number with a text", "LessThan", _P, "9", Parameters=_WHOLE),
    _condition_probe("equal-other-kind", "whether 5 equals '5'", "Equals", _P, "5", Parameters=_WHOLE),
    _condition_probe(
        "boolean-order", "ordering Booleans", "GreaterThan", _P, False, Parameters=_parameter("P", "Boolean", True)
    ),
    _condition_probe(
        "text-case",
        "whether 'a' is greater than 'B'",
        "GreaterThan",
        _P,
        "B",
        Parameters=_parameter("P", "String", "a"),
    ),
    Probe(
        "in-other-kind", "whether 5 is in ['5']", lambda account: account.run("in-other-kind", [_IN], Parameters=_WHOLE)
    ),
    Probe("foreach-empty", "a ForEach step without items", _ask_no_items),
    Probe("foreach-failure", "iterations after one that failed", _ask_failed_iteration),
    Probe("foreign-failure", "whether a step starts after a failure elsewhere", _ask_foreign_failure),
    Probe("handled", "the end of an execution whose failure was handled", _ask_handled),
    Probe("callback-missing", "a Callback's success without a declared output", _answered("callback-missing", [])),
    Probe(
        "callback-undeclared",
        "with one that is not declared",
        _answered("callback-undeclared", [{"Name": "Rows", "Value": "1"}, {"Name": "Other", "Value": "1"}]),
    ),
    Probe(
        "callback-mistyped",
        "with one of another type",
        _answered("callback-mistyped", [{"Name": "Rows", "Value": "many"}]),
    ),
    Probe("stop-success", "a Callback that succeeds after a stop", _stopped("stop-success", answer="success")),
    Probe("stop-failure", "a Callback that fails after a stop", _stopped("stop-failure", answer="failure")),
    Probe("retry", "what RetryPipelineExecution runs again, and its attempts", _ask_retry),
    Probe("retry-fail-step", "retrying after a Fail step", _ask_retry_fail_step),
    Probe("selection", "which steps of a source execution are listed", _ask_selection),
    Probe("same-token", "the same request with the same token", _ask_same_token),
    Probe("other-request", "another request with the same token", _ask_other_request),
    Probe("delete-running", "deleting a pipeline that runs", _ask_delete_running),
    Probe("stop-ended", "stopping an execution that has ended", _ask_stop_ended),
    Probe(
        "search-contains", "whether Search's Contains minds the case", _search("search-contains", "Contains", str.upper)
    ),
    Probe("search-equals", "whether Search's Equals minds the case", _search("search-equals", "Equals", str.upper)),
    _creation_probe("long-step-name", "a step name of 65 characters", _fail("S" * 65)),
    _creation_probe("odd-step-name", "a step name with a dot", _fail("a.b")),
    _creation_probe(
        "long-parameter",
        "a parameter name of 257 characters",
        _fail("Stop"),
        Parameters=_parameter("P" * 257, "String", "a"),
    ),
    _creation_probe(
        "long-default", "a default of 1025 characters", _fail("Stop"), Parameters=_parameter("P", "String", "a" * 1025)
    ),
    _run_probe(
        "odd-experiment",
        "an experiment name with a space",
        _fail("Stop"),
        PipelineExperimentConfig={"ExperimentName": "a b", "TrialName": "t"},
    ),
    _creation_probe(
        "short-text", "a role that does not match its pattern", _processing("Job", RoleArn="masked-role-arn-0000")
    ),
    _creation_probe("null-member", "a member that is null", _processing("Job", NetworkConfig=None)),
    _creation_probe(
        "number-as-text", "a number as text", _processing("Job", StoppingCondition={"MaxRuntimeInSeconds": "60"})
    ),
    _creation_probe("unknown-member", "a member that the API does not have", _processing("Job", Colour="red")),
    _creation_probe(
        "null-in-list",
        "a null in a list",
        _processing("Job", AppSpecification={"ImageUri": "image", "ContainerEntrypoint": ["a", None]}),
    ),
    _creation_probe(
        "new-instance",
        "an instance type that the API does not list",
        _processing(
            "Job",
            ProcessingResources={
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.z9.large", "VolumeSizeInGB": 1}
            },
        ),
    ),
    Probe("job-reason", "the reason of a step whose job wrote its own", _ask_job_reason, 3),
    Probe("job-stopped", "an execution whose job was stopped by its name", _ask_job_stopped, 5),
    Probe("job-timeout", "a processing job that runs past its time", _ask_job_timeout, 3),
    Probe("cache", "whether a result without ExpireAfter is taken", _ask_cache, 4),
)
"""All probes, those without a job first."""


# --- the comparison --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProbeAnswers:
    """What two accounts answer to a probe."""

    probe: Probe
    aws: JsonValue
    local: JsonValue

    @property
    def is_equal(self) -> bool:
        """Whether they answer alike."""
        return self.aws == self.local


def compare(probes: Sequence[Probe], aws: ProbedAccount, local: ProbedAccount) -> Iterator[ProbeAnswers]:
    """Ask each question of both accounts."""
    for probe in probes:
        yield ProbeAnswers(probe, _ask(probe, aws), _ask(probe, local))


def estimate_price(probes: Sequence[Probe], prices: PriceTable, instance_type: str) -> float | None:
    """What the instances of the probes cost at most; None if the table has no price for them."""
    minutes = sum(probe.instance_minutes for probe in probes)
    hourly = prices.find("Processing", instance_type) if minutes else 0.0
    return None if hourly is None else minutes / 60 * hourly


def _ask(probe: Probe, account: ProbedAccount) -> JsonValue:
    try:
        return probe.ask(account)
    except (ClientError, BotoCoreError, SageMakerPipelinesError, LookupError) as error:
        # An account that does not let the probe go on has answered, too.
        return {"error": f"{type(error).__name__}: {error}".replace(account.run_id, "RUN")}
