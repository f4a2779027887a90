"""Hyperparameter tuning: what a request asks for, what to try next, and when to end.

Who runs the training jobs is an argument (``TrainingJobs``).
"""
