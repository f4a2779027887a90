from pathlib import Path

import six

print("six", six.__version__, "in", Path.cwd())
