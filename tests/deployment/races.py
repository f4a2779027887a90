"""Races of deployers, promotions and runs on one pipeline of a real local endpoint.

``python -m tests.deployment.races 300`` runs that many rounds by hand; the suite runs a few.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.definition import definition_hash, parse_definition
from airflow_sm_pipelines.deployment.aliases import promote, roll_back
from airflow_sm_pipelines.deployment.deployer import PipelineDeployer
from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.deployment.provenance import CommandProvenance
from airflow_sm_pipelines.runs.start_request import StartOptions, await_alias, plan_start_request
from airflow_sm_pipelines.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
LOG = logging.getLogger("races")
FIRST_ALIAS_SECONDS = 300.0


def definition(number: int) -> dict[str, Any]:
    """A definition that ends at once and that no other number has."""
    condition = {"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Number"}, "RightValue": 0}
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Number", "Type": "Integer", "DefaultValue": number}],
        "Steps": [
            {
                "Name": "Choose",
                "Type": "Condition",
                "Arguments": {"Conditions": [condition], "IfSteps": [], "ElseSteps": []},
            }
        ],
    }


@dataclass(frozen=True)
class Addition:
    """An alias that the service gave to a version, at some moment between two."""

    alias: str
    version_id: int
    began: float
    ended: float


class WatchedCalls(SessionCalls):
    """Calls that note each alias that was added."""

    added: list[Addition]

    def update_version_aliases(self, pipeline_arn: str, version_id: int, *, add: Any = (), remove: Any = ()) -> None:
        """Move aliases, and note what was added."""
        began = time.monotonic()
        super().update_version_aliases(pipeline_arn, version_id, add=add, remove=remove)
        self.added += [Addition(alias, version_id, began, time.monotonic()) for alias in add]


@dataclass
class Round:
    """What one race has shown.

    :ivar faults: what went wrong, as sentences.
    """

    faults: list[str] = field(default_factory=list)
    moves: int = 0


def race(url: str, name: str, *, first: int, deployers: int = 3) -> Round:
    """Create one pipeline several times at once, move its aliases, promote, roll back and run it.

    :param first: the number of the first definition; no other race may use it or the following ones.
    """
    result = Round()
    added: list[Addition] = []
    barrier = threading.Barrier(deployers + 2)
    session = boto3.Session("local", "local", region_name="us-east-1")

    def calls() -> WatchedCalls:
        one = WatchedCalls(session, endpoint_url=url)
        one.added = added
        return one

    def guarded(work: Callable[[WatchedCalls], None]) -> None:
        try:
            work(calls())
        except Exception as error:
            result.faults.append(f"{name}: {type(error).__name__}: {error}")

    def deploy(number: int) -> Callable[[WatchedCalls], None]:
        def work(mine: WatchedCalls) -> None:
            barrier.wait()
            for value in (number, number + 100_000):
                options = DeployOptions(
                    pipeline=definition(value), pipeline_name=name, role_arn=ROLE, aliases=["staging", "prod"]
                )
                made = PipelineDeployer(mine, options, provenance=CommandProvenance(), log=LOG).deploy()
                deployed = parse_definition(mine.describe_pipeline(name, version=made.version_id).definition_text)
                if definition_hash(deployed) != definition_hash(parse_definition(definition(value))):
                    result.faults.append(f"{name}: version {made.version_id} is not what its deployer made")
                arn = mine.start_execution(
                    {"PipelineName": name, "PipelineVersionId": made.version_id}, token=f"{name}-{value}".ljust(40, "x")
                )
                if json.loads(mine.describe_execution_definition(arn))["Parameters"][0]["DefaultValue"] != value:
                    result.faults.append(f"{name}: {arn} does not run what its deployer made")

        return work

    def await_first() -> None:
        """Wait until a deployer has made the alias, however busy the machine is."""
        deadline = time.monotonic() + FIRST_ALIAS_SECONDS
        while not any(one.alias == "prod" for one in added) and time.monotonic() < deadline:
            time.sleep(0.02)

    def move(mine: WatchedCalls) -> None:
        barrier.wait()
        await_first()
        for _ in range(2):
            promote(mine, name, version=1, alias="prod", is_success_required=False, log=LOG)
            roll_back(mine, name, alias="prod", version=1, log=LOG)

    def run(mine: WatchedCalls) -> None:
        barrier.wait()
        await_first()
        options = StartOptions(pipeline_name=name, version="prod", parameters={"Number": 1})
        for number in range(3):
            request = plan_start_request(mine, options, identity=None, log=LOG)
            token = f"{name}-run-{number}".ljust(40, "x")
            await_alias("prod", lambda request=request, token=token: mine.start_execution(request, token=token))

    works = [*(deploy(first + number) for number in range(deployers)), move, run]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _judge(calls(), name, added, result)
    return result


def _judge(calls: WatchedCalls, name: str, added: list[Addition], result: Round) -> None:
    result.moves = len(added)
    now = {alias: version.id for version in calls.list_versions(name) for alias in version.aliases}
    for alias in {one.alias for one in added}:
        ended = max((one.ended for one in added if (one.alias, one.version_id) == (alias, now.get(alias))), default=0.0)
        later = [one for one in added if one.alias == alias and one.began > ended]
        if later:
            result.faults.append(f"{name}: '{alias}' is version {now.get(alias)}, and was moved later: {later}")


def main(rounds: int) -> int:
    """Run that many races, and tell what they showed."""
    moves, faults = 0, []
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        for number in range(rounds):
            found = race(server.endpoint_url, f"race-{number}", first=10 * number + 1)
            moves += found.moves
            faults += found.faults
            for fault in found.faults:
                print(fault, flush=True)
            if number % 25 == 24:
                print(f"{number + 1} races, {moves} alias moves, {len(faults)} faults", flush=True)
    print(f"{rounds} races, {moves} alias moves, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
