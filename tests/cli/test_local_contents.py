"""What options of ``local exec`` put on an endpoint, and what a command that failed is told to put there."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from airflow_sm_pipelines.cli.local_contents import (
    Contents,
    add_contents_options,
    fill,
    find_missing,
    find_running,
    now,
    read_contents,
    to_words,
)
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import serve
from tests.cli.command_runs import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

HANDLER = "def helper():\n    pass\n\ndef lambda_handler(event, context):\n    return {'n': event['n']}\n"
PIPELINE = {
    "Version": "2020-12-01",
    "Parameters": [],
    "Steps": [{"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "over"}}],
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An endpoint that is empty at first."""
    with serve(tmp_path_factory.mktemp("state") / "state") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder of objects, a function and a definition."""
    (tmp_path / "samples" / "sub").mkdir(parents=True)
    (tmp_path / "samples" / "a.csv").write_text("1,2\n")
    (tmp_path / "samples" / "sub" / "b c.csv").write_text("3\n")
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "price.definition.json").write_text(json.dumps(PIPELINE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*words: str) -> Contents:
    parser = argparse.ArgumentParser()
    add_contents_options(parser)
    arguments = parser.parse_args(words)
    assert parser.parse_args(to_words(arguments)) == arguments
    return read_contents(arguments)


@pytest.mark.parametrize(
    ("option", "keys"),
    [
        ("s3://raw-data/2026=samples", ["2026/a.csv", "2026/sub/b c.csv"]),
        ("s3://raw-data/2026/=samples/", ["2026/a.csv", "2026/sub/b c.csv"]),
        ("s3://raw-data=samples/sub", ["b c.csv"]),
        ("s3://raw-data/x.csv=samples/a.csv", ["x.csv"]),
        ("s3://raw-data/in/=samples/a.csv", ["in/a.csv"]),
        ("s3://raw-data", []),
    ],
)
def test_files_become_objects(endpoint: RunningServer, folder: Path, option: str, keys: list[str]) -> None:
    s3 = endpoint.make_client("s3")
    for _ in range(2):  # the second one finds the bucket there
        fill(endpoint, read("--upload", option))
        found = s3.list_objects_v2(Bucket="raw-data").get("Contents", [])
        assert [one["Key"] for one in found] == keys
    for key in keys:
        s3.delete_object(Bucket="raw-data", Key=key)


def test_a_file_becomes_a_function_and_another_one_replaces_it(endpoint: RunningServer, folder: Path) -> None:
    client = endpoint.make_client("lambda")
    fill(endpoint, read("--function", "f=handler.py"))
    assert json.load(client.invoke(FunctionName="f", Payload=b'{"n": 3}')["Payload"]) == {"n": 3}
    (folder / "other.py").write_text("def go(event, context):\n    return 'other'\n")
    fill(endpoint, read("--function", "f=other.py"))
    assert json.load(client.invoke(FunctionName="f", Payload=b"{}")["Payload"]) == "other"
    fill(endpoint, read("--function", "g=.:handler.helper"))
    assert client.get_function(FunctionName="g")["Configuration"]["Handler"] == "handler.helper"


def test_a_model_group_is_made_once(endpoint: RunningServer, folder: Path) -> None:
    client = endpoint.make_client("sagemaker")
    for _ in range(2):
        fill(endpoint, read("--model-group", "prices"))
        assert client.list_model_packages(ModelPackageGroupName="prices")["ModelPackageSummaryList"] == []
    with pytest.raises(LocalEndpointError, match="--model-group a_b: "):
        fill(endpoint, read("--model-group", "a_b"))


def test_a_pipeline_of_a_file_with_several_is_named(folder: Path) -> None:
    (folder / "stack.json").write_text("{}")
    assert read("--pipeline", "stack.json#Train").pipelines == (("Train", "stack.json#Train"),)
    assert read("--pipeline", "price=price.definition.json").pipelines == (("price", "price.definition.json"),)
    assert read("--pipeline", "handler.py:go").pipelines == ((None, "handler.py:go"),)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--upload", "raw=samples"), "'raw' is not an S3 address"),
        (("--upload", "s3://raw-data/x"), "which file?"),
        (("--upload", "s3://raw-data/x=nothing"), "there is no file or folder nothing"),
        (("--function", "handler.py"), "expected NAME=FILE.py"),
        (("--function", "f=samples"), "f=samples:module.function"),
        (("--function", "f=samples/a.csv"), "has no function called lambda_handler"),
        (("--function", "f=nothing.py"), "there is no file or folder nothing.py"),
        (("--pipeline", "price=nothing.json"), "there is no file nothing.json"),
        (("--pipeline", "9_=price.definition.json"), "'9_' is no name"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(folder: Path, words: tuple[str, str], text: str) -> None:
    with pytest.raises(LocalEndpointError, match=f"{words[0]} .*{text}"):
        read(*words)


def test_what_a_command_asked_for_in_vain_is_named_with_its_option(endpoint: RunningServer, folder: Path) -> None:
    since = now()
    endpoint.make_client("s3").create_bucket(Bucket="there")
    for service, operation, members in [
        ("s3", "head_bucket", {"Bucket": "not-there"}),
        ("s3", "head_object", {"Bucket": "for-results", "Key": "a/b"}),
        ("s3", "put_object", {"Bucket": "for-results", "Key": "a/b", "Body": b""}),
        ("s3", "get_object", {"Bucket": "there", "Key": "a b"}),
        ("s3", "get_object", {"Bucket": "of-data", "Key": "raw.csv"}),
        ("s3", "head_object", {"Bucket": "there", "Key": "made-later"}),
        ("lambda", "get_function", {"FunctionName": "no-function"}),
        ("sagemaker", "start_pipeline_execution", {"PipelineName": "no-pipeline"}),
        ("sagemaker", "describe_training_job", {"TrainingJobName": "no-job"}),
        ("sagemaker", "list_model_packages", {"ModelPackageGroupName": "no-group"}),
    ]:
        with pytest.raises(ClientError):
            getattr(endpoint.make_client(service), operation)(**members)
    endpoint.make_client("s3").put_object(Bucket="there", Key="made-later", Body=b"")
    assert find_missing(endpoint, since) == [
        "--upload s3://not-there",
        "--upload s3://for-results",
        "--upload 's3://there/a b=PATH'",
        "--upload s3://of-data/raw.csv=PATH",
        "--function no-function=FILE.py",
        "--pipeline no-pipeline=FILE",
        "--model-group no-group",
    ]
    fill(endpoint, read("--model-group", "no-group"))
    assert "--model-group no-group" not in find_missing(endpoint, since)
    assert find_running(endpoint, since) == []


@pytest.mark.processes
def test_a_command_finds_what_the_options_make_and_is_told_what_it_leaves_running(folder: Path) -> None:
    start = "import boto3; boto3.client('sagemaker').start_pipeline_execution(PipelineName='price')"
    waiting = {"Name": "Wait", "Type": "Callback", "SqsQueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/q"}
    (folder / "price.json").write_text(json.dumps({**PIPELINE, "Steps": [{**waiting, "Arguments": {}}]}))
    make_queue = "boto3.client('sqs').create_queue(QueueName='q'); "
    code = start.replace("import boto3; ", f"import boto3; {make_queue}")
    exec_here = ("local", "exec", "--state-dir", str(folder / "state"))
    failed = run(*exec_here, "--", sys.executable, "-c", start)
    assert failed.returncode == 1
    assert "These options make it:\n  --pipeline price=FILE\nFILE is a script, or what 'aws" in failed.stderr
    result = run(*exec_here, "--pipeline", "price.json", "--", sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    assert "still running; these go on when an endpoint of this state starts again:" in result.stderr
