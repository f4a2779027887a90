"""Which Airflow it is."""

AIRFLOW_V_3_0_PLUS = True
