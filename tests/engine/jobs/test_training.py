"""Training jobs as real processes: script mode, entry points, artifacts, metrics, checkpoints."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageEntry, Isolation, JobContext, JobOutcome
from airflow_sm_pipelines.engine.jobs.training import find_function_requirements
from tests.engine.jobs.conftest import IMAGE, RecordedLog, Storage

Run = Callable[..., JobOutcome]
OUTPUT = {"S3OutputPath": "s3://bucket/models"}


def training_request(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": OUTPUT,
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": "arn:aws:iam::123456789012:role/local",
    }
    return request | changes


def channel(name: str, uri: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | changes


def tar_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def names_in(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def script_request(storage: Storage, files: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Build a script mode request as SDK v2's framework estimators do."""
    uri = storage.put("code/sourcedir.tar.gz", tar_of(files))
    own = {"sagemaker_program": "train.py", "sagemaker_submit_directory": uri, "sagemaker_region": "us-east-1"}
    parameters = {name: json.dumps(value) for name, value in (own | changes.pop("parameters", {})).items()}
    return training_request(HyperParameters=parameters, **changes)


def entry_point_request(script: str, **changes: Any) -> dict[str, Any]:
    request = training_request(**changes)
    request["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["python", "-c"], "ContainerArguments": [script]}
    return request


def test_script_mode_passes_hyperparameters_as_arguments_and_variables(run: Run, storage: Storage) -> None:
    script = (
        "import json, os, sys\n"
        "import helper\n"
        "json.dump({'argv': sys.argv[1:], 'env': dict(os.environ)}, open('/opt/ml/output/data/seen.json', 'w'))\n"
        "open(os.path.join(os.environ['SM_MODEL_DIR'], 'model.txt'), 'w').write(helper.text)\n"
    )
    storage.put("train/a.csv", "1,2")
    request = script_request(
        storage,
        {"train.py": script, "helper.py": "text = 'weights'\n"},
        parameters={"max-depth": 3, "eta": 0.1, "tune": True, "name": "x", "layers": [1, 2], "n": 5},
        InputDataConfig=[channel("train", "s3://bucket/train", ContentType="text/csv")],
        Environment={"MODE": "test"},
    )
    outcome = run("Training", request)
    assert outcome.status == "Completed", outcome
    assert outcome.details["ModelArtifacts"] == {
        "S3ModelArtifacts": "s3://bucket/models/training-job/output/model.tar.gz"
    }
    assert names_in(storage.get("models/training-job/output/model.tar.gz")) == ["model.txt"]
    archive = storage.get("models/training-job/output/output.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("seen.json")
        assert member is not None
        seen = json.load(member)
    assert seen["argv"] == [
        *("--eta", "0.1", "--layers", "[1, 2]", "--max-depth", "3", "-n", "5", "--name", "x", "--tune", "True")
    ]
    env = seen["env"]
    assert env["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert env["SM_HP_MAX-DEPTH"] == "3"
    assert json.loads(env["SM_HPS"]) == {
        "max-depth": 3,
        "eta": 0.1,
        "tune": True,
        "name": "x",
        "layers": [1, 2],
        "n": 5,
    }
    assert env["SM_MODEL_DIR"] == "/opt/ml/model"
    assert env["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data"
    assert json.loads(env["SM_CHANNELS"]) == ["train"]
    assert json.loads(env["SM_TRAINING_ENV"])["channel_input_dirs"] == {"train": "/opt/ml/input/data/train"}
    assert env["SM_USER_ENTRY_POINT"] == "train.py"
    assert env["TRAINING_JOB_NAME"] == "training-job"
    assert env["TRAINING_JOB_ARN"].endswith(":training-job/training-job")
    assert env["MODE"] == "test"


def test_the_configuration_files_are_those_of_the_service(run: Run, storage: Storage) -> None:
    storage.put("train/a.csv", "1,2")
    script = (
        "import json\n"
        "read = lambda name: json.load(open(f'/opt/ml/input/config/{name}.json'))\n"
        "names = ('hyperparameters', 'inputdataconfig', 'resourceconfig')\n"
        "open('/opt/ml/model/seen.json', 'w').write(json.dumps([read(n) for n in names]))\n"
    )
    request = entry_point_request(
        script,
        HyperParameters={"max_depth": "3", "text": '"quoted"', "number": 3},
        InputDataConfig=[channel("train", "s3://bucket/train", ContentType="text/csv")],
        OutputDataConfig=OUTPUT | {"CompressionType": "NONE"},
    )
    outcome = run("Training", request)
    assert outcome.details["ModelArtifacts"] == {"S3ModelArtifacts": "s3://bucket/models/training-job/output/model/"}
    hyperparameters, channels, resources = json.loads(storage.get("models/training-job/output/model/seen.json"))
    assert hyperparameters == {"max_depth": "3", "text": '"quoted"', "number": "3"}
    assert channels == {
        "train": {
            "ContentType": "text/csv",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    assert resources["hosts"] == ["algo-1"]
    assert resources["current_host"] == "algo-1"
    assert resources["current_instance_type"] == "ml.m5.large"
    assert resources["instance_groups"] == [
        {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
    ]


@pytest.mark.parametrize(
    "repository",
    [
        "sagemaker-scikit-learn:1.2-1-cpu-py3",
        "sagemaker-xgboost:1.7-1",
        "pytorch-training:2.3-cpu-py311",
        "tensorflow-training:2.14-cpu-py310",
        "huggingface-pytorch-training:2.1-transformers4.36-gpu-py310",
        "my-team/my-image:7",
    ],
)
def test_script_mode_is_the_same_in_every_frameworks_image(
    run: Run, storage: Storage, context: JobContext, repository: str
) -> None:
    """Only the environment differs, which here is that of the tests for all of them."""
    catalog = ImageCatalog([ImageEntry("*", interpreter=sys.executable)])
    script = "import os, sys; open(os.environ['SM_MODEL_DIR'] + '/argv', 'w').write(' '.join(sys.argv[1:]))"
    request = script_request(storage, {"train.py": script}, parameters={"depth": 3})
    request["AlgorithmSpecification"]["TrainingImage"] = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}"
    outcome = run("Training", request, context=replace(context, images=catalog))
    assert outcome.status == "Completed", outcome
    with tarfile.open(fileobj=io.BytesIO(storage.get("models/training-job/output/model.tar.gz"))) as tar:
        member = tar.extractfile("argv")
        assert member is not None
        assert member.read() == b"--depth 3"


@pytest.mark.parametrize(("repository", "status"), [("sagemaker-xgboost", "Completed"), ("my-image", "Failed")])
def test_the_xgboost_image_takes_an_entry_point_without_its_suffix(
    run: Run, storage: Storage, context: JobContext, repository: str, status: str
) -> None:
    """Its container runs modules; the newer toolkit of other images runs such a name as a program."""
    catalog = ImageCatalog([ImageEntry("*", interpreter=sys.executable)])
    request = script_request(storage, {"train.py": "print('trained')\n"}, parameters={"sagemaker_program": "train"})
    request["AlgorithmSpecification"]["TrainingImage"] = f"{repository}:1.7-1"
    assert run("Training", request, context=replace(context, images=catalog)).status == status


def test_a_reason_begins_with_what_the_program_said_last(run: Run) -> None:
    outcome = run("Training", entry_point_request("import runpy; runpy.run_module('no_such_module')"))
    reason = str(outcome.failure_reason)
    assert reason.startswith("AlgorithmError: ImportError: No module named no_such_module (the last line of the log). ")
    request = training_request()
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python", "-m", "no_such_module"]
    reason = str(run("Training", request).failure_reason)
    assert reason.startswith("AlgorithmError: No module named no_such_module (the last line of the log). 'python -m no")


def test_a_step_function_of_sdk_v3_gets_what_it_needs() -> None:
    arguments = ["--region", "us-east-1", "--client_sagemaker_pysdk_version"]
    driver = ["/bin/bash", "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh"]

    def needed(version: str, entrypoint: list[str]) -> tuple[str, ...]:
        specification = {"ContainerEntrypoint": entrypoint, "ContainerArguments": [*arguments, version]}
        return find_function_requirements(specification)

    assert needed("3.0.0.dev0", driver) == needed("3.4.1", driver) == ("sagemaker-core>=2.27,<3",)
    assert needed("2.257.0", driver) == needed("3.4.1", ["python", "x.py"]) == find_function_requirements({}) == ()


def test_a_failing_script_is_reported_as_the_toolkit_does(run: Run, storage: Storage) -> None:
    outcome = run("Training", script_request(storage, {"train.py": "raise ValueError('no rows')\n"}))
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert outcome.failure_reason.startswith(
        'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "Traceback'
    )
    assert "ValueError: no rows" in outcome.failure_reason
    assert outcome.failure_reason.endswith(", exit code: 1")
    assert outcome.details["SecondaryStatus"] == "Failed"
    assert outcome.log_tail[-1] == "ValueError: no rows"
    assert storage.keys("models/") == []


def test_an_entry_point_that_is_not_in_the_archive_is_named(run: Run, storage: Storage) -> None:
    outcome = run("Training", script_request(storage, {"other.py": ""}))
    assert outcome.failure_reason is not None
    assert "the entry point 'train.py' is not in the source directory, which holds other.py" in outcome.failure_reason


def test_the_failure_file_is_the_reason(run: Run) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('ClientError: bad column'); raise SystemExit(2)"
    outcome = run("Training", entry_point_request(script))
    assert outcome.failure_reason == "ClientError: bad column, exit code: 2"


def test_source_code_in_a_channel_is_used_where_the_request_says_so(run: Run, storage: Storage) -> None:
    storage.put("source/sourcedir.tar.gz", tar_of({"train.py": "open('/opt/ml/model/m', 'w').write('x')\n"}))
    request = training_request(
        HyperParameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"/opt/ml/input/data/code/sourcedir.tar.gz"',
        },
        InputDataConfig=[channel("code", "s3://bucket/source/sourcedir.tar.gz")],
    )
    outcome = run("Training", request)
    assert outcome.status == "Completed", outcome
    assert names_in(storage.get("models/training-job/output/model.tar.gz")) == ["m"]


def test_a_shell_script_is_an_entry_point_too(run: Run, storage: Storage) -> None:
    request = script_request(
        storage,
        {"go.sh": "#!/bin/sh\necho $@ > /opt/ml/model/arguments\n"},
        parameters={"sagemaker_program": "go.sh", "a": "b c"},
    )
    outcome = run("Training", request)
    assert outcome.status == "Completed", outcome
    with tarfile.open(fileobj=io.BytesIO(storage.get("models/training-job/output/model.tar.gz"))) as tar:
        member = tar.extractfile("arguments")
        assert member is not None
        assert member.read() == b"-a b c\n"


@pytest.mark.parametrize("options", [["-c"], ["-l", "-c"]], ids=["plain", "login"])
def test_a_login_shell_has_the_images_programs_too(run: Run, log: RecordedLog, options: list[str]) -> None:
    request = training_request()
    script = "command -v python amazon_sagemaker_scheduler"
    request["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": [*options, script],
    }
    run("Training", request)
    python, scheduler = [line for line in log.lines if line.startswith("/")]
    assert not python.startswith("/usr/bin")
    assert scheduler.endswith("programs/bin/amazon_sagemaker_scheduler")


def test_an_archive_that_points_outside_is_not_unpacked(run: Run, storage: Storage) -> None:
    outcome = run("Training", script_request(storage, {"../../escaped.py": "x"}))
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert "'../../escaped.py', which points outside the archive" in outcome.failure_reason


def test_metrics_are_the_last_values_in_the_log(run: Run) -> None:
    request = entry_point_request("[print(f'loss={v};') for v in (0.5, 0.25)]")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "loss", "Regex": "loss=([0-9.]+);"},
        {"Name": "never", "Regex": "never=([0-9.]+)"},
    ]
    outcome = run("Training", request)
    (metric,) = outcome.details["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    assert time.time() - metric["Timestamp"] < 60


def test_a_training_job_past_its_time_is_stopped_and_keeps_its_model(run: Run, storage: Storage) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: (open('/opt/ml/model/last', 'w').write('x'), sys.exit(0)))\n"
        "time.sleep(60)\n"
    )
    request = entry_point_request(script, StoppingCondition={"MaxRuntimeInSeconds": 1})
    outcome = run("Training", request)
    assert outcome.status == "Stopped"
    assert outcome.details["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert outcome.failure_reason is not None
    assert outcome.failure_reason.startswith("MaxRuntimeExceeded")
    assert names_in(storage.get("models/training-job/output/model.tar.gz")) == ["last"]


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace_time(run: Run, storage: Storage) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    stop = threading.Event()
    outcomes: list[JobOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run("Training", entry_point_request(script), stop=stop)))
    started = time.monotonic()
    thread.start()
    thread.join(1)
    stop.set()
    thread.join(20)
    assert outcomes[0].status == "Stopped"
    assert outcomes[0].failure_reason is None
    assert 2 < time.monotonic() - started < 15


def test_checkpoints_come_back_and_go_up(run: Run, storage: Storage) -> None:
    storage.put("checkpoints/run/step-1", "one")
    script = (
        "import pathlib\n"
        "folder = pathlib.Path('/opt/ml/checkpoints')\n"
        "(folder / 'step-2').write_text((folder / 'step-1').read_text() + ' two')\n"
    )
    request = entry_point_request(script, CheckpointConfig={"S3Uri": "s3://bucket/checkpoints/run"})
    outcome = run("Training", request)
    assert outcome.status == "Completed", outcome
    assert storage.get("checkpoints/run/step-2") == b"one two"


def test_instances_find_each_other_by_name(run: Run, storage: Storage, isolation: Any) -> None:
    if not isolation.has_private_opt_ml:
        pytest.skip("host names need a mount namespace")
    script = (
        "import json, socket\n"
        "hosts = json.load(open('/opt/ml/input/config/resourceconfig.json'))\n"
        "addresses = [socket.gethostbyname(name) for name in hosts['hosts']]\n"
        "assert len(set(addresses)) == 2, addresses\n"
        "socket.create_server((socket.gethostbyname(hosts['current_host']), 47123)).close()\n"
        "open('/opt/ml/model/' + hosts['current_host'], 'w').write('x')\n"
    )
    request = entry_point_request(script)
    request["ResourceConfig"]["InstanceCount"] = 2
    outcome = run("Training", request)
    assert outcome.status == "Completed", outcome
    assert sorted(names_in(storage.get("models/training-job/output/model.tar.gz"))) == ["algo-1", "algo-2"]


ON = {"sagemaker_torch_distributed_enabled": True}


@pytest.mark.parametrize(
    ("parameters", "count", "reason"),
    [
        (ON, 2, "distribution=torch_distributed on 2 instance.* with 1 process"),
        ({"sagemaker_parameter_server_enabled": True}, 2, "distribution=parameter_server on 2"),
        (
            {"sagemaker_mpi_enabled": True, "sagemaker_mpi_num_of_processes_per_host": 4},
            1,
            "mpi on 1 .* with 4 process",
        ),
        ({"sagemaker_distributed_dataparallel_enabled": True}, 1, "smdistributed.dataparallel .*only AWS's images"),
        ({"sagemaker_mpi_enabled": True, "mp_parameters": {"partitions": 2}}, 1, "smdistributed.modelparallel"),
    ],
)
def test_a_distribution_that_takes_several_processes_is_refused_by_name(
    run: Run, storage: Storage, parameters: dict[str, Any], count: int, reason: str
) -> None:
    request = script_request(storage, {"train.py": "print('ran')"}, parameters=parameters)
    request["ResourceConfig"]["InstanceCount"] = count
    outcome = run("Training", request)
    assert outcome.status == "Failed"
    assert re.search(reason, str(outcome.failure_reason)), outcome.failure_reason


def test_a_distribution_of_one_process_runs_and_the_log_says_so(run: Run, storage: Storage, log: RecordedLog) -> None:
    script = "import os; print('place', os.environ['RANK'], os.environ['WORLD_SIZE'])"
    off = {"sagemaker_mpi_enabled": False, "sagemaker_distributed_dataparallel_enabled": False}
    outcome = run("Training", script_request(storage, {"train.py": script}, parameters={**ON, **off}))
    assert outcome.status == "Completed", outcome
    assert "place 0 1" in log.lines
    assert any(line.startswith("distribution=torch_distributed: one process runs here.") for line in log.lines)


def test_a_channel_goes_to_the_instance_groups_that_it_names(run: Run, storage: Storage, log: RecordedLog) -> None:
    script = (
        "import json, os; me = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host'];"
        "config = sorted(json.load(open('/opt/ml/input/config/inputdataconfig.json')));"
        "print(me, config, sorted(os.listdir('/opt/ml/input/data')))"
    )
    request = entry_point_request(script)
    names = [("big", 1), ("small", 2)]
    request["ResourceConfig"] = {
        "VolumeSizeInGB": 1,
        "InstanceGroups": [
            {"InstanceGroupName": name, "InstanceCount": count, "InstanceType": "ml.m5.large"} for name, count in names
        ],
    }
    uri = storage.put("in/a.csv", "1")
    request["InputDataConfig"] = [channel("all", uri), channel("some", uri)]
    request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["InstanceGroupNames"] = ["small"]
    assert run("Training", request).status == "Completed"
    assert sorted(line for line in log.lines if line.startswith("algo-")) == [
        "algo-1 ['all'] ['all']",
        "algo-2 ['all', 'some'] ['all', 'some']",
        "algo-3 ['all', 'some'] ['all', 'some']",
    ]
    request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["InstanceGroupNames"] = ["else"]
    assert "'some' goes to the instance group 'else'" in str(run("Training", request).failure_reason)


CALL_OUT = """
import socket
here = socket.create_server(("127.0.0.1", 0))
socket.create_connection(here.getsockname()).close()
try:
    socket.create_connection(("127.0.0.1", PORT), 5).close()
    print("called out")
except OSError as error:
    print("no way out")
"""


def test_a_job_with_network_isolation_has_its_own_loopback_only(
    run: Run, log: RecordedLog, isolation: Isolation
) -> None:
    """A server on this machine's loopback is what can be called without leaving the machine."""
    if not isolation.has_private_opt_ml:
        pytest.skip(isolation.sentence)
    with socket.create_server(("127.0.0.1", 0)) as server:
        request = entry_point_request(CALL_OUT.replace("PORT", str(server.getsockname()[1])))
        assert run("Training", request).status == "Completed"
        assert run("Training", request | {"EnableNetworkIsolation": True}).status == "Completed"
        ends = [line for line in log.lines if line in ("called out", "no way out")]
        if any("EnableNetworkIsolation has no effect here" in line for line in log.lines):
            pytest.skip("this machine gives no network namespace")
        assert ends == ["called out", "no way out"]
        several = request | {
            "EnableNetworkIsolation": True,
            "ResourceConfig": {"InstanceCount": 2, "InstanceType": "x"},
        }
        assert run("Training", several).status == "Completed"
    assert log.lines.count("WARNING: EnableNetworkIsolation has no effect here on a job of several instances.") == 1


def test_an_algorithm_without_a_local_implementation_is_refused(run: Run) -> None:
    outcome = run("Training", training_request())
    assert outcome.failure_reason is not None
    assert "Of the built-in algorithms only XGBoost runs here" in outcome.failure_reason


def test_what_has_no_effect_is_said_and_what_cannot_run_is_refused(run: Run, log: RecordedLog) -> None:
    said = {"MlflowConfig": {"MlflowResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/a"}}
    assert run("Training", entry_point_request("pass") | said).status == "Completed"
    assert "WARNING: MlflowConfig has no effect here: no MLflow server is spoken to." in log.lines
    request = entry_point_request("pass")
    request["InputDataConfig"] = [
        {"ChannelName": "a", "DataSource": {"FileSystemDataSource": {"FileSystemId": "fs-1"}}}
    ]
    assert run("Training", request).failure_reason == (
        "ClientError: InputDataConfig.DataSource.FileSystemDataSource does not work locally: EFS and FSx are not here."
    )


def test_what_tensorboard_shows_is_uploaded(run: Run, storage: Storage) -> None:
    script = "import pathlib; pathlib.Path('/opt/ml/output/tensorboard/events').write_text('x')"
    wanted = {"TensorBoardOutputConfig": {"S3OutputPath": "s3://bucket/boards"}}
    assert run("Training", entry_point_request(script) | wanted).status == "Completed"
    assert storage.keys("boards/") == ["boards/training-job/tensorboard-output/events"]
