"""AutoML steps: what stand-ins leave to the engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns
from tests.engine.fake_world import ROLE, World

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_without_a_role_has_that_of_the_execution(tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    (tmp_path / "mine.py").write_text(
        f"import json\ndef search(step):\n    open({str(seen)!r}, 'w').write(json.dumps(step))\n"
    )
    (tmp_path / "stand_ins.toml").write_text('[[stand_in]]\ntype = "AutoML"\nfunction = "mine.py:search"\n')
    world = World(tmp_path)
    world.stand_ins = StandIns.load(env={"SM_PIPELINES_STAND_INS": str(tmp_path / "stand_ins.toml")})
    world.open()
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train.csv"}}
    arguments = {
        "InputDataConfig": [{"DataSource": source, "TargetAttributeName": "price"}],
        "OutputDataConfig": {"S3OutputPath": "s3://models/out"},
    }
    arn, status = world.run([{"Name": "Search", "Type": "AutoML", "Arguments": arguments}])
    assert status == "Succeeded", world.steps(arn)
    name = world.steps(arn)["Search"]["Metadata"]["AutoMLJob"]["Arn"].rpartition("/")[2]
    assert json.loads(seen.read_text())["arguments"] == arguments, "the stand-in gets what is written"
    assert world.engine.call("DescribeAutoMLJob", {"AutoMLJobName": name})["RoleArn"] == ROLE
    world.engine.stop()
