command sm-pipelines init churn > /dev/null
