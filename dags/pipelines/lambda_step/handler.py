"""The Lambda function: decides what to try, from what was measured."""

import json


def choose(event, context):
    """Give how to validate, and the candidates.

    An output is a text, a number or a boolean. A list travels as JSON text: at most 1024 characters as an output, and
    256 as a job's argument.
    """
    rows, mean = event["rows"], event["mean"]
    return {
        "folds": 5 if rows > 200 else 3,
        "test_share": 0.25,
        "shuffle": mean > 0,
        "candidates": json.dumps([{"alpha": 10.0**-power} for power in range(int(event["candidates"]))]),
    }
