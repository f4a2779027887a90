command sm-pipelines init train > /dev/null
mv dags/pipelines .
ROLE=$ROLE_ARN
mkdir -p pipelines/abalone
touch pipelines/__init__.py pipelines/abalone/__init__.py
cat > pipelines/abalone/pipeline.py <<'END'
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionEquals
from sagemaker.workflow.pipeline import Pipeline


def get_pipeline(region, role, sagemaker_project_arn=None, default_bucket=None, pipeline_name="abalone"):
    fail = FailStep("TooBad", error_message="too bad")
    check = ConditionStep("Check", conditions=[ConditionEquals(left=1, right=1)], if_steps=[], else_steps=[fail])
    return Pipeline(pipeline_name, steps=[check])
END
