"""The pipeline's parameters as the DAG's trigger form: types, choices, defaults, bounds, descriptions and sections.

What the form or the REST API takes is what the pipeline takes. On a laptop:
``sm-pipelines local exec -- airflow dags test trigger_form --conf '{"Dataset": "s3://bucket/train"}'``.
"""

from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerDeployPipelineOperator, SageMakerRunPipelineOperator, pipeline_params

DEFINITION = "pipelines/trigger_form/definition.json"
params = pipeline_params(
    DEFINITION,
    section={"Dataset": "Data", "Mode": "Training", "MaxDepth": "Training", "Score": "Gate", "Threshold": "Gate"},
    details={
        "Dataset": {"pattern": "^s3://", "examples": ["s3://bucket/train", "s3://bucket/sample"]},
        "Mode": {"values_display": {"quick": "Quick, on a sample", "full": "Full"}},
        "MaxDepth": {"minimum": 1, "maximum": 10, "title": "Depth of a tree"},
        "Score": {"minimum": 0, "maximum": 1},
        "Threshold": {"minimum": 0, "maximum": 1, "description": "Below it, the pipeline fails"},
    },
)

with DAG("trigger_form", schedule=None, doc_md=__doc__, tags=["sagemaker"], params=params):
    deploy = SageMakerDeployPipelineOperator(
        task_id="deploy",
        pipeline=DEFINITION,
        pipeline_name="trigger-form",
        role_arn="{{ var.value.get('sagemaker_role_arn', 'arn:aws:iam::123456789012:role/SageMakerExecution') }}",
    )
    run = SageMakerRunPipelineOperator(
        task_id="run",
        pipeline_name=deploy.output["pipeline_name"],
        # A text field that was emptied arrives as null.
        parameters={name: f"{{{{ params.{name} }}}}" for name in params} | {"Note": "{{ params.Note or '' }}"},
    )
