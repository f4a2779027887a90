"""Groups of tasks that DAG authors use; they make operators, and hold no rules."""
