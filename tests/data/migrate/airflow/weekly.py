"""A DAG with jobs that others wait for by sensors, a batch transform that brings its model, and a step that may fail."""

from datetime import datetime, timezone

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTrainingSensor
from airflow.sdk import DAG, task

BUCKET = "weekly"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ROLE = "arn:aws:iam::111122223333:role/service-role/SageMaker"
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}


TRAINING = {
    "TrainingJobName": "weekly-{{ ds_nodash }}",
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "HyperParameters": {"num_round": "10"},
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
    "ResourceConfig": CLUSTER,
    "RoleArn": ROLE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}

with DAG(dag_id="weekly", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    prepare = SageMakerProcessingOperator(
        task_id="prepare",
        config={
            "ProcessingJobName": "weekly-prepare-{{ ds_nodash }}",
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "prepare.py"]},
            "ProcessingResources": {"ClusterConfig": CLUSTER},
            "RoleArn": ROLE,
        },
    )

    train = SageMakerTrainingOperator(task_id="train", config=TRAINING, wait_for_completion=False)
    wait = SageMakerTrainingSensor(task_id="wait", job_name="weekly-{{ ds_nodash }}")

    score = SageMakerTransformOperator(
        task_id="score",
        config={
            "Model": {
                "ModelName": "weekly-{{ ds_nodash }}",
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": f"s3://{BUCKET}/models/weekly-{{{{ ds_nodash }}}}/output/model.tar.gz",
                },
            },
            "Transform": {
                "TransformJobName": "weekly-score-{{ ds_nodash }}",
                "ModelName": "weekly-{{ ds_nodash }}",
                "TransformInput": {
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/new"}},
                    "ContentType": "text/csv",
                },
                "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/scores"},
                "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            },
        },
    )

    @task(trigger_rule="all_done")
    def report():
        return "done"

    prepare >> train >> wait >> score >> report()
