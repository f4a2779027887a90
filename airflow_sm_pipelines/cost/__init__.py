"""What pipelines cost: tags that split a bill, an estimate at once, and what Cost Explorer says a day later.

Pure: it takes definitions and API answers, and returns numbers and tables. Only :func:`load_prices` reads a file.
"""

from __future__ import annotations

from airflow_sm_pipelines.cost.billed import LAG, BilledCost, explain_billed, make_cost_request, sum_costs
from airflow_sm_pipelines.cost.cost_report import billed_to_json, estimate_to_json, render_billed, render_estimate
from airflow_sm_pipelines.cost.cost_tags import COST_PARAMETERS, with_cost_tags
from airflow_sm_pipelines.cost.estimate import (
    CostEstimate,
    JobUse,
    StepCost,
    estimate_cost,
    find_instances,
    parse_job_use,
)
from airflow_sm_pipelines.cost.prices import (
    PriceTable,
    find_price_list_region,
    load_prices,
    make_price_request,
    parse_price_list,
    parse_prices,
)

__all__ = [
    "COST_PARAMETERS",
    "LAG",
    "BilledCost",
    "CostEstimate",
    "JobUse",
    "PriceTable",
    "StepCost",
    "billed_to_json",
    "estimate_cost",
    "estimate_to_json",
    "explain_billed",
    "find_instances",
    "find_price_list_region",
    "load_prices",
    "make_cost_request",
    "make_price_request",
    "parse_job_use",
    "parse_price_list",
    "parse_prices",
    "render_billed",
    "render_estimate",
    "sum_costs",
    "with_cost_tags",
]
