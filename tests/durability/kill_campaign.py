"""kill -9 of the whole server at random moments, in boot too; then everything that was acknowledged must be there."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass
class Figures:
    """What a campaign has done.

    :param amid_jobs: how many of the kills came while jobs ran.
    :param in_boot: how many came before the server had announced itself.
    """

    kills: int = 0
    amid_jobs: int = 0
    in_boot: int = 0
    executions: int = 0
    objects: int = 0
    events: int = 0


def kill_often(folder: Path, *, kills: int, seed: int) -> Figures:
    """Kill one server so many times, let everything end, and check it.

    :raises AssertionError: when something acknowledged is lost, or ran twice.
    """
    chance = random.Random(seed)
    server, remembered, figures = WholeServer(folder), Remembered(), Figures()
    started = time.monotonic()
    server.start()
    boot_seconds = time.monotonic() - started
    prepare(server)
    life = 0
    try:
        while figures.kills < kills:
            life += 1
            user = User(server, remembered, life=life, wanted=2)
            user.start()
            # The moment of death is what is being varied: from the first request to after all jobs.
            calls = chance.choice((0, 3, 6, 12, 24))
            wait_for(lambda user=user, calls=calls: user.rounds >= calls or user.faults != [], "the client gets on")  # type: ignore[misc]
            user.join(chance.uniform(0, 0.4))
            figures.amid_jobs += bool(server.job_processes())
            server.kill()
            figures.kills += 1
            user.stop.set()
            user.join(60)
            assert user.faults == [], f"seed {seed}, life {life}"
            wait_for(lambda: server.job_processes() == [], f"jobs end with the server: {server.job_processes()}", 20)
            while figures.kills < kills and chance.random() < 0.6:
                server.launch()
                time.sleep(chance.uniform(0, boot_seconds))
                figures.in_boot += not server.is_announced()
                server.kill()
                figures.kills += 1
            server.start()
        finish_all(server, remembered)
        figures.executions, figures.objects = len(remembered.executions), len(remembered.objects)
        figures.events = check(server, remembered, kills=kills)
    finally:
        server.kill()
    return figures


def check(server: WholeServer, remembered: Remembered, *, kills: int) -> int:
    """Hold what is there against what was acknowledged; give how many events have come."""
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
    assert len(arns) - len(remembered.executions) <= kills
    wait_for(
        lambda: len(list_packages(server)) >= len(arns) or any_unanswered(server, arns, remembered),
        "each execution registers one package",
    )
    assert len(list_packages(server)) == len(arns), "one package for each execution, none twice"
    return check_events(server, remembered)


def any_unanswered(server: WholeServer, arns: set[str], remembered: Remembered) -> bool:
    """Finish executions that nobody was told of."""
    extra = Remembered(executions={arn: arn for arn in arns - set(remembered.executions.values())})
    finish_all(server, extra)
    return False


def check_events(server: WholeServer, remembered: Remembered) -> int:
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
            if "pipelineExecutionArn" not in detail:
                continue  # of a job
            status = detail.get("currentStepStatus") or detail["currentPipelineExecutionStatus"]
            seen[detail["pipelineExecutionArn"], detail.get("stepName"), status] += 1
        return wanted <= seen.keys()

    wait_for(have_come, f"events arrive: {sorted(wanted - seen.keys(), key=str)[:5]}", 30)
    return sum(seen.values())
