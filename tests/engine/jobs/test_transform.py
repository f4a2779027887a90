"""Transform jobs as real processes: a model's own handlers, the built-in XGBoost, inputs and outputs on S3."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageEntry, Isolation, JobContext, JobOutcome
from tests.engine.jobs.conftest import IMAGE, RecordedLog, Storage
from tests.engine.jobs.test_training import tar_of

Run = Callable[..., JobOutcome]
REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"

DOUBLER = """
import pathlib

def model_fn(model_dir):
    return int((pathlib.Path(model_dir) / "factor.txt").read_text())

def input_fn(data, content_type):
    assert content_type == "text/csv" and isinstance(data, str), (content_type, type(data))
    return [[float(item) for item in line.split(",")] for line in data.splitlines()]

def predict_fn(rows, model):
    return [model * sum(row) for row in rows]

def output_fn(prediction, accept):
    return "\\n".join(map(str, prediction)), accept
"""


def transform_request(uri: str, **changes: Any) -> dict[str, Any]:
    source = changes.pop("source", {})
    target = changes.pop("target", {})
    return {
        "ModelName": "model",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        }
        | source,
        "TransformOutput": {"S3OutputPath": "s3://bucket/out", "Accept": "text/csv", "AssembleWith": "Line"} | target,
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    } | changes


def container(storage: Storage, files: dict[str, str], *, image: str = IMAGE, **environment: str) -> dict[str, Any]:
    uri = storage.put("model/model.tar.gz", tar_of(files))
    return {"Image": image, "ModelDataUrl": uri, "Environment": environment}


def test_every_file_below_the_prefix_becomes_a_file_with_out_at_its_end(run: Run, storage: Storage) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    storage.put("in/a.csv", "1,2\n3,4\n")
    storage.put("in/deep/b.csv", "5,5")
    storage.put("in/empty.csv", "")
    outcome = run("Transform", transform_request("s3://bucket/in"), containers=(model,))
    assert outcome.status == "Completed", outcome
    assert storage.keys("out/") == ["out/a.csv.out", "out/deep/b.csv.out", "out/empty.csv.out"]
    assert storage.get("out/a.csv.out") == b"6.0\n14.0\n"
    assert storage.get("out/deep/b.csv.out") == b"20.0\n"
    assert storage.get("out/empty.csv.out") == b""


def test_several_instances_share_the_files(run: Run, storage: Storage, log: RecordedLog) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    second = container(storage, {"factor.txt": "3", "code/inference.py": DOUBLER})
    for number in range(5):
        storage.put(f"in/{number}.csv", f"{number},1\n")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    request = transform_request("s3://bucket/in", TransformResources=resources)
    outcome = run("Transform", request, containers=(model, second))
    assert outcome.status == "Completed", outcome
    # Both containers' models are the second one's: the same address was written twice.
    assert [storage.get(f"out/{number}.csv.out") for number in range(5)] == [
        f"{3 * 3 * (number + 1)}.0\n".encode() for number in range(5)
    ]
    said = [line for line in log.lines if line.startswith("Batch transform of")]
    assert sorted(said) == [
        "Batch transform of 2 file(s) in 2 payload(s)",
        "Batch transform of 3 file(s) in 3 payload(s)",
    ]
    assert {stream.rpartition("/")[2].rpartition("-")[0] for stream in log.streams} == {"algo-1", "algo-2"}


def test_an_instance_that_fails_fails_the_job_and_nothing_is_uploaded(run: Run, storage: Storage) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    storage.put("in/a.csv", "1,2\n")
    storage.put("in/b.csv", "cat\n")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 9}
    outcome = run("Transform", transform_request("s3://bucket/in", TransformResources=resources), containers=(model,))
    assert outcome.status == "Failed"
    assert "could not convert string to float" in str(outcome.failure_reason)
    assert storage.keys("out/") == []


def test_filters_and_joins_reach_the_output(run: Run, storage: Storage) -> None:
    model = container(storage, {"factor.txt": "10", "code/inference.py": DOUBLER})
    uri = storage.put("in/a.csv", "id1,1\nid2,2\n")
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    outcome = run("Transform", transform_request(uri, DataProcessing=processing), containers=(model,))
    assert outcome.status == "Completed", outcome
    assert storage.get("out/a.csv.out") == b"id1,10.0\nid2,20.0\n"


def test_code_of_its_own_archive_and_gzip_input_and_the_jobs_environment(run: Run, storage: Storage) -> None:
    script = (
        "import os\n"
        "def model_fn(model_dir): return os.environ\n"
        "def transform_fn(model, data, content_type, accept):\n"
        "    names = ('SAGEMAKER_BATCH', 'SAGEMAKER_BATCH_STRATEGY', 'COLOR', 'SIZE')\n"
        "    return ','.join(model[name] for name in names) + ':' + data\n"
    )
    submitted = storage.put("code/sourcedir.tar.gz", tar_of({"serve_it.py": script}))
    model = container(
        storage,
        {"factor.txt": "2"},
        SAGEMAKER_PROGRAM="serve_it",
        SAGEMAKER_SUBMIT_DIRECTORY=submitted,
        COLOR="red",
        SIZE="small",
    )
    uri = storage.put("in/a.gz", gzip.compress(b"x\ny\n"))
    request = transform_request(
        uri,
        source={"CompressionType": "Gzip"},
        target={"AssembleWith": "None"},
        BatchStrategy="SingleRecord",
        Environment={"SIZE": "large"},
    )
    assert run("Transform", request, containers=(model,)).status == "Completed"
    assert storage.get("out/a.gz.out") == b"true,SINGLE_RECORD,red,large:xtrue,SINGLE_RECORD,red,large:y"


def test_a_model_with_network_isolation_has_its_own_loopback_only(
    run: Run, storage: Storage, log: RecordedLog, isolation: Isolation
) -> None:
    if not isolation.has_private_opt_ml:
        pytest.skip(isolation.sentence)
    script = (
        "import socket\n"
        "def model_fn(model_dir): return len(socket.if_nameindex())\n"
        "def transform_fn(model, data, content_type, accept): return str(model)\n"
    )
    model = container(storage, {"code/inference.py": script})
    request = transform_request(storage.put("in/a.csv", "1\n"))
    assert run("Transform", request, containers=(model,), is_offline=True).status == "Completed"
    if any("EnableNetworkIsolation has no effect here" in line for line in log.lines):
        pytest.skip("this machine gives no network namespace")
    assert storage.get("out/a.csv.out") == b"1\n"


def test_additional_model_data_is_where_containers_look_for_it(run: Run, storage: Storage) -> None:
    script = (
        "import pathlib\n"
        "def model_fn(model_dir):\n"
        "    return pathlib.Path('/opt/ml/additional-model-data-sources/draft/words.txt').read_text()\n"
        "def transform_fn(model, data, content_type, accept): return model\n"
    )
    model = container(storage, {"code/inference.py": script})
    storage.put("draft/words.txt", "small model")
    source = {"S3Uri": "s3://bucket/draft/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    model["AdditionalModelDataSources"] = [{"ChannelName": "draft", "S3DataSource": source}]
    outcome = run("Transform", transform_request(storage.put("in/a.csv", "1\n")), containers=(model,))
    assert outcome.status == "Completed", outcome
    assert storage.get("out/a.csv.out") == b"small model\n"


def test_the_containers_of_an_inference_pipeline_pass_data_on(run: Run, storage: Storage) -> None:
    first = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    second = {
        **first,
        "ModelDataUrl": storage.put("m2.tar.gz", tar_of({"factor.txt": "5", "code/inference.py": DOUBLER})),
    }
    uri = storage.put("in/a.csv", "1\n2\n")
    assert run("Transform", transform_request(uri), containers=(first, second)).status == "Completed"
    assert storage.get("out/a.csv.out") == b"10.0\n20.0\n"


def test_nothing_on_s3_fails_with_the_services_words(run: Run, storage: Storage) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    outcome = run("Transform", transform_request("s3://bucket/none"), containers=(model,))
    assert outcome.failure_reason == "ClientError: S3 key: s3://bucket/none matched no files on s3"


def test_a_failing_handler_is_the_reason_and_nothing_is_uploaded(run: Run, storage: Storage, log: RecordedLog) -> None:
    model = container(storage, {"factor.txt": "2", "code/inference.py": DOUBLER})
    uri = storage.put("in/a.csv", "1\nlabel\n")
    outcome = run("Transform", transform_request(uri), containers=(model,))
    assert outcome.status == "Failed"
    assert outcome.failure_reason == (
        "AlgorithmError: payload 1: ValueError: could not convert string to float: 'label'"
    )
    assert storage.keys("out/") == []
    assert any("Traceback" in line for line in log.lines)


def test_a_stop_ends_the_model_and_uploads_nothing(run: Run, storage: Storage, log: RecordedLog) -> None:
    script = "import time\ndef model_fn(d): print('loaded', flush=True); time.sleep(600)\n"
    model = container(storage, {"code/inference.py": script})
    stop = threading.Event()
    outcomes: list[JobOutcome] = []
    request = transform_request(storage.put("in/a.csv", "1\n"))
    job = threading.Thread(target=lambda: outcomes.append(run("Transform", request, containers=(model,), stop=stop)))
    job.start()
    deadline = time.monotonic() + 20
    while "loaded" not in log.lines and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    job.join(20)
    assert [outcome.status for outcome in outcomes] == ["Stopped"]
    assert storage.keys("out/") == []


@pytest.mark.parametrize(
    ("files", "image", "variables", "message"),
    [
        ({"weights": "x"}, IMAGE, {}, "no inference code.*Add code/inference.py"),
        ({"weights": "x"}, IMAGE, {"SAGEMAKER_PROGRAM": "i.py"}, "SAGEMAKER_PROGRAM 'i.py' is not in the code folder"),
        ({"code/inference.py": "x = 1"}, IMAGE, {}, "Please provide a model_fn implementation"),
        ({"code/inference.py": "import nowhere"}, IMAGE, {}, "could not be loaded: ModuleNotFoundError.*nowhere"),
        ({"code/inference.py": "x = 1"}, "unknown:1", {}, "No local environment stands in for the image"),
    ],
)
def test_a_model_that_cannot_be_served_says_why(
    run: Run, storage: Storage, files: Any, image: str, variables: Any, message: str
) -> None:
    model = container(storage, files, image=image, **variables)
    uri = storage.put("in/a.csv", "1\n")
    outcome = run("Transform", transform_request(uri), containers=(model,))
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert re.search(message, outcome.failure_reason), outcome.failure_reason


TRAIN_AND_KEEP = """
import pathlib, pickle, xgboost, numpy
rows = numpy.array([[n % 17, n % 5] for n in range(200)], dtype=float)
model = xgboost.train({"max_depth": 4}, xgboost.DMatrix(rows, label=2 * rows[:, 0] + rows[:, 1]), 40)
target = pathlib.Path("/opt/ml/processing/model")
SAVE
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "save",
    [
        "pickle.dump(model, open(target / 'xgboost-model', 'wb'))",
        "model.save_model(target / 'm.ubj'); (target / 'm.ubj').rename(target / 'xgboost-model')",
    ],
    ids=["pickle", "save_model"],
)
def test_the_built_in_xgboost_scores_either_format(run: Run, storage: Storage, context: JobContext, save: str) -> None:
    real = replace(context, images=ImageCatalog(), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    image = f"{REGISTRY}/sagemaker-xgboost:1.7-1"
    output = {"S3Uri": "s3://bucket/raw", "LocalPath": "/opt/ml/processing/model"}
    train = {
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["python3", "-c", TRAIN_AND_KEEP.replace("SAVE", save)],
        },
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "model", "S3Output": output}]},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
    }
    assert run("Processing", train, context=real).status == "Completed"
    source = {"S3Uri": "s3://bucket/raw/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    model = {"Image": image, "ModelDataSource": {"S3DataSource": source}}

    uri = storage.put("in/a.csv", "99,3,1\n98,10,4\n")
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input"}
    scored = run("Transform", transform_request(uri, DataProcessing=processing), containers=(model,), context=real)
    assert scored.status == "Completed", scored
    rows = [[float(item) for item in line.split(b",")] for line in storage.get("out/a.csv.out").splitlines()]
    assert [row[:3] for row in rows] == [[99, 3, 1], [98, 10, 4]]
    assert [row[3] for row in rows] == pytest.approx([7, 24], abs=0.6)

    sparse = transform_request(
        storage.put("in/b.libsvm", "0 0:3 1:1\n"), source={"ContentType": "text/libsvm"}, target={"Accept": "text/csv"}
    )
    assert run("Transform", sparse, containers=(model,), context=real).status == "Completed"
    assert float(storage.get("out/b.libsvm.out")) == pytest.approx(7, abs=0.6)

    untyped = sparse | {"TransformInput": {**sparse["TransformInput"]}}
    del untyped["TransformInput"]["ContentType"]
    assert run("Transform", untyped, containers=(model,), context=real).status == "Completed"
    untyped["TransformInput"]["DataSource"] = transform_request(uri)["TransformInput"]["DataSource"]
    unread = run("Transform", untyped, containers=(model,), context=real)
    assert "'99,3,1', has no index:value. The request has no ContentType" in str(unread.failure_reason)

    refused = run("Transform", transform_request(uri), containers=(model,), context=real)
    assert refused.failure_reason is not None
    assert "Does the data still have its label column? InputFilter '$[1:]'" in refused.failure_reason


FAKE_TORCH = """
import contextlib, pathlib, types
no_grad = contextlib.nullcontext
as_tensor = list
class Model:
    def eval(self): return self
    def __call__(self, rows): return [float(sum(row)) for row in rows]
def load(path, map_location):
    assert pathlib.Path(path).read_text() == "weights"
    return Model()
jit = types.SimpleNamespace(load=load)
"""


@pytest.mark.slow
def test_a_pytorch_model_without_code_is_served_from_model_pt(run: Run, storage: Storage, context: JobContext) -> None:
    numpy_is_enough = ImageCatalog().resolve("sagemaker-scikit-learn").requirements
    catalog = ImageCatalog([ImageEntry("pytorch-inference", numpy_is_enough)])
    real = replace(context, images=catalog, cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    image = f"{REGISTRY}/pytorch-inference:2.3-cpu-py311"
    model = container(storage, {"model.pt": "weights", "code/torch.py": FAKE_TORCH}, image=image)
    request = transform_request(storage.put("in/a.csv", "1,2\n3,4\n"))
    outcome = run("Transform", request, containers=(model,), context=real)
    assert outcome.status == "Completed", outcome
    assert storage.get("out/a.csv.out") == b"3.0\n7.0\n"

    empty = container(storage, {"weights": "x"}, image=image)
    refused = run("Transform", request, containers=(empty,), context=real)
    assert "no inference code" in str(refused.failure_reason)


def test_a_field_that_is_no_number_is_shown() -> None:
    from serving_codecs import read_numbers  # type: ignore[import-not-found]  # a program of images

    assert read_numbers([["1", "2"], ["3", "4.5"]]) == [[1, 2], [3, 4.5]]
    with pytest.raises(ValueError, match="line 2, field 1: could not convert string to float: 'cat'"):
        read_numbers([["1", "2"], ["cat", "4"]])
    with pytest.raises(ValueError, match="line 2 has 1 fields, the first has 2"):
        read_numbers([["1", "2"], ["3"]])


@pytest.mark.slow
def test_a_scikit_learn_model_is_served_with_the_toolkits_defaults(
    run: Run, storage: Storage, context: JobContext
) -> None:
    real = replace(context, images=ImageCatalog(), cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))
    script = (
        "import numpy\n"
        "from sklearn.linear_model import LinearRegression\n"
        "def model_fn(model_dir):\n"
        "    return LinearRegression().fit(numpy.array([[0., 0.], [1., 0.], [0., 1.]]), [0., 2., 3.])\n"
    )
    image = f"{REGISTRY}/sagemaker-scikit-learn:1.2-1-cpu-py3"
    model = container(storage, {"code/inference.py": script}, image=image)
    uri = storage.put("in/a.csv", "1,1\n2,0\n")
    assert run("Transform", transform_request(uri), containers=(model,), context=real).status == "Completed"
    assert [float(line) for line in storage.get("out/a.csv.out").split()] == pytest.approx([5, 4])
    as_json = transform_request(
        storage.put("in/b.json", "[[1, 1], [2, 0]]"),
        source={"ContentType": "application/json", "SplitType": "None"},
        target={"Accept": "application/json", "AssembleWith": "None"},
    )
    assert run("Transform", as_json, containers=(model,), context=real).status == "Completed"
    assert [round(value) for value in json.loads(storage.get("out/b.json.out"))] == [5, 4]
