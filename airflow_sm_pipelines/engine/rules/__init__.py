"""The decisions of the engine, without a clock, a file or a thread: the same arguments always give the same answer.

What belongs here: what an execution does next, what an expression is worth, what the record of a job says. What does
not: the database, processes, S3. A rule gets what it needs from there as an argument; import-linter holds this.
"""
