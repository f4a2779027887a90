cp "$REPOSITORY/dags/policies/prices.toml" .
cp "$READER/price.json" train.json
aws s3 mb s3://raw-data > run.log || { cat run.log; exit 1; }
aws s3 cp --quiet "$READER/step.py" s3://raw-data/code/step.py
aws s3 cp --quiet "$READER/samples/a.csv" s3://raw-data/raw/a.csv
python "$READER/put_function.py"
deployed train train.json
command sm-pipelines run train > run.log || { cat run.log; exit 1; }
