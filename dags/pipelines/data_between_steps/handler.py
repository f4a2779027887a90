"""The Lambda function: gives one value of each kind to the steps after it."""

from step_values import dump_value


def give(event, context):
    """Give a number, a short list, a long one, and a list as AWS's guide writes it."""
    thresholds = [{"alpha": 10.0**-power, "label": f"level {power}"} for power in range(int(event["count"]))]
    place = event["place"]
    return {
        "count": len(thresholds),
        "short": dump_value(thresholds[:3], max_characters=256, s3_uri=f"{place}/short.json"),
        "long": dump_value(thresholds, max_characters=256, s3_uri=f"{place}/long.json"),
        "python": str([1, 2, {"three": 3}]),
    }
