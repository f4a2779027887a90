"""The triggers, and what serves them in a triggerer.

``execution``, ``step`` and ``callback`` wait for deferred tasks, ``asset_events`` starts DAGs. The watcher, with its
registry, its schedule, its rate limit and its feed of status events, serves the waits of ``execution`` and ``step``.
"""
