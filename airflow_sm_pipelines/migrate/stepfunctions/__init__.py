"""Reads state machines of AWS Step Functions, in the Amazon States Language, into workflows."""

from __future__ import annotations

from airflow_sm_pipelines.migrate.stepfunctions.machine_files import HeldMachine, find_machines
from airflow_sm_pipelines.migrate.stepfunctions.machine_reader import read_machine

__all__ = ["HeldMachine", "find_machines", "read_machine"]
