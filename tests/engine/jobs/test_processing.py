"""Processing jobs as real processes, against a real S3."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.engine.jobs import Isolation, IsolationMode, JobContext, JobOutcome
from tests.engine.jobs.conftest import IMAGE, RecordedLog, Storage

Run = Callable[..., JobOutcome]


def processing_request(*argv: str, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": list(argv)},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "RoleArn": "arn:aws:iam::123456789012:role/local",
    }
    return request | changes


def script_request(storage: Storage, script: str, **changes: Any) -> dict[str, Any]:
    uri = storage.put("code/step.py", script)
    inputs = [s3_input("code", uri, "/opt/ml/processing/input/code"), *changes.pop("ProcessingInputs", ())]
    entry_point = ("python3", "/opt/ml/processing/input/code/step.py")
    return processing_request(*entry_point, ProcessingInputs=inputs, **changes)


def s3_input(name: str, uri: str, path: str, **changes: Any) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source | changes}


def s3_outputs(*outputs: tuple[str, str, str], mode: str = "EndOfJob") -> dict[str, Any]:
    return {
        "Outputs": [
            {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": mode}}
            for name, path, uri in outputs
        ]
    }


OUTPUT = ("result", "/opt/ml/processing/output", "s3://bucket/out")


def test_a_script_reads_its_inputs_and_its_outputs_are_uploaded(run: Run, storage: Storage, log: RecordedLog) -> None:
    storage.put("data/a.csv", "1,2\n")
    storage.put("data/deep/b.csv", "3,4\n")
    script = (
        "import pathlib\n"
        "root = pathlib.Path('/opt/ml/processing/input/data')\n"
        "found = sorted(str(p.relative_to(root)) for p in root.rglob('*.csv'))\n"
        "print('found', found)\n"
        "out = pathlib.Path('/opt/ml/processing/output')\n"
        "(out / 'nested').mkdir()\n"
        "(out / 'nested' / 'names.txt').write_text(' '.join(found))\n"
        "(out / 'link.txt').symlink_to(out / 'nested' / 'names.txt')\n"
    )
    data = s3_input("data", "s3://bucket/data", "/opt/ml/processing/input/data")
    outcome = run(
        "Processing",
        script_request(storage, script, ProcessingInputs=[data], ProcessingOutputConfig=s3_outputs(OUTPUT)),
    )

    assert outcome.status == "Completed", outcome
    assert storage.keys("out/") == ["out/nested/names.txt"]
    assert storage.get("out/nested/names.txt") == b"a.csv deep/b.csv"
    assert outcome.log_tail == ("found ['a.csv', 'deep/b.csv']",)
    (stream,) = log.streams
    assert stream.startswith("processing-job/algo-1-")


def test_the_configuration_files_are_those_of_the_service(run: Run, storage: Storage) -> None:
    script = (
        "import json\n"
        "job = json.load(open('/opt/ml/config/processingjobconfig.json'))\n"
        "hosts = json.load(open('/opt/ml/config/resourceconfig.json'))\n"
        "open('/opt/ml/processing/output/seen.json', 'w').write(json.dumps([job, hosts]))\n"
    )
    request = script_request(storage, script, ProcessingOutputConfig=s3_outputs(OUTPUT), Environment={"MODE": "test"})
    assert run("Processing", request).status == "Completed"
    job, hosts = json.loads(storage.get("out/seen.json"))
    assert job["ProcessingJobName"] == "processing-job"
    assert job["Environment"] == {"MODE": "test"}
    assert job["AppSpecification"]["ImageUri"] == IMAGE
    assert job["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    assert hosts == {"current_host": "algo-1", "hosts": ["algo-1"]}


def test_the_last_lines_and_the_reason_tell_why_a_script_failed(run: Run, storage: Storage) -> None:
    request = script_request(
        storage, "print('begin')\nraise ValueError('no rows')\n", ProcessingOutputConfig=s3_outputs(OUTPUT)
    )
    outcome = run("Processing", request)
    assert outcome.status == "Failed"
    assert outcome.failure_reason == (
        "AlgorithmError: ValueError: no rows (the last line of the log). 'python3 "
        "/opt/ml/processing/input/code/step.py' ended with exit code 1."
    )
    assert outcome.log_tail[0] == "begin"
    assert outcome.log_tail[-1] == "ValueError: no rows"
    assert storage.keys("out") == []


def test_a_killed_script_is_reported_with_its_signal(run: Run, storage: Storage) -> None:
    outcome = run("Processing", script_request(storage, "import os\nos.kill(os.getpid(), 9)\n"))
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert "was killed by SIGKILL (often the machine's memory was full)" in outcome.failure_reason


def test_a_job_past_its_time_fails_with_the_limit_in_the_reason(run: Run, storage: Storage) -> None:
    request = script_request(
        storage, "import time\nprint('waiting')\ntime.sleep(60)\n", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    started = time.monotonic()
    outcome = run("Processing", request)
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert outcome.failure_reason.startswith("MaxRuntimeExceeded")
    assert "(1 s)" in outcome.failure_reason
    assert outcome.log_tail == ("waiting",)
    assert time.monotonic() - started < 20


def test_the_message_file_becomes_the_exit_message(run: Run, storage: Storage) -> None:
    outcome = run(
        "Processing", script_request(storage, "open('/opt/ml/output/message', 'w').write('42 rows dropped')\n")
    )
    assert outcome.exit_message == "42 rows dropped"
    assert outcome.details["ExitMessage"] == "42 rows dropped"


def test_an_output_without_files_is_a_warning_in_the_log(run: Run, storage: Storage) -> None:
    outcome = run("Processing", script_request(storage, "pass\n", ProcessingOutputConfig=s3_outputs(OUTPUT)))
    assert outcome.status == "Completed"
    assert outcome.log_tail == (
        "WARNING: output 'result' is empty: the job wrote no file to /opt/ml/processing/output.",
    )


def test_an_image_without_an_entry_fails_with_the_lines_to_add(run: Run) -> None:
    request = processing_request("python3", "-V")
    request["AppSpecification"]["ImageUri"] = "1234.example.com/team/secret-sauce:7"
    outcome = run("Processing", request)
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert "SM_PIPELINES_IMAGES" in outcome.failure_reason
    assert 'match = "team/secret-sauce"' in outcome.failure_reason


def test_an_input_with_no_objects_fails_before_anything_runs(run: Run) -> None:
    request = processing_request(
        "python3", "-V", ProcessingInputs=[s3_input("data", "s3://bucket/nothing/", "/opt/ml/processing/input")]
    )
    outcome = run("Processing", request)
    assert outcome.failure_reason == (
        "ClientError: Data download failed: S3 key: s3://bucket/nothing/ matched no files on s3."
    )


def test_a_program_of_the_image_that_is_not_here_is_named(run: Run) -> None:
    outcome = run("Processing", processing_request("smspark-submit", "job.py"))
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert "'smspark-submit' could not be started: No such file or directory" in outcome.failure_reason


def test_a_local_path_outside_opt_ml_is_refused(run: Run, storage: Storage) -> None:
    uri = storage.put("data/a.csv", "1")
    for path in ("/etc/passwd.d", "/opt/ml/../../escape"):
        outcome = run("Processing", processing_request("python3", "-V", ProcessingInputs=[s3_input("i", uri, path)]))
        assert outcome.failure_reason == f"ClientError: the local path '{path}' must be below /opt/ml."


def test_each_instance_gets_its_shard_and_all_outputs_are_uploaded(run: Run, storage: Storage) -> None:
    for number in range(5):
        storage.put(f"data/{number}.csv", str(number))
    script = (
        "import json, os, socket\n"
        "config = json.load(open('/opt/ml/config/resourceconfig.json'))\n"
        "host = config['current_host']\n"
        "names = sorted(os.listdir('/opt/ml/processing/input/data'))\n"
        "json.dump([config['hosts'], names], open(f'/opt/ml/processing/output/{host}.json', 'w'))\n"
    )
    data = s3_input(
        "data", "s3://bucket/data/", "/opt/ml/processing/input/data", S3DataDistributionType="ShardedByS3Key"
    )
    request = script_request(storage, script, ProcessingInputs=[data], ProcessingOutputConfig=s3_outputs(OUTPUT))
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    outcome = run("Processing", request)
    assert outcome.status == "Completed", outcome
    hosts = ["algo-1", "algo-2"]
    assert json.loads(storage.get("out/algo-1.json")) == [hosts, ["0.csv", "2.csv", "4.csv"]]
    assert json.loads(storage.get("out/algo-2.json")) == [hosts, ["1.csv", "3.csv"]]


def test_one_failing_instance_ends_the_others(run: Run, storage: Storage) -> None:
    script = (
        "import json, sys, time\n"
        "host = json.load(open('/opt/ml/config/resourceconfig.json'))['current_host']\n"
        "sys.exit(3) if host == 'algo-2' else time.sleep(60)\n"
    )
    request = script_request(storage, script)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    outcome = run("Processing", request)
    assert outcome.status == "Failed"
    assert outcome.failure_reason is not None
    assert "on algo-2 ended with exit code 3" in outcome.failure_reason


def test_continuous_outputs_arrive_while_the_job_still_runs(
    run: Run, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_sm_pipelines.engine.jobs.processing._SYNC_SECONDS", 0.1)
    uri = storage.put("flag/none", "")
    script = "import os, time\nopen('/opt/ml/processing/output/early.txt', 'w').write('early')\ntime.sleep(60)\n"
    request = script_request(
        storage,
        script,
        ProcessingInputs=[s3_input("flag", uri, "/opt/ml/processing/input/flag")],
        ProcessingOutputConfig=s3_outputs(OUTPUT, mode="Continuous"),
    )
    stop = threading.Event()
    outcomes: list[JobOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run("Processing", request, stop=stop)))
    thread.start()
    deadline = time.monotonic() + 20
    while "out/early.txt" not in storage.keys("out/") and time.monotonic() < deadline:
        thread.join(0.05)
    arrived, still_running = storage.keys("out/"), thread.is_alive()
    stop.set()
    thread.join(20)
    assert arrived == ["out/early.txt"]
    assert still_running
    assert outcomes[0].status == "Stopped"


def test_a_job_sees_a_clean_environment_with_local_credentials_only(
    run: Run, storage: Storage, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-users-own")
    monkeypatch.setenv("MY_SECRET", "mine")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    script = (
        "import json, os\n"
        "json.dump({**os.environ, 'cwd': os.getcwd()}, open('/opt/ml/processing/output/env.json', 'w'))\n"
    )
    request = script_request(
        storage,
        script,
        ProcessingOutputConfig=s3_outputs(OUTPUT),
        Environment={"MODE": "test", "AWS_ENDPOINT_URL": "https://example.invalid"},
    )
    assert run("Processing", request).status == "Completed"
    seen = json.loads(storage.get("out/env.json"))
    assert "AWS_SESSION_TOKEN" not in seen
    assert "MY_SECRET" not in seen
    assert seen["AWS_ENDPOINT_URL"] == context.endpoint_url
    assert seen["AWS_ACCESS_KEY_ID"] == "local"
    assert seen["AWS_DEFAULT_REGION"] == "us-east-1"
    assert seen["MODE"] == "test"
    assert seen["PIP_INDEX_URL"] == "http://127.0.0.1:1/simple"
    assert seen["HOME"] != os.environ["HOME"]
    assert Path(seen["cwd"]).name == "work"


def test_a_step_that_calls_sts_by_its_public_address_stays_on_this_machine(run: Run, storage: Storage) -> None:
    script = (
        "import boto3\n"
        "sts = boto3.client('sts', endpoint_url='https://sts.us-east-1.amazonaws.com')\n"
        "print(sts.meta.endpoint_url.startswith('http://127.0.0.1:'), sts.get_caller_identity()['Account'])\n"
    )
    outcome = run("Processing", script_request(storage, script))
    assert outcome.log_tail == ("True 123456789012",)


def test_what_a_step_installs_is_gone_after_it(run: Run, storage: Storage) -> None:
    script = (
        "import pathlib, subprocess, sys, sysconfig\n"
        "source = pathlib.Path('pkg')\n"
        "source.mkdir()\n"
        "(source / 'probe_package_of_one_job.py').write_text('')\n"
        "purelib = pathlib.Path(sysconfig.get_paths()['purelib'])\n"
        "(purelib / 'probe_package_of_one_job.py').write_text('value = 1')\n"
        "import probe_package_of_one_job, boto3\n"
        "print(probe_package_of_one_job.value, sys.prefix == str(purelib.parents[2]))\n"
    )
    assert run("Processing", script_request(storage, script)).log_tail == ("1 True",)
    with pytest.raises(ModuleNotFoundError):
        __import__("probe_package_of_one_job")


def test_without_namespaces_paths_in_arguments_and_variables_are_rewritten(
    run: Run, storage: Storage, context: JobContext
) -> None:
    script = (
        "import os, sys\n"
        "assert os.path.isdir(os.environ['OUT']), os.environ['OUT']\n"
        "open(os.path.join(os.environ['OUT'], 'x.txt'), 'w').write(open(sys.argv[1]).read())\n"
    )
    uri = storage.put("data/a.csv", "1,2")
    request = script_request(
        storage,
        script,
        ProcessingInputs=[s3_input("data", uri, "/opt/ml/processing/input/data")],
        ProcessingOutputConfig=s3_outputs(OUTPUT),
        Environment={"OUT": "/opt/ml/processing/output"},
    )
    request["AppSpecification"]["ContainerArguments"] = ["/opt/ml/processing/input/data/a.csv"]
    plain = replace(context, isolation=Isolation(IsolationMode.PATHS, "No private /opt/ml here."))
    outcome = run("Processing", request, context=plain)
    assert outcome.status == "Completed", outcome
    assert storage.get("out/x.txt") == b"1,2"


def test_without_namespaces_a_hard_coded_path_fails_with_the_way_out(
    run: Run, storage: Storage, context: JobContext
) -> None:
    plain = replace(context, isolation=Isolation(IsolationMode.PATHS, "No private /opt/ml here."))
    outcome = run("Processing", script_request(storage, "open('/opt/ml/processing/none.txt')\n"), context=plain)
    assert outcome.failure_reason is not None
    assert outcome.failure_reason.endswith("No private /opt/ml here.")
