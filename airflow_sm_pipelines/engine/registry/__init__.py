"""Models, endpoints and experiments: how their records are made and changed, by a step or by a client's call.

Callers hold a store transaction. The API operations on these records are in ``operations``.
"""
