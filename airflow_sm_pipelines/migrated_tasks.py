"""The tasks of migrated DAGs that no operator does: AWS calls, waits, and the choices between branches.

``sm-pipelines migrate`` writes DAG files that import these. Templates give text, also where a call takes a number, a
truth value or a structure; the API's own model says which one it is.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, task

from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException
from airflow_sm_pipelines.option_reader import parse_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import Context


@task
def call_aws(service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make one AWS call with the connection aws_default, and return its answer.

    :param service: boto3's name of the service: ``sns``.
    :param operation: boto3's name of the method: ``publish``.
    :param arguments: the method's arguments. Members may begin with a capital where the API has a small letter.
    """
    return make_call(service, operation, arguments)


@task
def invoke_lambda(function: str, payload: Any = None) -> dict[str, Any]:
    """Invoke a Lambda function with the connection aws_default, and return its answer as ``Payload``.

    :param function: name or ARN.
    :param payload: what the function is given; text is JSON text.
    """
    return make_call("lambda", "invoke", {"FunctionName": function, "Payload": payload})


def make_call(service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make one AWS call with the connection aws_default; the rest is as for the tasks.

    :raises RuntimeError: a Lambda function has failed.
    """
    client = _make_client(service)
    if (service, operation) == ("lambda", "invoke"):
        return _invoke(client, arguments["FunctionName"], arguments.get("Payload"))
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    given = fit_arguments(arguments, model.input_shape) if model.input_shape is not None else {}
    return _to_json(getattr(client, operation)(**given), model.output_shape)


def poke(answer: dict[str, Any], is_done: bool) -> Any:
    """What a sensor returns that repeats a call: the answer, once it is good."""
    from airflow.sdk import PokeReturnValue

    return PokeReturnValue(is_done=is_done, xcom_value=answer)


def lay_over(given: Any, changes: Mapping[str, Any]) -> str:
    """The argument of the next call of a sensor that repeats one, as JSON text.

    :param given: the argument before, or its JSON text.
    :param changes: the members that the answer gives.
    """
    value = json.loads(given) if isinstance(given, str) else given
    return json.dumps({**value, **changes})


def _invoke(client: Any, function: str, payload: Any) -> dict[str, Any]:
    body = payload if isinstance(payload, str) else json.dumps(payload)
    answer = client.invoke(FunctionName=function, Payload=body.encode())
    text = answer["Payload"].read().decode()
    if answer.get("FunctionError"):
        raise RuntimeError(f"{function} failed: {text}")
    return {"Payload": json.loads(text) if text else None, "StatusCode": answer["StatusCode"]}


@task.sensor(poke_interval=60, mode="reschedule")
def wait_for(
    started: dict[str, Any],
    service: str,
    operation: str,
    arguments: dict[str, str],
    given: dict[str, Any],
    path: str,
    success: list[str],
    failure: list[str],
    zero: str = "",
) -> Any:
    """Wait for the end of what a call has started, and return its description.

    :param started: the call's answer.
    :param arguments: for each argument of ``operation``, the member of the answer or of ``given`` that has it.
    :param given: the call's arguments.
    :param path: where the status stands in the answer of ``operation``, with dots; a number for an entry of a list.
    :param zero: numbers in that answer that are 0 after a good end; ``*`` stands for each entry of a list.
    """
    from airflow.sdk import PokeReturnValue

    client = _make_client(service)
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    known = {**given, **started}
    request = {name: find_member(known, key) for name, key in arguments.items() if key.split(".")[0] in known}
    answer = _to_json(getattr(client, operation)(**fit_arguments(request, model.input_shape)), model.output_shape)
    status = find_member(answer, path)
    if status in failure:
        raise AirflowFailException(f"{service} {operation} {request}: {status}. {answer.get('FailureReason', '')}")
    codes = find_members(answer, zero) if zero and status in success else []
    if any(codes):
        raise AirflowFailException(f"{service} {operation} {request}: {zero} is {codes} instead of 0.")
    return PokeReturnValue(is_done=status in success, xcom_value=answer)


@task
def parameters_of_items(items: Any, fields: dict[str, str], same: dict[str, Any]) -> list[dict[str, Any]]:
    """Make the pipeline parameters for each item: the item or its fields, and what is the same for all items.

    :param items: a list, or its JSON text.
    :param fields: for each parameter, the field of the item that it gets; ``""`` for the item itself.
    """
    while isinstance(items, str):  # JSON text, or JSON text of such text
        items = json.loads(items)
    return [{**same, **{name: item[field] if field else item for name, field in fields.items()}} for item in items]


@task
def list_items(items: Any) -> list[Any]:
    """The items of a loop whose tasks are mapped over them.

    :param items: a list, or its JSON text.
    """
    while isinstance(items, str):  # JSON text, or JSON text of such text
        items = json.loads(items)
    return list(items)


@task(trigger_rule="none_failed")
def collect_items(items: Any, result: str = "", ti: Any = None) -> list[Any]:
    """End a loop whose tasks are mapped over items, and give what each item came to. It ends well without items, too.

    :param items: what :func:`list_items` gave.
    :param result: the id of the task in the loop that gives what an item comes to; empty for none.
    :raises AirflowSkipException: the loop was skipped.
    """
    if items is None:
        raise AirflowSkipException("This loop was skipped.")
    indexes = range(len(items) if result else 0)
    return list(ti.xcom_pull(task_ids=result, map_indexes=indexes)) if indexes else []


@task
def give_value(value: str) -> Any:
    """Give a value that a template has put together, as JSON text."""
    return json.loads(value)


@task
def bind_definition(pipeline: str, values: dict[str, str], dag: Any = None) -> dict[str, Any]:
    """Put structures into a definition that a run is given, since no pipeline parameter can hold one.

    :param pipeline: the definition's file, relative to the DAG file's folder.
    :param values: the JSON text of each structure, by the name of its placeholder ``"${name}"``.
    """
    definition = json.loads((Path(dag.fileloc).parent / pipeline).read_text(encoding="utf-8"))
    known = {f"${{{name}}}": json.loads(text) for name, text in values.items()}
    filled: dict[str, Any] = _fill(definition, known)
    return filled


@task
def fail(message: str) -> None:
    """Fail without a retry."""
    raise AirflowFailException(message)


class WaitOperator(BaseOperator):
    """Wait for a time, or until a moment, in the triggerer.

    :param seconds: how long; a template may give it.
    :param until: a moment as ISO 8601 text, if ``seconds`` is not given.
    """

    template_fields = ("seconds", "until")

    def __init__(self, *, seconds: Any = None, until: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds
        self.until = until

    def execute(self, context: Context) -> None:
        """Hand over to the triggerer."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = datetime.now(timezone.utc)
        moment = now + timedelta(seconds=float(self.seconds)) if self.seconds is not None else _parse_moment(self.until)
        if moment > now:
            self.defer(trigger=DateTimeTrigger(moment=moment), method_name="go_on")

    def go_on(self, context: Context, event: Any = None) -> None:
        """Go on after the moment."""


def choose_by_outcome(ti: Any, *, tasks: Sequence[str], succeeded: Sequence[str], failed: Sequence[str]) -> list[str]:
    """Which tasks run after work whose failure is handled.

    It leaves an XCom ``error`` for the handler, as Step Functions gives one.

    :param tasks: the ids of the tasks that do the work, the first ones first.
    :param succeeded: the ids to run if none failed.
    :param failed: the ids to run if one failed.
    :raises AirflowSkipException: the work was skipped.
    :raises AirflowFailException: the work did not run, because something before it failed.
    """
    is_mapped = isinstance(ti.map_index, int) and ti.map_index >= 0
    found = ti.get_task_states(
        dag_id=ti.dag_id,
        map_index=ti.map_index if is_mapped else None,
        task_ids=list(tasks),
        run_ids=[ti.run_id],
    ).get(ti.run_id, {})
    # Airflow calls the third of mapped tasks ``Name_2``.
    states = {name: str(getattr(state, "value", state)) for name, state in found.items()}
    failed_ones = {name if name in tasks else name.rpartition("_")[0] for name in states if states[name] == "failed"}
    broken = [name for name in tasks if name in failed_ones]
    if broken:
        cause = f"Failed: {', '.join(broken)}. The logs of these tasks say why."
        ti.xcom_push(key="error", value={"Error": "States.TaskFailed", "Cause": cause})
        return list(failed)
    if any(state == "upstream_failed" for state in states.values()):
        raise AirflowFailException("This work did not run, because something before it failed.")
    if states and all(state == "skipped" for state in states.values()):
        raise AirflowSkipException("This work was skipped.")
    return list(succeeded)


def answer_text(answer: Any, *path: str | int) -> str:
    """A member of an answer as JSON text, for :func:`holds`; ``null`` if there is none."""
    for part in path:
        try:
            answer = answer[part]
        except (KeyError, IndexError, TypeError):
            return "null"
    return json.dumps(answer)


def only_if_chosen(choice: str) -> Callable[[Context], None]:
    """A ``pre_execute`` for a task in a mapped group: it skips the task unless a task that chooses has named it.

    Airflow 3.3 looks for the choice of a mapped task without its map index, and runs what should be skipped. Delete
    this when Airflow does (``NotPreviouslySkippedDep``).

    :param choice: the id of the task that chooses, in the same group.
    """

    def check(context: Context) -> None:
        ti: Any = context["ti"]
        chosen = ti.xcom_pull(task_ids=choice, map_indexes=ti.map_index)
        if ti.task_id not in ([chosen] if isinstance(chosen, str) else chosen or []):
            raise AirflowSkipException(f"{choice} has chosen another branch.")

    return check


def holds(test: str, value: str, other: str | None = None) -> bool:
    """Whether a value passes a test of Step Functions.

    :param test: ``IsPresent``, ``IsNull``, ``IsString``, ``IsNumeric``, ``IsBoolean``, ``IsTimestamp``, ``Matches``,
        ``Before`` or ``After``.
    :param value: as JSON text; ``null`` for none.
    :param other: the pattern or the moment to compare with, as JSON text.
    """
    found = json.loads(value)
    if test in _KINDS:
        return _KINDS[test](found)
    if test == "Matches":
        return isinstance(found, str) and fnmatchcase(found, json.loads(other or '""').replace("[", "[[]"))
    one, two = _parse_moment(found), _parse_moment(json.loads(other or "null"))
    return one < two if test == "Before" else one > two


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and _parse_moment(value) is not None
    except ValueError:
        return False


_KINDS = {
    "IsPresent": lambda value: value is not None,
    "IsNull": lambda value: value is None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsNumeric": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "IsTimestamp": _is_moment,
}


def _parse_moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _fill(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) else value


def find_member(value: Any, path: str) -> Any:
    """A member of an answer.

    :param path: with dots: ``JobRun.JobRunState``, ``Jobs.0.Status``.
    """
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def find_members(value: Any, path: str) -> list[Any]:
    """The same for a path in which ``*`` stands for each entry of a list, without those that have no such member."""
    head, _, rest = path.partition(".*.")
    found = find_member(value, head)
    return [one[rest] for one in found if rest in one] if rest else [found]


def fit_arguments(value: Any, shape: Any) -> Any:
    """Arguments as a botocore shape takes them: templates give text for numbers, truth values and structures."""
    kind = shape.type_name
    if kind in ("structure", "list", "map") and isinstance(value, str):
        # One value for a list is a list of one, such as the id that a first call has given.
        value = [value] if kind == "list" and value.lstrip()[:1] != "[" else parse_literal(value)
    if kind == "structure" and isinstance(value, dict):
        from airflow_sm_pipelines.service_model import find_member_name

        named = {find_member_name(shape, key): item for key, item in value.items()}
        return {key: _fit_member(item, key, shape) for key, item in named.items()}
    if kind == "list" and isinstance(value, list):
        return [fit_arguments(item, shape.member) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: fit_arguments(item, shape.value) for key, item in value.items()}
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind in ("integer", "long", "float", "double") and isinstance(value, str):
        return json.loads(value)
    if kind in ("string", "blob") and isinstance(value, (dict, list)):
        return json.dumps(value)  # Step Functions gives a structure as JSON text, as for the body of a message
    return str(value) if kind == "string" and isinstance(value, (int, float)) else value


def _fit_member(value: Any, name: str, shape: Any) -> Any:
    return fit_arguments(value, shape.members[name]) if name in shape.members else value


def _to_json(answer: dict[str, Any], shape: Any) -> dict[str, Any]:
    answer.pop("ResponseMetadata", None)
    answer = {key: value.read().decode() if hasattr(value, "read") else value for key, value in answer.items()}
    found: dict[str, Any] = json.loads(json.dumps(_capitalise(answer, shape), default=_to_text))
    return found


def _to_text(value: Any) -> str:
    """What JSON has no type for, as text: times as Step Functions writes them."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _capitalise(value: Any, shape: Any) -> Any:
    """An answer with the names that Step Functions gives its members: the first letter is a capital."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {
            key[:1].upper() + key[1:] if key in members else key: _capitalise(item, members.get(key))
            for key, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_capitalise(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _capitalise(item, shape.value) for key, item in value.items()}
    return value


def _make_client(service: str) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(client_type=service).conn


class ReadItemsOperator(BaseOperator):
    """Read the items of a loop from S3, with the connection aws_default.

    :param kind: ``OBJECTS`` for the objects below a prefix, as S3 lists them; ``JSON`` for an object that holds a list,
        ``JSONL`` for one with JSON on each line, ``CSV`` for a table.
    :param bucket: of the object or objects.
    :param key: of the object.
    :param prefix: of the objects.
    :param headers: the names of a table's columns; None if its first row has them.
    :param max_items: how many items to read at most; 0 for all.
    """

    template_fields = ("bucket", "key", "prefix", "max_items")

    def __init__(
        self,
        *,
        kind: str,
        bucket: str,
        key: str = "",
        prefix: str = "",
        headers: list[str] | None = None,
        max_items: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.bucket = bucket
        self.key = key
        self.prefix = prefix
        self.headers = headers
        self.max_items = max_items

    def execute(self, context: Context) -> list[Any]:
        """Read them."""
        found = list(islice(self._iter_items(_make_client("s3")), int(self.max_items) or None))
        self.log.info("Read %d items.", len(found))
        return found

    def _iter_items(self, client: Any) -> Iterator[Any]:
        if self.kind == "OBJECTS":
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
                for one in page.get("Contents", ()):
                    yield {**one, "LastModified": one["LastModified"].timestamp()}
            return
        text = client.get_object(Bucket=self.bucket, Key=self.key)["Body"].read().decode("utf-8-sig")
        if self.kind == "JSON":
            yield from json.loads(text)
        elif self.kind == "JSONL":
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        else:
            yield from csv.DictReader(io.StringIO(text), fieldnames=self.headers)


# --- Kubeflow ---------------------------------------------------------------------------------------------------------


class UploadComponentsOperator(BaseOperator):
    """Upload the descriptions of a Kubeflow pipeline's components, each with the launcher that runs it.

    The result has ``root``, the address below which components and outputs are. Each description has a folder of its
    own that is named after its content, so that a step's request is the same as long as its component is.

    :param components: the file of the descriptions, relative to the DAG file's folder.
    :param pipeline_root: an address in S3; empty for a folder of the DAG in SageMaker's default bucket.
    """

    template_fields = ("components", "pipeline_root")

    def __init__(self, *, components: str, pipeline_root: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = components
        self.pipeline_root = pipeline_root

    def execute(self, context: Context) -> dict[str, str]:
        """Upload what is there, also where it was uploaded before."""
        dag = context["dag"]
        file = Path(dag.fileloc).parent / self.components
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        client = _make_client("s3")
        root = self.pipeline_root.rstrip("/") or f"s3://{_find_default_bucket(client)}/{dag.dag_id}"
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        launcher = (Path(__file__).parent / "migrate" / "kubeflow" / "component_launcher.py").read_bytes()
        for name, component in described.items():
            folder = "/".join(part for part in (prefix, "components", name) if part)
            files = {"component_launcher.py": launcher, "component.json": json.dumps(component).encode()}
            if "shell" in component:  # the image has no Python
                files = {"component.sh": component["shell"].encode()}
            for file_name, body in files.items():
                client.put_object(Bucket=bucket, Key=f"{folder}/{file_name}", Body=body)
        self.log.info("Uploaded %d components to %s.", len(described), root)
        return {"root": root}


def _find_default_bucket(client: Any) -> str:
    """SageMaker's default bucket of the account and region; made if it is not there, as the SDK does."""
    from airflow_sm_pipelines.definition.s3_uri import locate_bucket

    account = _make_client("sts").get_caller_identity()["Account"]
    region = client.meta.region_name
    name = f"sagemaker-{region}-{account}"
    try:
        client.head_bucket(Bucket=name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        client.create_bucket(Bucket=name, **locate_bucket(region))
    return name


class NumberItemsOperator(BaseOperator):
    """Number the items of a Kubeflow loop, so that what the iterations give is kept apart.

    The result is a list as JSON text; each item has ``index``, ``value`` and its members as ``field_<name>``, all text.

    :param items: a list as JSON text.
    """

    template_fields = ("items",)

    def __init__(self, *, items: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.items = items

    def execute(self, context: Context) -> str:
        """Number the items."""
        from airflow_sm_pipelines.migrate.kubeflow.component_launcher import to_items

        items: str = to_items(json.loads(self.items) if isinstance(self.items, str) else self.items)
        return items


class CombineItemsOperator(BaseOperator):
    """Make one list of the items of Kubeflow loops in each other, with an item for each pair.

    The result is a list as JSON text; see :func:`~migrate.kubeflow.component_launcher.combine_items`.

    :param levels: for each loop, outer before inner, its items, or where an item of a loop around it has them.
    :param fields: what is read of each item.
    """

    template_fields = ("levels",)

    def __init__(self, *, levels: Any, fields: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = levels
        self.fields = fields

    def execute(self, context: Context) -> str:
        """Combine the items."""
        from airflow_sm_pipelines.migrate.kubeflow.component_launcher import combine_items

        combined: str = combine_items(self.levels, self.fields)
        return combined
