"""The page's API: a FastAPI app that Airflow's api-server mounts. It reads Airflow's database and changes nothing.

Each answer about a DAG needs the right to see its XComs. The script and the style are the same for everybody, and hold
nothing of a DAG. This module imports FastAPI and Airflow's API; only the api-server loads it.
"""

from __future__ import annotations

from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep  # noqa: TC002 - FastAPI reads the annotations
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, Response

from airflow_sm_pipelines.airflow_names import conf
from airflow_sm_pipelines.airflow_page import run_rows
from airflow_sm_pipelines.airflow_page.dag_view import answer_dag
from airflow_sm_pipelines.airflow_page.run_view import RunView, answer_run, answer_step, find_sources
from airflow_sm_pipelines.airflow_task.settings import PRICES_OPTION, SECTION
from airflow_sm_pipelines.cost import PriceTable, load_prices
from airflow_sm_pipelines.exceptions import PriceError
from airflow_sm_pipelines.printable_text import clean
from airflow_sm_pipelines.render import CLASS_STYLE

STATIC = Path(__file__).with_name("static")
_FILES = {path.name: path for path in STATIC.iterdir()}
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_check_acting = requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE)

files = APIRouter()
answers = APIRouter(prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])


def make_app() -> FastAPI:
    """The app, for Airflow's api-server."""
    app = FastAPI(title="SageMaker pipelines", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(files)
    app.include_router(answers)
    return app


@files.get("/pictures.css")
def show_style() -> Response:
    """The style of the pictures, light and dark."""
    return Response(CLASS_STYLE, media_type="text/css", headers=_HEADERS)


@files.get("/static/{name}")
def show_file(name: str) -> Response:
    """The page's script, or its icon."""
    if name not in _FILES:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(_FILES[name], headers=_HEADERS)


@answers.get("/run")
def show_run(
    dag_id: str,
    run_id: str,
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    task_id: str | None = None,
    map_index: int = -1,
    source: str | None = None,
    execution: str | None = None,
    view: str = "graph",
) -> dict[str, Any]:
    """A run's executions, one of them in full, and whether the user may act on it."""
    _check_known(session, dag_id, run_id)
    rows = run_rows.read_run(session, dag_id, run_id)
    task = None if task_id is None else (task_id, map_index)
    prices, fault = _read_prices()
    now = datetime.now(timezone.utc)
    found = answer_run(rows, task=task, wanted=source, arn=execution, view=view, now=now, prices=prices)
    if fault is not None and found.get("cost"):
        found["cost"]["fault"] = fault
    if "source_task" in found:
        xcoms = run_rows.read_task_xcoms(session, dag_id, run_id, tuple(found["source_task"]))
        found["links"] = run_rows.find_links(xcoms)
    if not found.get("is_group") and find_spec("airflow.models.task_state_store") is None:
        found.get("actions", {}).pop("resume", None)  # before Airflow 3.3 a task cannot be told to resume
    return _clean({**found, "can_act": _can_act(request, user)})


@answers.get("/step")
def show_step(
    dag_id: str, run_id: str, source: str, step: str, session: SessionDep, execution: str | None = None
) -> dict[str, Any]:
    """One step: its tries, reasons, last log lines and outputs."""
    _check_known(session, dag_id, run_id)
    rows = run_rows.read_run(session, dag_id, run_id)
    chosen = next((one for one in find_sources(rows) if one.name == source), None)
    if chosen is None:
        raise HTTPException(404, f"This run has no pipeline '{source}'.")
    task = chosen.task if chosen.prefix is None else chosen.step_task(step)
    xcoms = run_rows.read_task_xcoms(session, dag_id, run_id, task)
    return _clean(answer_step(RunView(rows, chosen, execution), step, task=task, xcoms=xcoms))


@answers.get("")
def show_dag(
    dag_id: str, session: SessionDep, offset: int = 0, source: str | None = None, output: str | None = None
) -> dict[str, Any]:
    """A DAG's executions, those of fifty runs, to compare."""
    offset = max(offset, 0)
    rows, has_more = run_rows.read_executions(session, dag_id, offset=offset)
    if not rows:
        _check_known(session, dag_id)
    return _clean({**answer_dag(rows, source=source, output=output), "offset": offset, "has_more": has_more})


def _read_prices() -> tuple[PriceTable, str | None]:
    """The prices of ``[sagemaker_pipelines] prices``, and what is wrong with them; none where nothing is set."""
    path = conf.get(SECTION, PRICES_OPTION, fallback="")
    if not path:
        return PriceTable(), None
    try:
        return load_prices(path), None
    except PriceError as error:
        return PriceTable(), str(error)


def _clean(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _clean_value(answer)
    return found


def _clean_value(value: Any) -> Any:
    """A value whose texts hold no control characters and no marks that reorder text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_clean_value(key): _clean_value(one) for key, one in value.items()}
    return [_clean_value(one) for one in value] if isinstance(value, (list, tuple)) else value


def _check_known(session: Any, dag_id: str, run_id: str | None = None) -> None:
    if not run_rows.is_dag_known(session, dag_id):
        raise HTTPException(404, f"There is no DAG '{dag_id}'.")
    if run_id is not None and not run_rows.is_run_known(session, dag_id, run_id):
        raise HTTPException(404, f"DAG '{dag_id}' has no run '{run_id}'.")


def _can_act(request: Request, user: Any) -> bool:
    try:
        _check_acting(request, user)
    except HTTPException:
        return False
    return True
