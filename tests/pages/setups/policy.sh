mkdir -p tests/data/definitions dags/policies
cp "$REPOSITORY/tests/data/definitions/diabetes_v2.json" tests/data/definitions/
cp "$REPOSITORY/dags/policies/team.toml" dags/policies/
cp tests/data/definitions/diabetes_v2.json pipeline.json
