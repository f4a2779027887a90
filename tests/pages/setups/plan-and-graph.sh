DEFINITION="$REPOSITORY/tests/data/definitions/diabetes_v2.json"
mkdir -p cdk.out infra/pipelines policies
for name in infra/pipelines/train.json pipeline.json old.json deployed.json; do cp "$DEFINITION" "$name"; done
sed 's/"subsample": "0.8"/"subsample": "0.9"/' "$DEFINITION" > new.json
command sm-pipelines init train > /dev/null
mv dags/pipelines .
printf '[instances]\nallowed = ["ml.m5.*"]\n' > policies/team.toml
python - "$DEFINITION" <<'END'
import json, sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
properties = {"PipelineName": "train", "PipelineDefinition": {"PipelineDefinitionBody": text}}
template = {"Resources": {"TrainPipeline": {"Type": "AWS::SageMaker::Pipeline", "Properties": properties}}}
after = {"pipeline_name": "train", "pipeline_definition": text, "pipeline_definition_s3_location": [], "tags": None}
resource = {"address": "aws_sagemaker_pipeline.train", "type": "aws_sagemaker_pipeline", "change": {"after": after}}
documents = {
    "template.yaml": {"Parameters": {"Bucket": {"Type": "String"}}, "Resources": {"TrainPipeline": {
        "Type": "AWS::SageMaker::Pipeline",
        "Properties": {"PipelineName": "train", "PipelineDefinition": {"PipelineDefinitionBody": {
            "Fn::Sub": text.replace("sagemaker-us-east-1-123456789012", "${Bucket}")}}}}}},
    "cdk.out/ml.template.json": template,
    "answer.json": {"PipelineArn": "arn", "PipelineName": "train", "PipelineDefinition": text},
    "tfplan": {"format_version": "1.2", "resource_changes": [resource]},
}
for name, document in documents.items():
    Path(name).write_text(json.dumps(document))
END
deployed train "$REPOSITORY/dags/pipelines/gate/definition.json"
command sm-pipelines run train > /dev/null
EXECUTION_ARN=$(aws sagemaker list-pipeline-executions --pipeline-name train --query 'PipelineExecutionSummaries[0].PipelineExecutionArn' --output text)
