"""Programs that run inside a job's own process, by path, in the image's environment.

They import nothing of this package, since it is not there, and nothing of this package imports them.
"""
