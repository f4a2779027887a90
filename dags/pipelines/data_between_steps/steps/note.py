"""Write down the arguments: each is a text."""

import json
import sys
from pathlib import Path

output = Path("/opt/ml/processing/note")
output.mkdir(parents=True, exist_ok=True)
(output / "note.json").write_text(json.dumps(sys.argv[1:]))
