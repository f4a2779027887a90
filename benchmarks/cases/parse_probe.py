"""Run one DAG file as Airflow's DAG processor does, and print what that took as one JSON object.

The processor forks a child that has Airflow loaded already, so Airflow's own import is not counted. This knows the
standard library only: it runs in the SageMaker SDK's interpreter too, where no Airflow is.
"""

import contextlib
import json
import resource
import runpy
import sys
import time

with contextlib.suppress(ImportError):
    import airflow.dag_processing.dagbag
    import airflow.sdk  # noqa: F401

modules = len(sys.modules)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
runpy.run_path(sys.argv[1])
seconds = time.perf_counter() - started
print(
    json.dumps(
        {
            "seconds": seconds,
            "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
            "modules": len(sys.modules) - modules,
        }
    )
)
