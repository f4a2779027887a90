mkdir compiled dags
cp "$REPOSITORY/tests/data/migrate/kubeflow/grade.yaml" price.yaml
cp price.yaml compiled/
echo '{}' > run.json
printf '[[image]]\nmatch = "python:3.11"\nrequirements = ["pip"]\n' > images.toml
export SM_PIPELINES_IMAGES=$PWD/images.toml
use_airflow
