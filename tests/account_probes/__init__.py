"""Probes between two endpoints, equal ones and one with faults: ``python -m tests.account_probes``."""
