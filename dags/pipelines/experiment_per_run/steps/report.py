"""Write down what this job was told of its run."""

import json
import sys
from pathlib import Path

output = Path("/opt/ml/processing/report")
output.mkdir(parents=True, exist_ok=True)
(output / "report.json").write_text(json.dumps({"execution": sys.argv[1], "started": sys.argv[2]}))
