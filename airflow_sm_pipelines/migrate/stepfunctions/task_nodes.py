"""Makes the node of a Task state (a step, a Lambda invocation, a call, a callback) and says what its result is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.definition.expressions import is_candidate
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, RequestKind, clean_request
from airflow_sm_pipelines.migrate.node_references import iter_gets, make_function
from airflow_sm_pipelines.migrate.report import Outcome, Reason
from airflow_sm_pipelines.migrate.stepfunctions.document_values import (
    TASK_TOKEN,
    Call,
    JoinedText,
    Named,
    Overlay,
    Ref,
    UnsupportedError,
    Value,
    join_values,
    refer_to_names,
    select,
    to_expression,
)
from airflow_sm_pipelines.migrate.stepfunctions.payloads import fill_template
from airflow_sm_pipelines.migrate.workflow import CallNode, CallWait, OperatorNode, PipelineStepNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.names import ClaimedNames
    from airflow_sm_pipelines.migrate.stepfunctions.machine import State
    from airflow_sm_pipelines.migrate.stepfunctions.payloads import Scope

_INTEGRATION = re.compile(
    r"arn:[^:]*:states:[^:]*:[^:]*:(?:aws-sdk:)?(?P<service>[\w-]+):(?P<action>\w+)(?P<pattern>\.\w+(?::\d)?)?\Z"
)
_LAMBDA = re.compile(r"arn:[^:]*:lambda:")
_ACTIVITY = re.compile(r"arn:[^:]*:states:.*:activity:")
_ITEM_READER = "airflow_sm_pipelines.migrated_tasks.ReadItemsOperator"
_READER_OPTIONS = {"CSVHeaders": "headers", "MaxItems": "max_items"}
_BY_NOUN = {kind.noun: kind for kind in REQUEST_KINDS}

_SERVICES = {
    "bedrock:invokeModel": "bedrock-runtime",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "elasticloadbalancingv2": "elbv2",
    "elasticmapreduce": "emr",
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
"""boto3's names of services that Step Functions calls otherwise, some for one call only."""

_RENAMED = {
    ("emr", "addStep"): "addJobFlowSteps",
    ("emr", "createCluster"): "runJobFlow",
    ("emr", "terminateCluster"): "terminateJobFlows",
}
_REQUESTS = {
    ("emr", "addJobFlowSteps"): {"JobFlowId": ("ClusterId", False), "Steps": ("Step", True)},
    ("emr", "terminateJobFlows"): {"JobFlowIds": ("ClusterId", True)},
}
"""Members of a request that Step Functions calls otherwise, and whether the API takes a list of them."""


@dataclass(frozen=True, slots=True)
class StepResource:
    """A request that a pipeline step makes.

    :param waits: whether the state waits for the end of what it starts.
    """

    kind: RequestKind
    waits: bool


@dataclass(frozen=True, slots=True)
class LambdaResource:
    """A Lambda function.

    :param function: its ARN, as the Resource has it; None if the state's Parameters name it.
    :param is_assumed: whether the Resource is a placeholder that is taken for a function's ARN.
    """

    function: str | None
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class CallResource:
    """One call of another API.

    :param service: boto3's name.
    :param operation: boto3's name of the method.
    :param wait: how to wait for the end; None if the call's answer is all.
    :param result: where the state's result stands in the answer of the last call: ``("JobRun",)``.
    :param text_member: a member of the result that is JSON text there and a value in Step Functions.
    :param renamed: for members of the request, what Step Functions calls each, and whether the API takes a list of it.
    :param added: for members that the result has besides, where they stand in that answer.
    """

    service: str
    operation: str
    wait: CallWait | None = None
    result: tuple[str | int, ...] = ()
    text_member: str = ""
    renamed: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    added: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)

    def make_request(self, given: dict[str, Any]) -> dict[str, Any]:
        """The API's request of what a state gives."""
        request = dict(given)
        for member, (name, is_list) in self.renamed.items():
            if name in request:
                value = request.pop(name)
                request[member] = [value] if is_list else value
        return request


@dataclass(frozen=True, slots=True)
class CallbackResource:
    """A message to a queue, whose reader answers with a token."""


def _make_wait(operation: str, arguments: str, path: str, success: str, failure: str, zero: str = "") -> CallWait:
    """A wait, with each list as words."""
    given = dict(one.split("=") for one in arguments.split())
    return CallWait(operation, given, path, tuple(success.split()), tuple(failure.split()), zero)


_CLUSTER = "Cluster.Status.State"
_STOPPED = "FAILED TIMED_OUT ABORTED"
_WAITS: dict[tuple[str, str], tuple[CallWait, tuple[str | int, ...]]] = {
    ("athena", "startQueryExecution"): (
        _make_wait(
            *("get_query_execution", "QueryExecutionId=QueryExecutionId"),
            *("QueryExecution.Status.State", "SUCCEEDED", "FAILED CANCELLED"),
        ),
        (),
    ),
    ("batch", "submitJob"): (
        _make_wait("describe_jobs", "jobs=JobId", "Jobs.0.Status", "SUCCEEDED", "FAILED"),
        ("Jobs", 0),
    ),
    ("codebuild", "startBuild"): (
        _make_wait(
            "batch_get_builds", "ids=Build.Id", "Builds.0.BuildStatus", "SUCCEEDED", "FAILED FAULT STOPPED TIMED_OUT"
        ),
        ("Builds", 0),
    ),
    ("databrew", "startJobRun"): (
        _make_wait("describe_job_run", "Name=Name RunId=RunId", "State", "SUCCEEDED", "FAILED STOPPED TIMEOUT"),
        (),
    ),
    ("ecs", "runTask"): (
        _make_wait(
            *("describe_tasks", "cluster=Cluster tasks=Tasks.0.TaskArn", "Tasks.0.LastStatus", "STOPPED", ""),
            "Tasks.0.Containers.*.ExitCode",
        ),
        ("Tasks", 0),
    ),
    ("emr", "addJobFlowSteps"): (
        _make_wait(
            *("describe_step", "ClusterId=JobFlowId StepId=StepIds.0", "Step.Status.State"),
            *("COMPLETED", "FAILED CANCELLED INTERRUPTED"),
        ),
        (),
    ),
    ("emr", "runJobFlow"): (
        _make_wait("describe_cluster", "ClusterId=JobFlowId", _CLUSTER, "WAITING TERMINATED", "TERMINATED_WITH_ERRORS"),
        (),
    ),
    ("emr", "terminateJobFlows"): (
        _make_wait("describe_cluster", "ClusterId=JobFlowIds.0", _CLUSTER, "TERMINATED TERMINATED_WITH_ERRORS", ""),
        (),
    ),
    ("emr-containers", "startJobRun"): (
        _make_wait(
            *("describe_job_run", "virtualClusterId=VirtualClusterId id=Id", "JobRun.State"),
            *("COMPLETED", "FAILED CANCELLED"),
        ),
        ("JobRun",),
    ),
    ("emr-serverless", "startJobRun"): (
        _make_wait(
            *("get_job_run", "applicationId=ApplicationId jobRunId=JobRunId", "JobRun.State"),
            *("SUCCESS", "FAILED CANCELLED"),
        ),
        ("JobRun",),
    ),
    ("glue", "startJobRun"): (
        _make_wait(
            *("get_job_run", "JobName=JobName RunId=JobRunId", "JobRun.JobRunState"),
            *("SUCCEEDED", "FAILED STOPPED TIMEOUT ERROR EXPIRED"),
        ),
        ("JobRun",),
    ),
    ("mediaconvert", "createJob"): (_make_wait("get_job", "Id=Job.Id", "Job.Status", "COMPLETE", "ERROR CANCELED"), ()),
    ("sagemaker", "createLabelingJob"): (
        _make_wait(
            *("describe_labeling_job", "LabelingJobName=LabelingJobName", "LabelingJobStatus"),
            *("Completed", "Failed Stopped"),
        ),
        (),
    ),
    ("stepfunctions", "startExecution"): (
        _make_wait("describe_execution", "executionArn=ExecutionArn", "Status", "SUCCEEDED", _STOPPED),
        (),
    ),
}
"""How ``.sync`` waits: the calls, and where the state's result stands in the last one's answer."""

_ADDED: dict[tuple[str, str, bool], dict[str, tuple[str | int, ...]]] = {
    ("emr", "runJobFlow", True): {"ClusterId": ("Cluster", "Id"), "ClusterArn": ("Cluster", "ClusterArn")},
    ("emr", "runJobFlow", False): {"ClusterId": ("JobFlowId",)},
    ("emr", "addJobFlowSteps", False): {"StepId": ("StepIds", 0)},
}
"""Members of a state's result that Step Functions calls otherwise than the API; the key has whether
the state waits."""


def read_resource(resource: JsonValue) -> StepResource | LambdaResource | CallResource | CallbackResource:
    """What a Resource is.

    :param resource: its text, in which unknown parts of an ARN stand as ``?``.
    :raises UnsupportedError: nothing here does it.
    """
    if not isinstance(resource, str) or not resource:
        raise UnsupportedError("The state has no Resource.")
    if _ACTIVITY.match(resource):
        raise UnsupportedError("An activity is done by a worker that polls for it; write the task that does its work.")
    if _LAMBDA.match(resource):
        return LambdaResource(resource)
    match = _INTEGRATION.match(resource)
    if match is None:
        if "?" in resource and not resource.startswith("arn:aws:states"):
            return LambdaResource(resource, is_assumed=True)
        raise UnsupportedError(f"The Resource {resource!r} is neither a Lambda function nor a service integration.")
    service, action, pattern = match["service"], match["action"], match["pattern"] or ""
    if service == "lambda" and action == "invoke" and not pattern:
        return LambdaResource(None)
    if pattern == ".waitForTaskToken":
        if (service, action) == ("sqs", "sendMessage"):
            return CallbackResource()
        raise UnsupportedError("Waiting for a task token is carried for SQS only, as a Callback step.")
    if service == "sagemaker" and (kind := _find_kind(action)) is not None:
        return StepResource(kind, bool(pattern))
    known = _SERVICES.get(f"{service}:{action}") or _SERVICES.get(service)
    return _read_call(known or _find_services().get(service, service), action, pattern)


def _find_kind(action: str) -> RequestKind | None:
    """The request that a pipeline step makes. An Endpoint step creates an endpoint, or updates it if it is there."""
    if action == "updateEndpoint":
        return _BY_NOUN["Endpoint"]
    noun = action.removeprefix("create")
    return _BY_NOUN.get(noun) if noun != action else None


def _read_call(service: str, action: str, pattern: str) -> CallResource:
    action = _RENAMED.get((service, action), action)
    known = _WAITS.get((service, action)) if pattern else None
    if pattern and known is None:
        raise UnsupportedError(f"Nothing here waits for the end of {service} {action}{pattern}.")
    operation = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", action).lower()
    known_operation = _find_operations(service).get(operation.replace("_", ""))
    if known_operation is None:
        raise UnsupportedError(f"boto3 has no call {action} of {service}.")
    wait, result = known if known is not None else (None, ())
    text_member = "Output" if service == "stepfunctions" and pattern.endswith(":2") else ""
    if (service, known_operation) == ("bedrock-runtime", "invoke_model"):
        text_member = "Body"
    added = _ADDED.get((service, action, wait is not None), {})
    renamed = _REQUESTS.get((service, action), {})
    return CallResource(service, known_operation, wait, result, text_member, renamed, added)


@lru_cache(maxsize=1)
def _find_services() -> dict[str, str]:
    """boto3's names of services, under the names without hyphens that Step Functions has: ``sagemakerruntime``."""
    from botocore.loaders import Loader

    return {name.replace("-", ""): name for name in Loader().list_available_services("service-2")}


@lru_cache(maxsize=256)
def _find_text_members(service: str, operation: str) -> frozenset[str]:
    """The members of a method's request that are text, as the API spells them and with a capital."""
    from botocore import xform_name
    from botocore.session import get_session

    model = get_session().get_service_model(service)
    names = {xform_name(name): name for name in model.operation_names}
    shape = model.operation_model(names[operation]).input_shape
    found = [name for name, one in (shape.members if shape else {}).items() if one.type_name == "string"]
    return frozenset(one for name in found for one in (name, name[:1].upper() + name[1:]))


@lru_cache(maxsize=64)
def _find_operations(service: str) -> dict[str, str]:
    """boto3's methods of a service, under their names without underscores; empty if it does not know the service."""
    from botocore import xform_name
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader

    try:
        model = Loader().load_service_model(service, "service-2")
    except UnknownServiceError:
        return {}
    names = (xform_name(name) for name in model["operations"])
    return {name.replace("_", ""): name for name in names}


_RETRIED_STEPS = ("Training", "Processing", "Transform", "Tuning", "AutoML", "Model", "RegisterModel", "EndpointConfig")
_RETRIED_ERRORS = (
    *("Step.SERVICE_FAULT", "Step.THROTTLING"),
    *("SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """What became of a Task state.

    :param result: what the state gives.
    :param named: names that it has given.
    """

    node: PipelineStepNode | CallNode
    result: Value
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    lost: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()


class TaskNodes:
    """Makes nodes of Task states.

    :param names: the workflow's; the nodes' names are claimed from them.
    """

    def __init__(self, names: ClaimedNames) -> None:
        self._names = names

    def make(
        self,
        state: State,
        resource: Value,
        given: Value,
        named: tuple[Named, ...],
        after: tuple[str, ...],
        *,
        is_given: bool,
    ) -> Task:
        """Make the node of a state.

        :param resource: its Resource, with placeholders in it.
        :param given: what it gives to what it starts.
        :param named: the names that steps before have given.
        :param is_given: whether the state's own Parameters say so; otherwise it is the whole document.
        :raises UnsupportedError: nothing here does it.
        """
        if "Credentials" in state.body:
            raise UnsupportedError("It assumes a role of its own (Credentials), and tasks have one connection.")
        kind = read_resource(_show(resource))
        given = refer_to_names(given, named)
        dependencies = tuple(map(Dependency, after))
        if isinstance(kind, StepResource):
            task = self._make_step(state, kind, given, dependencies)
        elif isinstance(kind, LambdaResource):
            task = self._make_lambda(state, kind, resource, given, dependencies, is_given=is_given)
        elif isinstance(kind, CallbackResource):
            task = self._make_callback(state, given, dependencies)
        else:
            task = self._make_call(state, kind, given, dependencies, is_given=is_given)
        if "TimeoutSeconds" in state.body and isinstance(task.node, PipelineStepNode):
            text = "A step has no time limit of its own; StoppingCondition of a job's request is one."
            reasons = (*task.reasons, Reason("ASL-TIMEOUT-001", text))
            return replace(task, outcome=Outcome.APPROXIMATED, reasons=reasons, lost=(*task.lost, "TimeoutSeconds"))
        return task

    def read_items(
        self, state: State, scope: Scope, after: tuple[str, ...], *, is_jsonata: bool
    ) -> tuple[OperatorNode, ...]:
        """The task that reads the items of a distributed Map from S3, if the Map does.

        :raises UnsupportedError: nothing here reads these.
        """
        reader = state.body.get("ItemReader")
        if not isinstance(reader, dict):
            return ()
        given = fill_template(reader.get("Arguments" if is_jsonata else "Parameters"), scope, is_jsonata=is_jsonata)
        config = cast("JsonObject", reader.get("ReaderConfig") or {})
        action = str(reader.get("Resource")).rpartition(":s3:")[2]
        kind = "OBJECTS" if action == "listObjectsV2" else str(config.get("InputType"))
        members = {"Bucket": "bucket", "Prefix": "prefix", "Key": "key"}
        is_known = action in ("listObjectsV2", "getObject") and kind in ("OBJECTS", "JSON", "JSONL", "CSV")
        left = {*config} - {"InputType", "CSVHeaderLocation", *_READER_OPTIONS}
        if not is_known or left or not isinstance(given, dict) or not given.keys() <= members.keys():
            raise UnsupportedError(
                f"Its items are read in a way that is not carried: {action or 'no Resource'}, {kind}."
            )
        arguments: JsonObject = {"kind": kind, **{members[key]: to_expression(one) for key, one in given.items()}}
        arguments |= {name: config[key] for key, name in _READER_OPTIONS.items() if key in config}
        node_name = self._names.claim(f"{state.name}-reader")
        return (OperatorNode(node_name, state.source, _ITEM_READER, arguments, tuple(map(Dependency, after))),)

    # --- steps --------------------------------------------------------------------------------------------------

    def _make_step(self, state: State, task: StepResource, given: Value, after: tuple[Dependency, ...]) -> Task:
        if not isinstance(given, dict):
            raise UnsupportedError("its whole request is a value that only a run knows; give it as Parameters.")
        kind = task.kind
        request = to_expression(given)
        clean = clean_request(cast("JsonObject", request), kind, is_described=False)
        arguments = dict(clean.arguments)
        name_value = given.get(kind.name_member)
        if kind.noun == "Endpoint" and name_value is not None:
            # Applications call an endpoint by its name, so it stays; an Endpoint step updates one that is there.
            arguments[kind.name_member] = to_expression(name_value)
        name = self._names.claim(state.name)
        members, reasons = _read_retries(state, kind.step_type)
        outcome = Outcome.APPROXIMATED if reasons else Outcome.TRANSLATED
        if not task.waits and kind.step_type in ("Training", "Processing", "Transform", "Tuning", "AutoML"):
            text = "The state only starts the job; the step waits for its end, and fails if the job fails."
            reasons, outcome = [*reasons, Reason("ASL-ASYNC-001", text)], Outcome.APPROXIMATED
        node = PipelineStepNode(name, state.source, kind.step_type, arguments, after, members)
        result: Value = Ref(f"Steps.{name}")
        if not task.waits:
            result = {kind.arn_member: Ref(f"Steps.{name}", (kind.arn_member,))}
        lost = tuple(f"Parameters.{path}" for path in clean.unknown)
        named = () if name_value is None or kind.noun == "Endpoint" else ((kind.name_member, name_value, name),)
        return Task(node, result, outcome, tuple(reasons), lost, named)

    def _make_callback(self, state: State, given: Value, after: tuple[Dependency, ...]) -> Task:
        url, body = select(given, ("QueueUrl",)), select(given, ("MessageBody",))
        name = self._names.claim(state.name)
        arguments: JsonObject = {}
        for key, item in body.items() if isinstance(body, dict) else ():
            if item != Ref(TASK_TOKEN):
                arguments[key] = to_expression(item)
        text = (
            "The queue's reader must answer with SendPipelineExecutionStepSuccess instead of SendTaskSuccess; the "
            "message has its token under 'token'."
        )
        members: JsonObject = {"SqsQueueUrl": to_expression(url), "OutputParameters": []}
        node = PipelineStepNode(name, state.source, "Callback", arguments, after, members)
        result = Ref(f"Steps.{name}", ("OutputParameters",))
        return Task(node, result, Outcome.APPROXIMATED, (Reason("ASL-CALLBACK-001", text),))

    # --- calls --------------------------------------------------------------------------------------------------

    def _make_lambda(
        self,
        state: State,
        task: LambdaResource,
        resource: Value,
        given: Value,
        after: tuple[Dependency, ...],
        *,
        is_given: bool,
    ) -> Task:
        payload: Value = given
        function = resource
        if task.function is None:
            if not is_given:
                raise UnsupportedError("it names no function.")
            function, payload = select(given, ("FunctionName",)), select(given, ("Payload",))
            function = _add_qualifier(function, given)
        arguments: JsonObject = {"FunctionName": to_expression(function)}
        if task.function is not None or (isinstance(given, dict) and "Payload" in given) or not isinstance(given, dict):
            arguments["Payload"] = to_expression(payload)
        name = self._names.claim(state.name)
        node, reasons = self._add_options(CallNode(name, state.source, "lambda", "invoke", arguments, after), state)
        if task.is_assumed:
            text = "Its Resource is a placeholder, which is taken for a Lambda function's ARN."
            reasons.append(Reason("ASL-LAMBDA-001", text))
        result = Ref(f"Tasks.{name}") if task.function is None else Ref(f"Tasks.{name}", ("Payload",))
        known = ("FunctionName", "Payload", "Qualifier", "InvocationType")
        members = list(given) if task.function is None and isinstance(given, dict) else []
        lost = tuple(f"Parameters.{key}" for key in members if key not in known)
        return Task(node, result, Outcome.AIRFLOW, tuple(reasons), lost)

    def _make_call(
        self, state: State, task: CallResource, given: Value, after: tuple[Dependency, ...], *, is_given: bool
    ) -> Task:
        if not isinstance(given, dict):
            if is_given:
                raise UnsupportedError("its whole request is a value that only a run knows.")
            given = {}
        written = cast("JsonObject", to_expression(task.make_request(given)))
        texts = _find_text_members(task.service, task.operation)
        arguments = {key: _write_text(value) if key in texts else value for key, value in written.items()}
        name = self._names.claim(state.name)
        call = CallNode(name, state.source, task.service, task.operation, arguments, after, task.wait)
        node, reasons = self._add_options(call, state)
        result: Value = Ref(f"Tasks.{name}", task.result)
        if task.text_member:
            parsed = Call("ParseJson", (Ref(f"Tasks.{name}", (task.text_member,)),))
            result = Overlay(result, {task.text_member: parsed})
        if task.added:
            result = Overlay(result, {key: Ref(f"Tasks.{name}", path) for key, path in task.added.items()})
        return Task(node, result, Outcome.AIRFLOW, tuple(reasons))

    @staticmethod
    def _add_options(node: CallNode, state: State) -> tuple[CallNode, list[Reason]]:
        """The node with the state's time limit and retries."""
        reasons: list[Reason] = []
        timeout = state.body.get("TimeoutSeconds")
        if isinstance(timeout, (int, float)):
            node = replace(node, timeout_seconds=float(timeout))
        retriers = list(_iter_retriers(state))
        if retriers:
            first = retriers[0]
            errors = first.get("ErrorEquals")
            if len(retriers) > 1 or not (isinstance(errors, list) and "States.ALL" in errors):
                text = f"Airflow retries after every error, not only after {errors}."
                reasons.append(Reason("ASL-RETRY-002", text))
            node = replace(
                node,
                retries=int(_number(first, "MaxAttempts", 3)),
                retry_delay_seconds=_number(first, "IntervalSeconds", 1),
                retry_backoff=_number(first, "BackoffRate", 2),
            )
        return node, reasons


def _write_text(value: JsonValue) -> JsonValue:
    """A structure that stands where the API takes text: JSON text, as Step Functions gives it."""
    if not isinstance(value, (dict, list)) or (isinstance(value, dict) and is_candidate(value)):
        return value
    return make_function("Json", value) if next(iter_gets(value), None) is not None else value


def _add_qualifier(function: Value, given: Value) -> Value:
    """A function with its version or alias, as one name.

    :raises UnsupportedError: the state does not wait for the function.
    """
    if not isinstance(given, dict):
        return function
    if given.get("InvocationType", "RequestResponse") != "RequestResponse":
        raise UnsupportedError("It invokes the function without waiting for it.")
    return join_values([function, ":", given["Qualifier"]]) if "Qualifier" in given else function


def _show(resource: Value) -> JsonValue:
    """A Resource with ``?`` for what is not known of it."""
    if isinstance(resource, JoinedText):
        return "".join(part if isinstance(part, str) else "?" for part in resource.parts)
    return resource if isinstance(resource, str) else "?"


def _iter_retriers(state: State) -> Iterator[JsonObject]:
    retriers = state.body.get("Retry")
    for retrier in retriers if isinstance(retriers, list) else ():
        if isinstance(retrier, dict) and _number(retrier, "MaxAttempts", 3) > 0:
            yield retrier


def _number(holder: JsonObject, key: str, otherwise: float) -> float:
    value = holder.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def _read_retries(state: State, step_type: str) -> tuple[JsonObject, list[Reason]]:
    """The retry policy of a step, for all the errors that one may name: the names of the machine are others."""
    retriers = list(_iter_retriers(state))
    if not retriers:
        return {}, []
    if step_type not in _RETRIED_STEPS:
        return {}, [Reason("ASL-RETRY-003", f"A step of the type {step_type} has no retries of its own.")]
    first = retriers[0]
    policy: JsonObject = {
        "ExceptionType": list(_RETRIED_ERRORS),
        "IntervalSeconds": max(1, int(_number(first, "IntervalSeconds", 1))),
        "BackoffRate": max(1.0, _number(first, "BackoffRate", 2)),
        "MaxAttempts": min(20, max(1, int(_number(first, "MaxAttempts", 3)))),
    }
    text = (
        f"A step is retried after faults of the service and missing capacity, not after {first.get('ErrorEquals')}; a "
        "job whose own code has failed is not started again."
    )
    return {"RetryPolicies": [policy]}, [Reason("ASL-RETRY-001", text)]
