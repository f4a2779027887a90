"""Take the values, and write down what came."""

import json
import sys
from pathlib import Path

from step_values import load_value

count, short, long, python = sys.argv[1:]
output = Path("/opt/ml/processing/taken")
output.mkdir(parents=True, exist_ok=True)
taken = {
    "count": load_value(count),
    "short": load_value(short),
    "long": {"text": long, "size": len(load_value(long)), "last": load_value(long)[-1]},
    "python": eval(python),  # noqa: S307 - as AWS's guide does; it would run any code that stood there
}
(output / "taken.json").write_text(json.dumps(taken))
