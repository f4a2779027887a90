mkdir dags
deployed churn "$REPOSITORY/dags/pipelines/gate/definition.json"
