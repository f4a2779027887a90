cp -r "$REPOSITORY/dags" .
use_airflow
