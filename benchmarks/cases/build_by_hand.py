"""Build a pipeline script's definition as its author would by hand: import the SDK, call the function."""

from __future__ import annotations

import importlib.util
import json
import sys
import time

started = time.perf_counter()
spec = importlib.util.spec_from_file_location("by_hand", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    from sagemaker.workflow.pipeline_context import PipelineSession
except ImportError:
    from sagemaker.core.workflow.pipeline_context import PipelineSession
module.get_pipeline(sagemaker_session=PipelineSession()).definition()
print(json.dumps({"seconds": time.perf_counter() - started}))
