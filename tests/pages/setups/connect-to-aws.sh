command sm-pipelines init churn > /dev/null
use_airflow
