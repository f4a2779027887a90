cp -r "$REPOSITORY/dags" .
cp "$REPOSITORY/tests/data/definitions/diabetes_v2.json" pipeline.json
# A script of SDK v3 asks for the model first, as this does.
cat > fine_tune.py <<'END'
import boto3

asked = {"HubName": "SageMakerPublicHub", "HubContentType": "Model", "HubContentName": "a-model"}
print(boto3.client("sagemaker").describe_hub_content(**asked)["HubContentDescription"])
END
