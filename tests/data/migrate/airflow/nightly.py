"""A DAG as teams have it: SageMaker operators between other tasks, a branch, and a path for failures."""

from datetime import datetime, timezone

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointConfigOperator,
    SageMakerModelOperator,
)
from airflow.sdk import DAG, Param, task

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ROLE = "arn:aws:iam::111122223333:role/service-role/SageMaker"


def model_config(name):  # kept, although nothing uses it
    return {"ModelName": name}


with DAG(
    dag_id="nightly",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"model": Param("churn", type="string"), "image": Param(IMAGE, type="string")},
) as dag:

    @task
    def pick(params=None):  # outside SageMaker
        return f"s3://models/{params['model']}/model.tar.gz"

    @task.branch
    def decide(address):
        return "register" if "churn" in address else "leave_it"

    register = SageMakerModelOperator(
        task_id="register",
        config={
            "ModelName": "nightly-{{ ds_nodash }}",
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {
                "Image": "{{ params.image }}",
                "ModelDataUrl": "{{ ti.xcom_pull('pick') }}",
                "Environment": {"RUN": "{{ ds }}"},
            },
        },
    )

    configure = SageMakerEndpointConfigOperator(
        task_id="configure",
        config={
            "EndpointConfigName": "nightly-{{ ds_nodash }}",
            "ProductionVariants": [
                {
                    "VariantName": "all",
                    "ModelName": "nightly-{{ ds_nodash }}",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                }
            ],
        },
    )

    @task
    def leave_it():
        return "left"

    @task
    def publish(ti=None):
        return ti.xcom_pull(task_ids="register")["Model"]["ModelArn"]

    @task(trigger_rule="one_failed")
    def complain():
        return "complained"

    picked = pick()
    # A model is registered for some names only.
    decide(picked) >> [register, leave_it()]
    register >> configure >> [publish(), complain()]
