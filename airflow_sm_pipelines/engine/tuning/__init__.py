"""Hyperparameter tuning: what to try next (pure), and the jobs that try it."""
