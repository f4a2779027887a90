"""Take the last promotion of a pipeline back: the alias returns to the version that had it before.

For a person to trigger when what was promoted turns out bad; triggered once more, it undoes itself. On a laptop, after
two versions were promoted: ``sm-pipelines local exec -- airflow dags test roll_back_pipeline``.
"""

from airflow.sdk import DAG, Param

from airflow_sm_pipelines import SageMakerRollBackPipelineOperator

with DAG(
    "roll_back_pipeline",
    schedule=None,
    doc_md=__doc__,
    tags=["sagemaker"],
    params={
        "pipeline": Param("gate-release", type="string", description="The pipeline's name"),
        "alias": Param("prod", type="string", description="The alias to move back"),
        "version": Param(None, type=["null", "string"], description="Where to; empty for where the alias was before"),
    },
):
    SageMakerRollBackPipelineOperator(
        task_id="roll_back",
        pipeline_name="{{ params.pipeline }}",
        alias="{{ params.alias }}",
        version="{{ params.version or '' }}",
    )
