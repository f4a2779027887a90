"""Tags that bills are split by, estimates from what jobs used, and sums of what Cost Explorer answers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.cost import (
    BilledCost,
    JobUse,
    PriceTable,
    billed_to_json,
    estimate_cost,
    estimate_to_json,
    explain_billed,
    load_prices,
    make_cost_request,
    parse_job_use,
    parse_prices,
    render_billed,
    render_estimate,
    sum_costs,
    with_cost_tags,
)
from airflow_sm_pipelines.cost.prices import find_price_list_region, make_price_request, parse_price_list
from airflow_sm_pipelines.definition import definition_hash, diff_definitions, parse_definition
from airflow_sm_pipelines.exceptions import DefinitionError, PriceError
from airflow_sm_pipelines.policy import check_definition

DATA = Path(__file__).parent.parent / "data" / "definitions"
START = datetime(2026, 11, 23, 23, 30, tzinfo=timezone.utc)


# Tags


def test_every_job_is_tagged_by_expressions_so_that_no_run_makes_a_version() -> None:
    definition = parse_definition((DATA / "diabetes_v2.json").read_text())
    tagged = with_cost_tags(definition, {"team": "forecasting"})
    assert tagged.step("Train").arguments["Tags"] == [
        {"Key": "sm-pipelines:pipeline", "Value": {"Get": "Execution.PipelineName"}},
        {"Key": "sm-pipelines:execution", "Value": {"Get": "Execution.PipelineExecutionId"}},
        {"Key": "sm-pipelines:step", "Value": "Train"},
        {"Key": "sm-pipelines:dag", "Value": {"Get": "Parameters.AirflowDagId"}},
        {"Key": "sm-pipelines:run", "Value": {"Get": "Parameters.AirflowRunId"}},
        {"Key": "team", "Value": "forecasting"},
    ]
    assert tagged.parameter("AirflowRunId").default == "none"
    touched = {change.path.split(".")[1] for change in diff_definitions(definition, tagged)}
    assert touched == {"AirflowDagId", "AirflowRunId", "Preprocess", "Train", "Evaluate"}
    assert check_definition(tagged) == ()
    assert definition_hash(with_cost_tags(tagged, {"team": "forecasting"})) == definition_hash(tagged)


def test_tags_of_the_author_stay_and_untaggable_pipelines_are_left_alone() -> None:
    own = [{"Key": "team", "Value": "mine"}]
    document = {"Steps": [{"Name": "T", "Type": "Training", "Arguments": {"Tags": own}}]}
    tags: Any = with_cost_tags(parse_definition(document), {"team": "ours"}).steps[0].arguments["Tags"]
    assert [tag["Value"] for tag in tags if tag["Key"] == "team"] == ["mine"]
    lone = parse_definition({"Steps": [{"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]})
    assert diff_definitions(lone, with_cost_tags(lone)) == ()


def test_a_parameter_of_another_type_is_not_taken_for_the_runs() -> None:
    document = {"Parameters": [{"Name": "AirflowRunId", "Type": "Integer"}], "Steps": []}
    with pytest.raises(DefinitionError, match="need a String"):
        with_cost_tags(parse_definition(document))


# What was used


@pytest.mark.parametrize(
    ("kind", "description", "expected"),
    [
        pytest.param(
            "Training",
            {
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
                "BillableTimeInSeconds": 90,
                "TrainingStartTime": START,
                "TrainingEndTime": START + timedelta(seconds=300),
            },
            [("ml.m5.large", 2, 90)],
            id="spot training is billed by its billable time",
        ),
        pytest.param(
            "Processing",
            {
                "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
                "ProcessingStartTime": START,
                "ProcessingEndTime": START + timedelta(seconds=60),
            },
            [("ml.m5.large", 1, 60)],
            id="processing by the clock",
        ),
        pytest.param(
            "Transform",
            {"TransformResources": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 3}, "TransformStartTime": START},
            [("ml.c5.xlarge", 3, 120)],
            id="a running job so far",
        ),
        pytest.param(
            "Training",
            {
                "ResourceConfig": {
                    "InstanceGroups": [
                        {"InstanceType": "ml.m5.large", "InstanceCount": 1},
                        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 4},
                    ]
                },
                "BillableTimeInSeconds": 10,
            },
            [("ml.m5.large", 1, 10), ("ml.c5.xlarge", 4, 10)],
            id="groups of instances",
        ),
        pytest.param(
            "Training", {"ResourceConfig": {"InstanceType": "ml.m5.large"}}, [("ml.m5.large", 1, 0)], id="new"
        ),
    ],
)
def test_a_job_uses_its_instances_for_its_billable_time(kind: str, description: Any, expected: Any) -> None:
    uses = parse_job_use("S", kind, description, now=START + timedelta(seconds=120))
    assert [(use.instance_type, use.instance_count, use.seconds) for use in uses] == expected


# Prices and the estimate


def test_the_sample_prices_are_prices(repository: Path) -> None:
    prices = load_prices(repository / "dags" / "policies" / "prices.toml")
    assert prices.find("Training", "ml.m5.large") == 0.115
    assert prices.find("Training", "ml.unknown") is None


def test_a_kind_of_job_may_have_prices_of_its_own() -> None:
    prices = parse_prices('[hourly]\n"ml.m5.large" = 2\n[training]\n"ml.m5.large" = 1\n')
    assert (prices.find("Training", "ml.m5.large"), prices.find("Processing", "ml.m5.large")) == (1.0, 2.0)


def test_each_kind_of_job_has_its_table_and_the_file_its_currency() -> None:
    text = 'currency = "EUR"\n' + "".join(
        f'[{kind}]\n"ml.a" = {price}\n' for price, kind in enumerate(("processing", "training", "transform", "hourly"))
    )
    assert parse_prices(text) == PriceTable(
        currency="EUR",
        hourly={"ml.a": 3.0},
        by_kind={"Processing": {"ml.a": 0.0}, "Training": {"ml.a": 1.0}, "Transform": {"ml.a": 2.0}},
    )
    assert parse_prices("") == PriceTable("USD", {}, {"Processing": {}, "Training": {}, "Transform": {}})


@pytest.mark.parametrize(
    ("region", "home"),
    [
        ("cn-north-1", "cn-northwest-1"),
        ("eu-west-3", "eu-central-1"),
        ("ap-southeast-2", "ap-south-1"),
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
    ],
)
def test_prices_are_asked_for_where_a_price_list_is(region: str, home: str) -> None:
    assert find_price_list_region(region) == home


def test_the_price_list_is_asked_for_one_type_in_one_region() -> None:
    assert make_price_request("ml.m5.large", region="eu-west-1") == {
        "ServiceCode": "AmazonSageMaker",
        "FormatVersion": "aws_v1",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"},
            {"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.m5.large"},
        ],
    }


def product(usage: str, *dimensions: tuple[str, dict[str, str]], term: str = "OnDemand") -> str:
    listed = {str(at): {"unit": unit, "pricePerUnit": price} for at, (unit, price) in enumerate(dimensions)}
    terms = {term: {"a": {"priceDimensions": listed}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def test_only_the_hours_of_jobs_are_taken_from_the_price_list() -> None:
    products = [
        product("EUW1-Train:ml.m5.large", ("GB", {"CNY": "9"}), ("Hrs", {"CNY": "0.5"})),
        product("Processing:ml.m5.large", ("hour", {"CNY": "0.25"})),
        product("USE1-Tsform:ml.c5.xlarge", ("Hours", {"CNY": "0.75"})),
        product("USE1-Train:ml.c5.xlarge", ("Hrs", {"CNY": "1"})),
        product("USE1-Host:ml.m5.large", ("Hrs", {"USD": "7"})),
        product("USE1-Train:ml.p3.2xlarge", ("Hrs", {"USD": "7"}), term="Reserved"),
        "{}",
        json.dumps({"product": {"attributes": {"usagetype": "Train:ml.x"}}, "terms": None}),
    ]
    assert parse_price_list(products) == PriceTable(
        currency="CNY",
        by_kind={
            "Training": {"ml.m5.large": 0.5, "ml.c5.xlarge": 1.0},
            "Processing": {"ml.m5.large": 0.25},
            "Transform": {"ml.c5.xlarge": 0.75},
        },
    )
    assert parse_price_list([]) == PriceTable("USD", {}, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hourly = 5", r"\[hourly\] must be a table"),
        ('[hourly]\n"ml.a" = true', "must be the price of an hour"),
        ('[training]\n"ml.a" = inf', r"training\.ml\.a must be the price of an hour"),
        ("[hourly", "is not TOML"),
        ("[horly]", "Did you mean 'hourly'"),
        ("[hourly]\nml.m5.large = 1", "Write the type in quotes"),
        ('[hourly]\n"ml.m5.large" = -1', "must be the price of an hour"),
        ("currency = 5", "must be a text"),
    ],
)
def test_what_is_no_price_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PriceError, match=reason):
        parse_prices(text)


def test_the_estimate_is_a_table_that_says_what_it_leaves_out() -> None:
    uses = [JobUse("Train", "Training", "ml.m5.large", 2, 1800), JobUse("Odd", "Processing", "ml.x", 1, 3600)]
    estimate = estimate_cost(uses, PriceTable(hourly={"ml.m5.large": 0.5}), free=["Check"])
    assert estimate.total == 0.5
    assert render_estimate(estimate).splitlines() == [
        "Step   Instances        Hours   USD/h     USD",
        "Train  2 x ml.m5.large  1.000  0.5000  0.5000",
        "Odd    1 x ml.x         1.000       ?       ?",
        "Check  none                            0.0000",
        "Total                   2.000          0.5000",
        "No price for ml.x: the total leaves them out.",
        "An estimate for instances only: volumes, storage and requests cost extra.",
    ]


def test_the_estimate_for_programs_has_all_that_the_table_has() -> None:
    uses = [JobUse("Train", "Training", "ml.m5.large", 2, 1800), JobUse("Odd", "Processing", "ml.x", 1, 3600)]
    prices = PriceTable(hourly={"ml.m5.large": 0.5}, currency="EUR")
    assert estimate_to_json(estimate_cost(uses, prices, free=["Check"])) == {
        "source": "estimate",
        "currency": "EUR",
        "total": 0.5,
        "steps": [
            {
                "step": "Train",
                "kind": "Training",
                "instance_type": "ml.m5.large",
                "instance_count": 2,
                "seconds": 1800,
                "hourly": 0.5,
                "amount": 0.5,
            },
            {
                "step": "Odd",
                "kind": "Processing",
                "instance_type": "ml.x",
                "instance_count": 1,
                "seconds": 3600,
                "hourly": None,
                "amount": None,
            },
        ],
        "free": ["Check"],
        "unpriced": ["ml.x"],
    }


# The bill


def test_cost_explorer_is_asked_for_whole_days_the_last_one_included() -> None:
    request = make_cost_request(
        tag_key="sm-pipelines:execution", tag_value="abc", started=START, ended=START + timedelta(hours=1)
    )
    assert request == {
        "TimePeriod": {"Start": "2026-11-23", "End": "2026-11-25"},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "Filter": {"Tags": {"Key": "sm-pipelines:execution", "Values": ["abc"], "MatchOptions": ["EQUALS"]}},
        "GroupBy": [{"Type": "TAG", "Key": "sm-pipelines:step"}],
    }
    east = timezone(timedelta(hours=9))
    days = (datetime(2026, 11, 24, 8, 59, tzinfo=east), datetime(2026, 11, 24, 9, 0, tzinfo=east))
    other = make_cost_request(tag_key="k", tag_value="v", started=days[0], ended=days[1], group_by="team")
    assert other["TimePeriod"] == {"Start": "2026-11-23", "End": "2026-11-25"}
    assert other["GroupBy"] == [{"Type": "TAG", "Key": "team"}]


def group(name: str, amount: str) -> dict[str, Any]:
    return {"Keys": [f"sm-pipelines:step${name}"], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "EUR"}}}


def test_days_and_pages_add_up_by_step() -> None:
    cost = sum_costs(
        [
            {"ResultsByTime": [{"Groups": [group("Train", "1.5"), group("", "0.25")], "Estimated": True}]},
            {"ResultsByTime": [{"Groups": [group("Train", "0.5")]}]},
        ]
    )
    assert (cost.amount, cost.currency, cost.is_estimated) == (2.25, "EUR", True)
    assert cost.by_group == {"Train": 2.0, "(untagged)": 0.25}
    assert render_billed(cost).splitlines() == [
        "Step           EUR",
        "Train       2.0000",
        "(untagged)  0.2500",
        "Total       2.2500",
    ]


def total(amount: str) -> dict[str, Any]:
    return {"UnblendedCost": {"Amount": amount, "Unit": "EUR"}}


def test_a_days_total_counts_only_where_the_day_is_not_split_by_step() -> None:
    days = [
        {"Groups": [group("Train", "1.5")], "Total": total("1.5")},
        {"Groups": [], "Total": total("2")},
        {"Total": {}},
        {"Total": total("0.5"), "Estimated": False},
    ]
    cost = sum_costs([{"ResultsByTime": days}, {}])
    assert (cost.amount, cost.currency, cost.by_group, cost.is_estimated) == (4.0, "EUR", {"Train": 1.5}, False)
    assert billed_to_json(cost, ["a note"]) == {
        "source": "billed",
        "currency": "EUR",
        "total": 4.0,
        "steps": [{"step": "Train", "amount": 1.5}],
        "notes": ["a note"],
    }


@pytest.mark.parametrize(
    ("hours", "amount", "is_estimated", "starts"),
    [
        (23.9, 1.0, False, ["Cost Explorer may be 24 hours late"]),
        (24, 0.0, True, ["Nothing is billed under the tag 'k'", "The month is not closed"]),
        (24, 1.0, False, []),
        (24, 1.0, True, ["The month is not closed"]),
    ],
)
def test_notes_tell_when_to_ask_again(hours: float, amount: float, is_estimated: bool, starts: list[str]) -> None:
    cost = BilledCost(amount, "USD", {}, is_estimated)
    notes = explain_billed(cost, tag_key="k", ended=START, now=START + timedelta(hours=hours))
    assert [note[: len(start)] for note, start in zip(notes, starts, strict=True)] == starts
    assert render_billed(cost, notes).splitlines()[2:] == list(notes)


def test_an_empty_bill_says_why_it_may_be_empty() -> None:
    nothing = sum_costs([{"ResultsByTime": []}])
    (early,) = explain_billed(nothing, tag_key="k", ended=START, now=START + timedelta(hours=2))
    assert "24 hours late" in early
    (late,) = explain_billed(nothing, tag_key="k", ended=START, now=START + timedelta(days=3))
    assert "Activate it as a cost allocation tag" in late
    assert json.dumps(early + late)
