"""Costs asked of a price list, a Cost Explorer and a SageMaker on loopback, by real clients."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.client.costs import CostCalls
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.exceptions import PipelineNotFoundError, PriceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/train/execution/abc123def456"
NOW = datetime.now(timezone.utc)
JOB = "arn:aws:sagemaker:eu-west-1:123456789012"


class Services:
    """Answers by operation; keeps what was asked, with the region that the request was signed for."""

    def __init__(self, answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    @contextmanager
    def calls(self) -> Iterator[CostCalls]:
        """Calls by real clients that reach these services."""
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                region = self.headers["Authorization"].split("/")[2]
                services.asked.append((operation, region, body))
                answer = services.answers[operation](body) if operation in services.answers else None
                text = json.dumps(answer or {"__type": "ResourceNotFound", "message": "Nothing is known of it"})
                self.send_response(200 if answer else 400)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")

        try:
            yield CostCalls(SessionCalls(session, endpoint_url=f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def bodies(self, operation: str) -> list[dict[str, Any]]:
        """What an operation was asked with."""
        return [body for asked, _, body in self.asked if asked == operation]


def product(usage_type: str, price: str, *, unit: str = "Hrs") -> str:
    terms = {"sku.term": {"priceDimensions": {"sku.term.rate": {"unit": unit, "pricePerUnit": {"USD": price}}}}}
    return json.dumps(
        {"product": {"attributes": {"usagetype": usage_type, "regionCode": "eu-west-1"}}, "terms": {"OnDemand": terms}}
    )


PRODUCTS = [
    [product("EU-Train:ml.m5.large", "0.12"), product("EU-Host:ml.m5.large", "9")],
    [
        product("EU-Processing:ml.m5.large", "0.24"),
        product("EU-Studio:KernelGateway-ml.m5.large", "9"),
        product("EU-Train:ml.m5.large", "9", unit="GB"),
    ],
]


def list_products(body: dict[str, Any]) -> dict[str, Any]:
    page = int(body.get("NextToken", "0"))
    return {"PriceList": PRODUCTS[page], **({"NextToken": "1"} if page == 0 else {})}


def step(name: str, key: str, job: str) -> dict[str, Any]:
    return {"StepName": name, "StepStatus": "Succeeded", "Metadata": {key: {"Arn": f"{JOB}:{job}"}}}


STEPS = [
    step("Prepare", "ProcessingJob", "processing-job/p"),
    step("Tune", "TuningJob", "hyper-parameter-tuning-job/t"),
    {**step("Cached", "TrainingJob", "training-job/old"), "CacheHitResult": {"SourcePipelineExecutionArn": ARN}},
    {"StepName": "Check", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}},
]


def services(ended: datetime = NOW, **more: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Services:
    started = NOW - timedelta(hours=1)
    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
        "GetProducts": list_products,
        "ListPipelineExecutionSteps": lambda body: (
            {"PipelineExecutionSteps": STEPS[2:]}
            if "NextToken" in body
            else {"PipelineExecutionSteps": STEPS[:2], "NextToken": "more"}
        ),
        "DescribeProcessingJob": lambda body: {
            "ProcessingJobName": body["ProcessingJobName"],
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
            "ProcessingStartTime": started.timestamp(),
            "ProcessingEndTime": started.timestamp() + 1800,
        },
        "ListTrainingJobsForHyperParameterTuningJob": lambda body: {
            "TrainingJobSummaries": [{"TrainingJobName": "t-1"}, {"TrainingJobName": "t-2"}]
        },
        "DescribeTrainingJob": lambda body: {
            "TrainingJobName": body["TrainingJobName"],
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
            "BillableTimeInSeconds": 900,
        },
        "DescribePipelineExecution": lambda body: {
            "PipelineExecutionArn": ARN,
            "PipelineExecutionStatus": "Succeeded",
            "CreationTime": started.timestamp(),
            "LastModifiedTime": ended.timestamp(),
        },
        **more,
    }
    return Services(answers)


def test_an_estimate_takes_each_kind_of_job_s_price_from_the_price_list() -> None:
    aws = services()
    with aws.calls() as calls:
        estimate = calls.estimate(ARN, prices=None)
    assert [(cost.use.step, cost.hourly, round(cost.amount or 0, 6)) for cost in estimate.steps] == [
        ("Prepare", 0.24, 0.12),
        ("Tune", 0.12, 0.06),
        ("Tune", 0.12, 0.06),
    ]
    assert estimate.free == ("Cached", "Check")
    first, second = aws.bodies("GetProducts")
    assert {item["Field"]: item["Value"] for item in first["Filters"]} == {
        "regionCode": "eu-west-1",
        "instanceName": "ml.m5.large",
    }
    assert second["NextToken"] == "1"
    # The price list has few endpoints; Ireland's prices are asked in Frankfurt.
    assert {region for operation, region, _ in aws.asked if operation == "GetProducts"} == {"eu-central-1"}


def test_where_the_price_list_cannot_be_asked_the_error_leads_to_a_file() -> None:
    aws = services(GetProducts=lambda body: None)
    with aws.calls() as calls, pytest.raises(PriceError, match=r"Give a file of prices instead.*Nothing is known"):
        calls.estimate(ARN, prices=None)


def group(name: str, amount: str) -> dict[str, Any]:
    return {"Keys": [f"sm-pipelines:step${name}"], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}


def get_costs(body: dict[str, Any]) -> dict[str, Any]:
    pages = [[group("Train", "1.5")], [group("Train", "0.5"), group("", "0.25")], []]
    page = int(body.get("NextPageToken", "0"))
    more = {"NextPageToken": str(page + 1)} if page < 2 else {}
    return {"ResultsByTime": [{"Estimated": False, "Groups": pages[page]}], **more}


def test_the_bill_is_all_pages_of_cost_explorer() -> None:
    ended = NOW - timedelta(days=2)
    aws = services(ended=ended, GetCostAndUsage=get_costs)
    with aws.calls() as calls:
        bill = calls.bill(ARN, tag_key="sm-pipelines:execution")
    assert (bill.cost.amount, dict(bill.cost.by_group)) == (2.25, {"Train": 2.0, "(untagged)": 0.25})
    assert bill.notes == ()
    assert [body.get("NextPageToken") for body in aws.bodies("GetCostAndUsage")] == [None, "1", "2"]
    tags = aws.bodies("GetCostAndUsage")[0]["Filter"]["Tags"]
    assert (tags["Key"], tags["Values"]) == ("sm-pipelines:execution", ["abc123def456"])


def test_a_bill_of_today_says_that_it_is_too_early_and_when_it_is_not() -> None:
    aws = services(GetCostAndUsage=get_costs)
    with aws.calls() as calls:
        bill = calls.bill(ARN, tag_key="sm-pipelines:execution")
        assert calls.bill_is_final_from(ARN) == bill.final_from
    assert "24 hours late" in bill.notes[0]
    assert abs(bill.final_from - (NOW + timedelta(days=1))) < timedelta(seconds=1)


def test_an_unknown_execution_is_the_usual_error() -> None:
    aws = services(ListPipelineExecutionSteps=lambda body: None)
    with aws.calls() as calls, pytest.raises(PipelineNotFoundError, match=ARN):
        calls.estimate(ARN, prices=None)
