"""The command ``cost``: what an execution cost, by an estimate or by the bill."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.definition import JsonValue


def run_cost(arguments: argparse.Namespace) -> int:
    """Show the costs of an execution, step by step."""
    return _run_billed(arguments) if arguments.billed else _run_estimate(arguments)


def _run_estimate(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.service import list_execution_steps, list_step_jobs
    from airflow_sm_pipelines.cost import estimate_cost, load_prices, parse_job_use, render_estimate

    prices = load_prices(arguments.prices)
    now = datetime.now(timezone.utc)
    steps = list_execution_steps(arguments.execution, arguments)
    steps.sort(key=lambda step: step.get("StartTime") or now)
    jobs = list_step_jobs(steps, arguments)
    uses = [use for step, kind, description in jobs for use in parse_job_use(step, kind, description, now=now)]
    paid = {use.step for use in uses}
    free = dict.fromkeys(str(step["StepName"]) for step in steps if step["StepName"] not in paid)
    estimate = estimate_cost(uses, prices, free=tuple(free))
    if not arguments.as_json:
        print(render_estimate(estimate))
        return 0
    costs: list[JsonValue] = [
        {
            "step": step.use.step,
            "kind": step.use.kind,
            "instance_type": step.use.instance_type,
            "instance_count": step.use.instance_count,
            "seconds": step.use.seconds,
            "hourly": step.hourly,
            "amount": step.amount,
        }
        for step in estimate.steps
    ]
    document: dict[str, JsonValue] = {
        "source": "estimate",
        "currency": estimate.currency,
        "total": estimate.total,
        "steps": costs,
        "free": list(estimate.free),
        "unpriced": list(estimate.unpriced),
    }
    print(json.dumps(document, indent=2))
    return 0


def _run_billed(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.service import ask_cost_explorer, describe_execution
    from airflow_sm_pipelines.cost import explain_billed, make_cost_request, render_billed, sum_costs

    now = datetime.now(timezone.utc)
    execution = describe_execution(arguments.execution, arguments)
    is_running = execution["PipelineExecutionStatus"] in ("Executing", "Stopping")
    ended = now if is_running else execution.get("LastModifiedTime") or now
    request = make_cost_request(
        tag_key=arguments.tag_key,
        tag_value=arguments.execution.rpartition("/")[2],
        started=execution.get("CreationTime") or now,
        ended=ended,
    )
    cost = sum_costs(ask_cost_explorer(request, arguments))
    notes = explain_billed(cost, tag_key=arguments.tag_key, ended=ended, now=now)
    if arguments.as_json:
        document: dict[str, JsonValue] = {
            "source": "billed",
            "currency": cost.currency,
            "total": cost.amount,
            "steps": [{"step": name, "amount": amount} for name, amount in cost.by_group.items()],
            "notes": list(notes),
        }
        print(json.dumps(document, indent=2))
    else:
        print(render_billed(cost, notes))
    return 0
