# Airflow with airflow-sm-pipelines, its compiler and its local endpoint: what docker-compose.yaml runs.
FROM apache/airflow:3.3.2-python3.12
USER root
# The directory that each local job sees as its own; it must exist where jobs may not mount over /opt.
RUN mkdir -p /opt/ml /var/lib/sm-pipelines && chown -R airflow:0 /opt/ml /var/lib/sm-pipelines
USER airflow
WORKDIR /opt/airflow/sm-pipelines
COPY --chown=airflow:0 pyproject.toml README.md LICENSE ./
COPY --chown=airflow:0 airflow_sm_pipelines ./airflow_sm_pipelines
# The Airflow of the base image stays as it is: the constraint names its exact version.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" ".[compiler,local]"
WORKDIR /opt/airflow
