"""The whole server, jobs and queues and all, under kill -9 at random moments: nothing acknowledged is lost.

``SM_PIPELINES_KILLS`` makes the run longer. Which guarantee holds for what is in docs/engine.md.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.durability.whole_server import (
    BUCKET,
    STEPS,
    Remembered,
    User,
    WholeServer,
    finish_all,
    iter_events,
    list_packages,
    list_steps,
    prepare,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("SM_PIPELINES_KILLS", "3"))
SEED = int(os.environ.get("SM_PIPELINES_KILL_SEED", "11"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_server_loses_nothing_acknowledged_by_kill_9_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills")
    server, remembered, kills_amid_jobs = WholeServer(tmp_path), Remembered(), 0
    server.start()
    prepare(server)
    try:
        for life in range(KILLS):
            user = User(server, remembered, life=life, wanted=2)
            user.start()
            # The moment of death is what is being varied: from the first request to after all jobs.
            calls = chance.choice((0, 3, 6, 12, 24))
            wait_for(lambda user=user, calls=calls: user.rounds >= calls or user.faults != [], "the client gets on")  # type: ignore[misc]
            user.join(chance.uniform(0, 0.4))
            running = len(server.job_processes())
            kills_amid_jobs += bool(running)
            server.kill()
            user.stop.set()
            user.join(60)
            assert user.faults == [], f"seed {SEED}, life {life}"
            wait_for(lambda: server.job_processes() == [], f"jobs end with the server: {server.job_processes()}", 20)
            server.start()
        print(f"{kills_amid_jobs} of the kills came while jobs ran")
        finish_all(server, remembered)
        check(server, remembered)
    finally:
        server.kill()


def check(server: WholeServer, remembered: Remembered) -> None:
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    assert "Traceback" not in server.output()
    for token, arn in remembered.executions.items():
        described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        reasons = {step["StepName"]: step.get("FailureReason") for step in list_steps(server, arn)}
        assert described["PipelineExecutionStatus"] == "Succeeded", reasons
        again = sagemaker.start_pipeline_execution(PipelineName="work", ClientRequestToken=token)
        assert again["PipelineExecutionArn"] == arn, "the token still means this execution"
        steps = {step["StepName"]: step for step in list_steps(server, arn)}
        assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(STEPS, "Succeeded")
        for name, step in steps.items():
            seen = remembered.ended_steps.get((arn, name), step["EndTime"])
            assert step["EndTime"] == seen, f"{name} of {arn} had ended, and ran again"
        callback = steps["Ask"]["Metadata"]["Callback"]
        answer = {output["Name"]: output["Value"] for output in callback["OutputParameters"]}
        assert answer == {"answer": callback["CallbackToken"]}
        assert remembered.answered[callback["CallbackToken"]] == arn
    for key, body in remembered.objects.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key
    # What was recorded and not yet acknowledged when the server died is there, too; so count by what is there.
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName="work")
    there = [item for page in pages for item in page["PipelineExecutionSummaries"]]
    arns = {item["PipelineExecutionArn"] for item in there}
    assert set(remembered.executions.values()) <= arns
    assert len(arns) - len(remembered.executions) <= KILLS
    wait_for(
        lambda: len(list_packages(server)) >= len(arns) or any_unanswered(server, arns, remembered),
        "each execution registers one package",
    )
    assert len(list_packages(server)) == len(arns), "one package for each execution, none twice"
    check_events(server, remembered)


def any_unanswered(server: WholeServer, arns: set[str], remembered: Remembered) -> bool:
    """Finish executions that nobody was told of."""
    extra = Remembered(executions={arn: arn for arn in arns - set(remembered.executions.values())})
    finish_all(server, extra)
    return False


def check_events(server: WholeServer, remembered: Remembered) -> None:
    """Every change of every acknowledged execution came at least once."""
    seen: Counter[tuple[str, str | None, str]] = Counter()
    wanted = {
        (arn, name, status)
        for arn in remembered.executions.values()
        for name, status in [(None, "Executing"), (None, "Succeeded"), *((step, "Succeeded") for step in STEPS)]
    }

    def have_come() -> bool:
        for event in iter_events(server):
            detail = event["detail"]
            status = detail.get("currentStepStatus") or detail["currentPipelineExecutionStatus"]
            seen[detail["pipelineExecutionArn"], detail.get("stepName"), status] += 1
        return wanted <= seen.keys()

    wait_for(have_come, f"events arrive: {sorted(wanted - seen.keys(), key=str)[:5]}", 30)
    print(f"{len(remembered.executions)} executions, {len(remembered.objects)} objects, {sum(seen.values())} events")
