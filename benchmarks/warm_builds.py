"""What an unchanged pipeline script costs that asked AWS one question, against importing the SDK and building it.

The endpoint runs in a process of its own, so the call and the command pay for nothing but themselves. The command is
also held against what any command that asks AWS must pay: botocore's import and one client.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from airflow_sm_pipelines.compiler import compile_pipeline
from airflow_sm_pipelines.environments import default_cache_dir, ensure_environment
from benchmarks.local_endpoint import ROLE, local_endpoint
from benchmarks.measure import Row, alternate, run_probe

CASES = Path(__file__).parent / "cases"
SDKS = {"v2": "sagemaker>=2.257,<3", "v3": "sagemaker-mlops>=1.27,<2"}
BARE_CLIENT = "import botocore.session; botocore.session.get_session().create_client('sagemaker', 'us-east-1')"


def measure(runs: int = 11) -> list[Row]:
    """Seconds of ``compile_pipeline`` and of ``sm-pipelines compile``, for both SDKs, as medians."""
    environments = default_cache_dir(os.environ) / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder, local_endpoint(Path(folder) / "state") as endpoint:
        aws = {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        cache = Path(folder) / "cache"
        cache.mkdir()
        (cache / "environments").symlink_to(environments)
        env = {**os.environ, **aws, "SM_PIPELINES_CACHE_DIR": str(cache)}
        # As it is installed: without having to compile its modules each time.
        env |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}

        def call(reference: str) -> dict[str, float]:
            started = time.perf_counter()
            compiled = compile_pipeline(
                reference,
                role_arn=ROLE,
                region="us-east-1",
                aws_environment=aws,
                cache_dir=cache,
                log=lambda _: None,
            )
            return {"seconds": time.perf_counter() - started, "from_cache": float(compiled.from_cache)}

        def command(reference: str) -> dict[str, float]:
            started = time.perf_counter()
            line = [sys.executable, "-m", "airflow_sm_pipelines.cli", "compile", reference, "--role-arn", ROLE]
            done = subprocess.run(line, env=env, check=True, capture_output=True, text=True)
            return {"seconds": time.perf_counter() - started, "from_cache": float("is unchanged" in done.stderr)}

        def bare_client() -> dict[str, float]:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", BARE_CLIENT], env=env, check=True)
            return {"seconds": time.perf_counter() - started}

        for sdk, requirement in SDKS.items():
            script = str(CASES / f"one_question_{sdk}.py")
            reference = f"{script}:get_pipeline"
            python = str(ensure_environment([requirement], cache_dir=cache))
            command(reference)
            ours, ours_as_command, client, by_hand = alternate(
                runs,
                lambda reference=reference: call(reference),
                lambda reference=reference: command(reference),
                bare_client,
                lambda python=python, script=script: run_probe([python, str(CASES / "build_by_hand.py"), script], env),
            )
            assert ours["from_cache"] == ours_as_command["from_cache"] == 1.0
            for what, figures in (("compile_pipeline", ours), ("sm-pipelines compile", ours_as_command)):
                title = f"{what}, unchanged, one question to AWS, SDK {sdk}"
                rows.append(Row(title, figures["seconds"], "import the SDK and build", by_hand["seconds"], "s", runs))
            title = f"sm-pipelines compile, unchanged, SDK {sdk}"
            rows.append(Row(title, ours_as_command["seconds"], "botocore with a client", client["seconds"], "s", runs))
    return rows
