"""The page's API: who may ask, what is a 404, how large an answer is, and how many queries it takes."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

from airflow_sm_pipelines.airflow_page.run_rows import PAGE_SIZE
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
from airflow_sm_pipelines.render import CLASS_STYLE
from airflow_sm_pipelines.runs.page_record import EXECUTION_KEY, GRAPH_KEY, INSTANCES_KEY, RECORDS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"


class World:
    """A copy of Airflow's database with rows of a test's own, and a client of the app whose user has some rights."""

    def __init__(self, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rights: set[tuple[str, str]] = {("GET", "XCOM"), ("PUT", "TASK_INSTANCE")}
        self.statements: list[str] = []
        self.engine = create_engine(f"sqlite:///{database}", connect_args={"check_same_thread": False})
        self.limits: list[int] = []
        event.listen(self.engine, "before_cursor_execute", self._note)
        self._ids: dict[str, int] = {}
        self.client = self._make_client(monkeypatch)

    def _note(self, *given: Any) -> None:
        self.statements.append(given[2])
        self.limits += given[3][1:2] if " LIMIT " in given[2] else []

    def _make_client(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        from airflow.api_fastapi.common.db import common
        from airflow.api_fastapi.core_api import security
        from airflow.models.dag import DagModel
        from starlette.testclient import TestClient

        from airflow_sm_pipelines.airflow_page.app import make_app

        def is_authorized(*, method: str, access_entity: Any, **_: Any) -> bool:
            return (method, access_entity.name) in self.rights

        def give_session() -> Iterator[Session]:
            with Session(self.engine) as session:
                yield session

        manager = SimpleNamespace(is_authorized_dag=is_authorized)
        monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
        monkeypatch.setattr(DagModel, "get_team_name", lambda *_, **__: None, raising=False)
        app = make_app()
        app.dependency_overrides[common._get_session] = give_session
        app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(get_id=lambda: "u")
        return TestClient(app)

    def add(self, table: str, **row: Any) -> None:
        """Insert a row; what the table wants and the test does not name is made up."""
        with self.engine.begin() as connection:
            self.insert(connection, table, row)

    def insert(self, connection: Any, table: str, row: dict[str, Any]) -> None:
        """The same within a transaction."""
        made: dict[str, Any] = {}
        for column in connection.execute(text(f"pragma table_info({table})")).mappings():
            if column["notnull"] and column["dflt_value"] is None and column["name"] not in row:
                kind = column["type"].upper()
                made[column["name"]] = (
                    0 if any(one in kind for one in ("INT", "BOOL", "FLOAT")) else "2026-01-01 00:00:00"
                )
        row = {**made, **row}
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"insert into {table} ({names}) values ({values})"), row)  # noqa: S608 - the test's own

    def add_run(self, run_id: str = "r", *, state: str = "running", day: int = 1) -> None:
        """A DAG run of the DAG ``d``."""
        self._ids[run_id] = len(self._ids) + 1
        self.add(
            "dag_run", id=self._ids[run_id], dag_id="d", run_id=run_id, state=state, run_type="manual",
            run_after=f"2026-01-{day:02d} 00:00:00.000000",
        )  # fmt: skip

    def add_task(
        self, task_id: str, state: str | None, xcoms: dict[str, Any], *, run_id: str = "r", index: int = -1
    ) -> None:
        """A task instance and its XComs."""
        names = {"dag_id": "d", "run_id": run_id, "task_id": task_id, "map_index": index}
        with self.engine.begin() as connection:
            self.insert(
                connection, "task_instance", {**names, "id": f"{run_id}-{task_id}", "state": state, "try_number": 1}
            )
            for key, value in xcoms.items():
                row = {**names, "dag_run_id": self._ids[run_id], "key": key, "value": json.dumps(value)}
                self.insert(connection, "xcom", row)

    def ask(self, path: str = "/run", status: int = 200, **query: Any) -> Any:
        """The answer to a question about the DAG ``d``."""
        self.statements.clear()
        answer = self.client.get(f"/dags/{query.pop('dag_id', 'd')}{path}", params=query)
        assert answer.status_code == status, answer.text
        self.size = len(answer.content)
        return answer.json()


@pytest.fixture
def world(airflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    shutil.copy(airflow_template / "airflow.db", tmp_path / "airflow.db")
    made = World(tmp_path / "airflow.db", monkeypatch)
    made.add("dag", dag_id="d", bundle_name="b")
    made.add_run()
    return made


def record(name: str, status: str = "Succeeded", **more: Any) -> dict[str, Any]:
    return {"arn": ARN, "name": name, "type": "Training", "status": status, "start": BEGIN.isoformat(), **more}


def graph(*edges: tuple[str, list[str]]) -> dict[str, Any]:
    steps = [{"name": name, "type": "Training", "waits_for": waits_for} for name, waits_for in edges]
    return {"shape_version": 1, "steps": steps}


def execution(status: str = "Executing", **more: Any) -> dict[str, Any]:
    return {"arn": ARN, "pipeline": "p", "status": status, **more}


def add_group(world: World, *, ended: str | None = None, **states: str | None) -> None:
    """The group ``g`` of a chain of steps, each with a record if its task has begun."""
    names = list(states)
    edges = [(name, names[max(0, at - 1) : at]) for at, name in enumerate(names)]
    run = {EXECUTION_KEY: execution(), GRAPH_KEY: graph(*edges), GROUP_KEY: {"arn": ARN, "began": ""}, REPAIRS_KEY: []}
    world.add_task("g.run", "success", run)
    for name, state in states.items():
        status = {"success": "Succeeded", "failed": "Failed", "deferred": "Executing"}.get(str(state))
        world.add_task(f"g.steps.{name}", state, {RECORDS_KEY: [record(name, status)]} if status else {})
    world.add_task("g.ended", ended, {})


def test_who_may_not_see_xcoms_sees_nothing_and_who_may_not_clear_is_offered_nothing(world: World) -> None:
    add_group(world, A="deferred")
    assert world.ask(run_id="r")["can_act"] is True
    world.rights.remove(("PUT", "TASK_INSTANCE"))
    assert world.ask(run_id="r")["can_act"] is False
    world.rights.clear()
    for path in ("/run", "/step", ""):
        world.ask(path, 403, run_id="r", source="g", step="A")


def test_nobody_without_a_session_is_answered(world: World) -> None:
    world.client.app.dependency_overrides.clear()
    for path in ("/run", "/step", ""):
        world.ask(path, 401, run_id="r", source="g", step="A")


def test_what_airflow_does_not_know_is_a_404(world: World) -> None:
    add_group(world, A="deferred")
    world.ask(status=404, dag_id="other", run_id="r")
    world.ask("", status=404, dag_id="other")
    world.ask(status=404, run_id="other")
    world.ask("/step", status=404, run_id="r", source="other", step="A")
    assert world.client.get("/static/../app.py").status_code == 404
    assert world.client.get("/static/page.js").headers["content-type"].startswith("text/javascript")


def test_a_run_without_a_pipeline_says_so(world: World) -> None:
    world.add_task("t", "success", {"return_value": 1})
    assert world.ask(run_id="r") == {"sources": [], "is_open": False, "can_act": True}
    assert world.ask("")["rows"] == []


def test_a_group_shows_its_steps_and_what_can_be_done(world: World) -> None:
    add_group(world, A="success", B="failed", C="upstream_failed", ended="failed")
    shown = world.ask(run_id="r")
    assert [(step["name"], step["status"]) for step in shown["steps"]] == [
        ("A", "Succeeded"), ("B", "Failed"), ("C", "Not reached"),
    ]  # fmt: skip
    assert shown["actions"] == {"resume": ["g.steps.B"]}
    assert not shown["is_open"]


def test_a_group_that_runs_can_be_stopped(world: World) -> None:
    add_group(world, A="success", B="deferred", C=None)
    shown = world.ask(run_id="r")
    assert [step["status"] for step in shown["steps"]] == ["Succeeded", "Executing", "Waiting"]
    assert shown["actions"] == {"stop": "g.ended"}
    assert shown["is_open"]
    assert shown["status"] == "Executing"


def test_a_run_has_a_cost_at_the_prices_that_the_api_server_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = "2026-01-02T03:00:00+00:00", "2026-01-02T04:00:00+00:00"
    kept = {
        EXECUTION_KEY: execution("Succeeded"),
        INSTANCES_KEY: {"A": [["Training", "ml.m5.large", 2]]},
        RECORDS_KEY: [record("A", start=began, end=ended)],
    }
    world.add_task("t", "success", kept)
    known = {"hours": 2.0, "amount": 0.0, "currency": "USD", "unpriced": ["ml.m5.large"]}
    assert world.ask(run_id="r")["cost"] == known
    prices = tmp_path / "prices.toml"
    monkeypatch.setenv("AIRFLOW__SAGEMAKER_PIPELINES__PRICES", str(prices))
    assert f"The prices {prices} cannot be read" in world.ask(run_id="r")["cost"]["fault"]
    prices.write_text('currency = "EUR"\n[hourly]\n"ml.m5.large" = 0.25\n')
    assert world.ask(run_id="r")["cost"] == {"hours": 2.0, "amount": 0.5, "currency": "EUR", "unpriced": []}


def test_a_run_task_shows_why_steps_did_not_run(world: World) -> None:
    shape = graph(("A", []), ("Check", ["A"]), ("Yes", ["Check"]), ("No", ["Check"]), ("Z", ["A"]))
    for at, outcome in ((2, True), (3, False)):
        shape["steps"][at]["branches"] = [{"condition": "Check", "outcome": outcome}]
    records = [record("A"), record("Check", outcome="False"), record("No", "Failed", reason="no")]
    for run_id, state, other in (("r", "failed", "Not reached"), ("r2", "deferred", "Waiting")):
        if run_id != "r":
            world.add_run(run_id)
        kept = {EXECUTION_KEY: execution("Failed"), GRAPH_KEY: shape, RECORDS_KEY: records}
        world.add_task("train", state, kept, run_id=run_id)
        statuses = {step["name"]: step["status"] for step in world.ask(run_id=run_id)["steps"]}
        assert statuses == {"A": "Succeeded", "Check": "Succeeded", "Yes": "Skipped", "No": "Failed", "Z": other}


@pytest.mark.parametrize(
    ("state", "failing", "actions"),
    [
        ("deferred", "Training", {"stop": "train"}),
        ("failed", "Training", {"resume": ["train"]}),
        ("failed", "Fail", {}),
        ("success", "Training", {}),
    ],
)
def test_a_run_task_by_itself_can_be_stopped_and_resumed(
    world: World, state: str, failing: str, actions: dict[str, Any]
) -> None:
    shape = {"shape_version": 1, "steps": [{"name": "A", "type": failing, "waits_for": []}]}
    kept = {EXECUTION_KEY: execution("Failed"), GRAPH_KEY: shape, RECORDS_KEY: [record("A", "Failed")]}
    world.add_task("train", state, kept)
    assert world.ask(run_id="r")["actions"] == actions


def test_a_task_of_a_mapped_one_is_named_with_its_index_and_shows_what_its_steps_have_made(world: World) -> None:
    outputs = {"A": {"rmse": 1.5, "name": "A"}, "B": {"rmse": 2}}
    kept = {EXECUTION_KEY: execution(), RECORDS_KEY: [record("A")], "step_outputs": outputs}
    world.add_task("train", "deferred", kept, index=2)
    shown = world.ask(run_id="r")
    assert shown["sources"] == ["train [2]"]
    assert shown["actions"] == {"stop": ["train", 2]}
    # An XCom may be large; the answer about a run needs few of them.
    assert any("xcom" in one and " IN (" in one for one in world.statements)
    assert world.ask("/step", run_id="r", source="train [2]", step="A")["outputs"] == {"rmse": 1.5}


def test_several_executions_of_a_group_can_be_chosen(world: World) -> None:
    add_group(world, ended="success", A="success", B="success")
    later = f"{ARN}-later"
    entry = {"arn": later, "steps": ["B"], "source": ARN, "token": "t", "root": ARN, "began": None, "is_refused": False}
    with world.engine.begin() as connection:
        for key, value in (
            (REPAIRS_KEY, [entry]),
            (RECORDS_KEY, [record("B"), record("B", "Failed") | {"arn": later}]),
        ):
            task = "g.run" if key == REPAIRS_KEY else "g.steps.B"
            row = {"value": json.dumps(value), "task": task, "key": key}
            connection.execute(text("update xcom set value = :value where task_id = :task and key = :key"), row)
    shown = world.ask(run_id="r", execution=ARN)
    assert [one["arn"] for one in shown["executions"]] == [later, ARN]
    assert [step["status"] for step in shown["steps"]] == ["Succeeded", "Succeeded"]
    assert [step["status"] for step in world.ask(run_id="r", execution=later)["steps"]] == ["Skipped", "Failed"]
    of_step = world.ask(run_id="r", task_id="g.steps.B")
    assert (of_step["step"], of_step["sources"], shown["sources"]) == ("B", ["g"], ["g"])
    assert world.ask(run_id="r", task_id="other")["sources"] == []


def test_a_step_that_was_not_reached_again_does_not_show_its_former_end(world: World) -> None:
    add_group(world, ended="failed", A="failed", B="success")
    with world.engine.begin() as connection:
        connection.execute(text("update task_instance set state = 'upstream_failed' where task_id = 'g.steps.B'"))
    assert [step["status"] for step in world.ask(run_id="r")["steps"]] == ["Failed", "Not reached"]
    assert len(world.ask("/step", run_id="r", source="g", step="B")["tries"]) == 1


def test_hostile_names_reasons_and_lines_are_text(world: World) -> None:
    run = {EXECUTION_KEY: execution("Failed", reason=HOSTILE, parameters={HOSTILE: HOSTILE})}
    run |= {RECORDS_KEY: [record(HOSTILE, "Failed", reason=HOSTILE, log=[HOSTILE])]}
    run |= {"sagemaker_execution_link": "javascript:alert(1)", "sagemaker_logs_link": "https://logs"}
    run |= {"sagemaker_queue_link": "http://127.0.0.1/q", "sagemaker_pipeline_link": 7}
    world.add_task("run", "failed", run)
    for view in ("graph", "timeline"):
        shown = world.ask(run_id="r", view=view)
        assert "<img" not in shown["picture"]
        assert "&lt;img" in shown["picture"]
        assert not {"\x1b", "\u202e"} & set(json.dumps(shown, ensure_ascii=False))
    assert shown["links"] == [
        {"name": "Step logs", "href": "https://logs"},
        {"name": "Callback queue", "href": "http://127.0.0.1/q"},
    ]
    step = world.ask("/step", run_id="r", source="run", step=HOSTILE)
    assert step["tries"][0]["log"] == ["<img src=x onerror=alert(1)>\\x1b[2J\\u202e"]


def test_a_thousand_steps_fit_into_300_kb(world: World) -> None:
    names = [f"Step-with-a-long-name-{number}" for number in range(1000)]
    edges = [(name, names[max(0, at - 10) : max(0, at - 9)]) for at, name in enumerate(names)]
    ended = (BEGIN + timedelta(seconds=90)).isoformat()
    records = [record(name, "Failed", end=ended, reason="It failed. " * 90, job_arn=ARN) for name in names]
    world.add_task(
        "run", "failed", {EXECUTION_KEY: execution("Failed"), GRAPH_KEY: graph(*edges), RECORDS_KEY: records}
    )
    for view in ("graph", "timeline"):
        world.ask(run_id="r", view=view)
        assert world.size < 300_000


def test_the_tab_of_a_dag_takes_one_query_for_fifty_runs(world: World) -> None:
    for number in range(2, 62):
        world.add_run(f"r{number}", state="success", day=number % 28 + 1)
        begin, end = BEGIN.isoformat(), (BEGIN + timedelta(seconds=number)).isoformat()
        kept = execution("Succeeded", start=begin, end=end, outputs={"rmse": number / 2, "name": "m"})
        world.add_task("run", "success", {EXECUTION_KEY: kept}, run_id=f"r{number}")
    shown = world.ask("")
    assert len([one for one in world.statements if one.lstrip().lower().startswith("select")]) == 1
    assert len(shown["rows"]) == 50
    assert world.limits == [PAGE_SIZE + 1]  # one more tells whether there are older ones
    assert shown["has_more"]
    assert (shown["outputs"], shown["output"]) == (["rmse", "duration"], "rmse")
    assert shown["chart"].count("<circle") == 50
    assert shown["offset"] == 0
    days = [row["when"][8:10] for row in shown["rows"]]
    assert days == sorted(days, reverse=True)
    assert [row["run_id"] for row in shown["rows"]][:3] == ["r55", "r27", "r54"]  # of one day the newest first
    older = world.ask("", offset=50)
    assert len(older["rows"]) == 10  # and the run without a pipeline
    assert (older["offset"], older["has_more"]) == (50, False)
    assert world.ask("", offset=-1, output="duration") == {
        **shown,
        "output": "duration",
        "chart": world.ask("", output="duration")["chart"],
    }


def test_rows_of_other_runs_and_tasks_are_not_mixed_in(world: World) -> None:
    world.add("dag", dag_id="other", bundle_name="b")
    world.add_run("r2", day=2)
    for run_id, index in (("r", 0), ("r", 1), ("r2", 0)):
        kept = execution("Failed", pipeline=f"{run_id}-{index}")
        name = {"sagemaker_pipeline_link": f"https://{run_id}-{index}"}
        records = [record("A", reason=f"{run_id}-{index}")]
        world.add_task(
            f"t{index}", "failed", {EXECUTION_KEY: kept, RECORDS_KEY: records, **name}, run_id=run_id, index=index
        )
    shown = world.ask(run_id="r", source="t1 [1]")
    assert (shown["sources"], shown["pipeline"]) == (["t0 [0]", "t1 [1]"], "r-1")
    assert shown["links"] == [{"name": "SageMaker pipeline", "href": "https://r-1"}]
    step = world.ask("/step", run_id="r2", source="t0 [0]", step="A")
    assert [one["reason"] for one in step["tries"]] == ["r2-0"]
    assert [(row["run_id"], row["source"]) for row in world.ask("", source="t1 [1]")["rows"]] == [("r", "t1 [1]")]
    assert world.ask("")["sources"] == ["t0 [0]", "t1 [1]"]
    with world.engine.begin() as connection:
        connection.execute(text("update xcom set dag_id = 'other' where run_id = 'r2'"))
        connection.execute(text("update dag_run set dag_id = 'other', run_id = 'r' where run_id = 'r2'"))
        connection.execute(text("update xcom set run_id = 'r' where run_id = 'r2'"))
    assert world.ask(run_id="r", source="t0 [0]")["links"] == [{"name": "SageMaker pipeline", "href": "https://r-0"}]
    assert [row["pipeline"] for row in world.ask("", source="t0 [0]")["rows"]] == ["r-0"]
    world.ask(status=404, dag_id="other", run_id="r2")


def test_the_page_s_files_are_asked_for_anew_and_hold_what_they_say(world: World) -> None:
    style = world.client.get("/pictures.css")
    assert style.headers["content-type"].startswith("text/css")
    assert style.text == CLASS_STYLE
    for answer in (style, world.client.get("/static/page.js")):
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"
    for page in ("/docs", "/redoc", "/openapi.json"):
        assert world.client.get(page).status_code == 404
