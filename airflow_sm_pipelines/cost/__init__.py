"""What pipelines cost: tags that bills are split by, an estimate at once, and what Cost Explorer says a day later.

Pure: API answers and definitions go in, numbers and tables come out.
"""

from __future__ import annotations

from airflow_sm_pipelines.cost.billed import LAG, BilledCost, explain_billed, make_cost_request, sum_costs
from airflow_sm_pipelines.cost.cost_report import render_billed, render_estimate
from airflow_sm_pipelines.cost.estimate import CostEstimate, StepCost, estimate_cost
from airflow_sm_pipelines.cost.price_list import make_price_request, parse_price_list, price_list_region
from airflow_sm_pipelines.cost.prices import PriceTable, load_prices, parse_prices
from airflow_sm_pipelines.cost.reports import billed_to_json, estimate_to_json
from airflow_sm_pipelines.cost.tags import COST_PARAMETERS, with_cost_tags
from airflow_sm_pipelines.cost.usage import JobUse, parse_job_use

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
    "load_prices",
    "make_cost_request",
    "make_price_request",
    "parse_job_use",
    "parse_price_list",
    "parse_prices",
    "price_list_region",
    "render_billed",
    "render_estimate",
    "sum_costs",
    "with_cost_tags",
]
