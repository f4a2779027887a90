"""The sensors: ``execution`` waits for an execution's end, ``step`` for one step, ``callback`` for a Callback step."""
