cp -r "$REPOSITORY/dags" .
cp "$REPOSITORY/tests/data/definitions/diabetes_v2.json" pipeline.json
