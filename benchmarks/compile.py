"""What building a pipeline costs when nothing changed since the last time, against building it with the SDK again."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.server import serve
from benchmarks.measure import Row, alternate

SCRIPTS = Path(__file__).parent.parent / "dags" / "pipelines" / "diabetes"
ROLE = "arn:aws:iam::123456789012:role/Execution"


def measure(runs: int = 3) -> list[Row]:
    """Seconds of a warm and of a cold compile, for both SDKs; the SDK's environment is there in both cases."""
    environments = default_cache_dir(os.environ) / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder) / "state") as server:

        def compile_in(cache: Path, script: str) -> dict[str, float]:
            cache.mkdir(exist_ok=True)
            if not (cache / "environments").exists():
                (cache / "environments").symlink_to(environments)
            started = time.perf_counter()
            compiled = compile_pipeline(
                f"{SCRIPTS / script}:get_pipeline",
                role_arn=ROLE,
                region=server.region,
                aws_environment=server.environment(),
                cache_dir=cache,
                log=lambda _: None,
            )
            return {"seconds": time.perf_counter() - started, "from_cache": float(compiled.from_cache)}

        for sdk in ("v2", "v3"):
            script = f"pipeline_{sdk}.py"
            kept = Path(folder) / f"kept-{sdk}"
            compile_in(kept, script)
            warm, cold = alternate(
                runs,
                lambda kept=kept, script=script: compile_in(kept, script),
                lambda script=script: compile_in(Path(tempfile.mkdtemp(dir=folder)), script),
            )
            assert (warm["from_cache"], cold["from_cache"]) == (1.0, 0.0)
            what = f"build the demo pipeline, SDK {sdk}"
            rows.append(Row(what, warm["seconds"], "cold build", cold["seconds"], "s", runs))
    return rows
