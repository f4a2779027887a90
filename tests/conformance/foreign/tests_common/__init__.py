"""What the amazon provider's system tests import of Airflow's development tools, where a checkout lacks these."""
