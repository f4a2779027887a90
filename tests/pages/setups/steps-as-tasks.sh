command sm-pipelines init train > /dev/null
mv dags/pipelines .
