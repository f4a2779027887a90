"""Other projects' integration tests, run from checkouts against the local endpoint: ``python -m tests.conformance``.

No line of theirs is kept here: ``suites`` says which of their files run and in which environment, ``expected`` what of
them is known not to pass, and why.
"""
