"""The operators, one family per module: ``deploy`` makes pipeline versions, ``run`` starts executions and waits for
them.

Nothing is re-exported, so that a DAG file imports only the operators it names; the package root has them all.
"""
