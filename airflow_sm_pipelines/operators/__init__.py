"""The operators.

``deploy`` makes pipeline versions, ``run`` starts executions and waits for them, ``versions`` moves aliases and
deletes, ``answer_callback`` ends Callback steps, ``cost`` reports costs.

Nothing is re-exported, so that a DAG file imports only the operators it names; the package root has them all.
"""
