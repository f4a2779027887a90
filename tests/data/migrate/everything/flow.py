"""flow, migrated from the test's own nodes.

``flow.report.md`` says what became of each node.
On AWS, set the Airflow variable ``sagemaker_role_arn``. On a laptop:
``sm-pipelines local exec -- airflow dags test flow``.
"""

from datetime import timedelta

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk import DAG, Param, task

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator
from airflow_sm_pipelines.migrated_tasks import call_aws, fail, parameters_of_items, wait_for

ROLE = "{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}"

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
            "MessageBody": "{{ '{{x}}' }}/{{ ti.xcom_pull(task_ids='run_Score', key='Score_score') }}/{{ dag_run.run_after.strftime('%Y%m%dt%H%M%S%f') }}",
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
    parameters_of_run_each = parameters_of_items(
        "{{ ti.xcom_pull(task_ids='Label_end')['Items'] | tojson }}",
        fields={"Item-size": "size"},
        same={},
    )
    run_each = SageMakerRunPipelineOperator.partial(
        task_id="run_Each",
        pipeline_name=deploy_each.output["pipeline_name"],
        version=deploy_each.output["pipeline_version_id"],
        deferrable=True,
        max_active_tis_per_dagrun=3,
    ).expand(
        parameters=parameters_of_run_each,
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
    deploy_each >> parameters_of_run_each
    [label_end, run_third] >> deploy_each >> run_each
    run_each >> handler
    run_each >> missing
