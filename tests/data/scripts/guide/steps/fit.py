"""A model of nothing."""

import os
import pathlib

pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("fitted")
