"""What a generated DAG file needs above its DAG: the name of each function, and its source."""

from __future__ import annotations

CALL = (
    "call_aws",
    '''@task
def call_aws(service: str, operation: str, arguments: dict) -> dict:
    """The answer of one AWS call, by the connection aws_default."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    def typed(value, shape):
        # Templates give text, where the call takes numbers and truths.
        if shape.type_name == "structure" and isinstance(value, dict):
            known = shape.members
            return {key: typed(item, known[key]) if key in known else item for key, item in value.items()}
        if shape.type_name == "list" and isinstance(value, list):
            return [typed(item, shape.member) for item in value]
        if shape.type_name == "map" and isinstance(value, dict):
            return {key: typed(item, shape.value) for key, item in value.items()}
        if shape.type_name == "boolean" and isinstance(value, str):
            return value.lower() == "true"
        if shape.type_name in ("integer", "long", "float", "double") and isinstance(value, str):
            return json.loads(value)
        return value

    client = AwsBaseHook(client_type=service).conn
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    answer = getattr(client, operation)(**typed(arguments, model.input_shape) if arguments else {})
    answer.pop("ResponseMetadata", None)
    return json.loads(json.dumps(answer, default=str))
''',
)

WAIT = (
    "wait_for",
    '''@task.sensor(poke_interval=60, mode="reschedule")
def wait_for(started: dict, service, operation, arguments, given, path, success, failure):
    """Wait for the end of what a call has started; its description is the result."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.providers.common.compat.sdk import AirflowFailException
    from airflow.sdk import PokeReturnValue

    known = {**given, **started}
    request = {name: known[key] for name, key in arguments.items()}
    answer = getattr(AwsBaseHook(client_type=service).conn, operation)(**request)
    answer.pop("ResponseMetadata", None)
    status = answer
    for part in path.split("."):
        status = status[part]
    if status in failure:
        raise AirflowFailException(f"{service} {operation} {request}: {status}. {answer.get('FailureReason', '')}")
    return PokeReturnValue(is_done=status in success, xcom_value=json.loads(json.dumps(answer, default=str)))
''',
)

ITEMS = (
    "parameters_of_items",
    '''@task
def parameters_of_items(items: list | str, fields: dict, same: dict) -> list[dict]:
    """The pipeline parameters of each item: the item or a field of it, and what is the same for all."""
    import json

    while isinstance(items, str):  # JSON text, or JSON text of such text
        items = json.loads(items)
    return [{**same, **{name: item[field] if field else item for name, field in fields.items()}} for item in items]
''',
)

FAIL = (
    "fail",
    '''@task
def fail(message: str) -> None:
    """Fail, without a retry."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    raise AirflowFailException(message)
''',
)
