"""Programs that run by path in the processes of jobs, in the environment of an image.

They import nothing of this package, which is not installed there, and nothing of this package imports them. Most of
them use only the standard library; each says what else it needs.
"""
