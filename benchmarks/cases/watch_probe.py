"""Run many triggers in one process and event loop, as a triggerer does, and print what that took as one JSON object.

Usage: ``watch_probe.py ours|steps|theirs WAITER_DELAY < ARNS``, one ARN a line; ``steps`` is ours, told of the steps at
the operator's default interval. The first line of output says that every
trigger has been made and its first look is under way or done; the last is the figures.
"""

import asyncio
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

# What a trigger logs would fill the pipe, and block it, before anybody reads the figures.
logging.disable(logging.CRITICAL)
figures = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def make_trigger(kind, arn, delay):
    """The trigger as the operator would make it."""
    if kind in ("ours", "steps"):
        from airflow_sm_pipelines.operators.run import PROGRESS_DELAY_SECONDS
        from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

        progress = PROGRESS_DELAY_SECONDS if kind == "steps" else None
        trigger = SageMakerPipelineExecutionTrigger(
            execution_arn=arn, waiter_delay=delay, progress_delay=progress, aws_conn_id=None
        )
    else:
        from airflow.providers.amazon.aws.triggers.sagemaker import SageMakerPipelineTrigger

        trigger = SageMakerPipelineTrigger(
            waiter_type=SageMakerPipelineTrigger.Type.COMPLETE,
            pipeline_execution_arn=arn,
            waiter_delay=delay,
            waiter_max_attempts=9999,
            aws_conn_id=None,
        )
    trigger._task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id=arn, map_index=-1)
    return trigger


def resident_bytes():
    """What the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def event_of(trigger, arn, ended, failed):
    """Wait for one trigger, and note when."""
    try:
        async for event in trigger.run():
            if event.payload.get("kind", "ended") == "ended":
                ended[arn] = time.time()
            else:
                failed[arn] = str(event.payload)
            return
        failed[arn] = "no event"
    except Exception as error:
        failed[arn] = f"{type(error).__name__}: {error}"


async def main(kind, delay, arns):
    """All of them together."""
    make_trigger(kind, arns[0], delay)  # imports
    if kind in ("ours", "steps"):
        from airflow_sm_pipelines.hooks import sagemaker_pipelines  # noqa: F401
    else:
        import aiobotocore.session  # noqa: F401
    memory, cpu = resident_bytes(), time.process_time()
    ended, failed = {}, {}
    tasks = [asyncio.create_task(event_of(make_trigger(kind, arn, delay), arn, ended, failed)) for arn in arns]
    await asyncio.sleep(0)
    print("running", file=figures, flush=True)
    peak = 0
    while len(ended) + len(failed) < len(tasks):
        peak = max(peak, resident_bytes())
        await asyncio.sleep(0.25)
    return {"cpu": time.process_time() - cpu, "bytes": peak - memory, "ended": ended, "failed": failed}


print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.stdin.read().split()))), file=figures)
