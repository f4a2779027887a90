"""flow, migrated from the test's own nodes.

``flow.report.md`` says what became of each node.
On AWS, set the Airflow variable ``sagemaker_role_arn``. On a laptop:
``sm-pipelines local exec -- airflow dags test flow``.
"""

from datetime import timedelta

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator

ROLE = "{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}"


@task
def call_aws(service: str, operation: str, arguments: dict) -> dict:
    """Make one AWS call with the connection aws_default, and return its answer."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    def typed(value, shape):
        # Templates give text, also where the call takes numbers and booleans.
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


@task.sensor(poke_interval=60, mode="reschedule")
def wait_for(started: dict, service, operation, arguments, given, path, success, failure):
    """Wait for the end of what a call has started, and return its description."""
    import json

    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk import PokeReturnValue

    from airflow_sm_pipelines.airflow_names import AirflowFailException

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


@task
def parameters_of_items(items: list | str, fields: dict, same: dict) -> list[dict]:
    """Make the pipeline parameters for each item: the item or its fields, and what is the same for all items."""
    import json

    while isinstance(items, str):  # JSON text, or JSON text of such text
        items = json.loads(items)
    return [{**same, **{name: item[field] if field else item for name, field in fields.items()}} for item in items]


@task
def fail(message: str) -> None:
    """Fail without a retry."""
    from airflow_sm_pipelines.airflow_names import AirflowFailException

    raise AirflowFailException(message)


with DAG(
    "flow",
    description="All kinds of nodes",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker", "migrated"],
    dagrun_timeout=timedelta(seconds=7200),
    params={
        "Input": Param("s3://bucket/in", type="string"),
        "Queue": Param(type="string"),
        "Rate-Limit": Param(0.5, type="number", enum=[0.5, 0.7]),
    },
):
    glue = GlueJobOperator(
        task_id="Glue",
        job_name="prep",
        script_args={"--in": "{{ params.Input }}"},
        retries=2,
        execution_timeout=timedelta(seconds=60),
    )
    deploy_score = SageMakerDeployPipelineOperator(
        task_id="deploy_Score",
        pipeline="flow-Score.definition.json",
        pipeline_name="flow-Score",
        role_arn=ROLE,
    )
    run_score = SageMakerRunPipelineOperator(
        task_id="run_Score",
        pipeline_name=deploy_score.output["pipeline_name"],
        version=deploy_score.output["pipeline_version_id"],
        parameters={"Glue": glue.output},
        outputs={"Score_score": "Steps.Score.OutputParameters['score']"},
        deferrable=True,
    )
    tell = call_aws.override(task_id="Tell")(
        "sqs",
        "send_message",
        {
            "QueueUrl": "{{ params.Queue }}",
            "MessageBody": "{{ '{{x}}' }}/{{ ti.xcom_pull(task_ids='run_Score', key='Score_score') }}/{{ dag_run.run_after.strftime('%Y%m%dt%H%M%S') }}",
        },
    )
    deploy_second = SageMakerDeployPipelineOperator(
        task_id="deploy_Second",
        pipeline="flow-Second.definition.json",
        pipeline_name="flow-Second",
        role_arn=ROLE,
    )
    run_second = SageMakerRunPipelineOperator(
        task_id="run_Second",
        pipeline_name=deploy_second.output["pipeline_name"],
        version=deploy_second.output["pipeline_version_id"],
        parameters={"Score-score": run_score.output["Score_score"], "Tell-MessageId": tell["MessageId"]},
        outputs={"Second_score": "Steps.Second.OutputParameters['score']"},
        deferrable=True,
    )

    @task.branch(task_id="Check")
    def choose_check(score):
        """Choose the branch of States.Check."""
        if float(score) > 0.9:
            return ["Good"]
        if float(score) > 0.5:
            return ["deploy_Third"]
        return ["Bad"]

    check = choose_check(score=run_second.output["Second_score"])
    good = call_aws.override(task_id="Good")("sqs", "send_message", {"MessageBody": "good"})
    bad = fail.override(task_id="Bad")("{{ params.Input }}")
    deploy_third = SageMakerDeployPipelineOperator(
        task_id="deploy_Third",
        pipeline="flow-Third.definition.json",
        pipeline_name="flow-Third",
        role_arn=ROLE,
        trigger_rule="none_failed_min_one_success",
    )
    run_third = SageMakerRunPipelineOperator(
        task_id="run_Third",
        pipeline_name=deploy_third.output["pipeline_name"],
        version=deploy_third.output["pipeline_version_id"],
        parameters={"Good-MD5OfMessageBody": "{{ ti.xcom_pull(task_ids='Good')['MD5OfMessageBody'] }}"},
        deferrable=True,
    )
    label = call_aws.override(task_id="Label")("sagemaker", "create_labeling_job", {"LabelingJobName": "l"})
    label_end = wait_for.override(task_id="Label_end")(
        label,
        service="sagemaker",
        operation="describe_labeling_job",
        arguments={"LabelingJobName": "LabelingJobName"},
        given={"LabelingJobName": "l"},
        path="LabelingJobStatus",
        success=["Completed"],
        failure=["Failed"],
    )
    deploy_each = SageMakerDeployPipelineOperator(
        task_id="deploy_Each",
        pipeline="flow-Each.definition.json",
        pipeline_name="flow-Each",
        role_arn=ROLE,
    )
    run_each = SageMakerRunPipelineOperator.partial(
        task_id="run_Each",
        pipeline_name=deploy_each.output["pipeline_name"],
        version=deploy_each.output["pipeline_version_id"],
        deferrable=True,
        max_active_tis_per_dagrun=3,
    ).expand(
        parameters=parameters_of_items(
            "{{ ti.xcom_pull(task_ids='Label_end')['Items'] | tojson }}",
            fields={"Item-size": "size"},
            same={},
        ),
    )
    handler = call_aws.override(task_id="Handler", trigger_rule="one_failed")(
        "sqs",
        "send_message",
        {"MessageBody": "failed"},
    )
    missing = fail.override(task_id="Missing")("Write this task.")

    glue >> deploy_score >> run_score
    run_score >> tell
    [run_score, tell] >> deploy_second >> run_second
    run_second >> check
    check >> good
    check >> bad
    [good, check, bad] >> deploy_third >> run_third
    label >> label_end
    [label_end, run_third] >> deploy_each >> run_each
    run_each >> handler
    run_each >> missing
