"""The arguments of ``migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

EXIT_CODES = (
    "Exit codes: 0 everything became something that works; 1 something is left to do, and the report says what "
    "(--allow-partial makes this 0); 2 the source could not be read, and nothing was written."
)


def add_migrate_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``migrate`` with a command for each kind of source."""
    parser = commands.add_parser(
        "migrate",
        help="turn a workflow of another orchestrator into pipelines and a DAG",
        description="Write an Airflow DAG file, the definitions of its pipelines and a report of what became of each "
        "node. What no pipeline step does becomes an Airflow task; what nothing does becomes a task that fails and "
        "says so. Nothing is asked of AWS.",
        epilog=EXIT_CODES,
    )
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", required=True)
    states = sources.add_parser(
        "step-functions",
        help="a state machine of AWS Step Functions",
        description="Read a state machine's definition (Amazon States Language, JSON or YAML; ${...} of a template may "
        "stand in it).",
        epilog=EXIT_CODES,
    )
    states.add_argument("file", type=Path, metavar="FILE", help="the state machine's definition")
    states.add_argument(
        "--sample-input",
        type=Path,
        metavar="FILE",
        help="the JSON input of one execution: objects and lists in it, which no pipeline parameter can hold, are "
        "written into the definition",
    )
    _add_output_options(states, run="step_functions")
    kubeflow = sources.add_parser(
        "kubeflow",
        help="a compiled pipeline of Kubeflow Pipelines",
        description="Read a compiled pipeline: an Argo Workflow of KFP 1, or the IR of KFP 2. Tasks of the SageMaker "
        "components become steps.",
        epilog=EXIT_CODES,
    )
    kubeflow.add_argument("file", type=Path, metavar="FILE", help="the compiled pipeline, YAML or JSON")
    _add_output_options(kubeflow, run="kubeflow")
    jobs = sources.add_parser(
        "jobs",
        help="single SageMaker jobs, from what describes them",
        description="Read the answers of Describe calls, as 'aws sagemaker describe-training-job ... > train.json' "
        "writes them, and find out from names, S3 addresses and times what followed what.",
        epilog=EXIT_CODES,
    )
    jobs.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the answer of a Describe call, JSON")
    _add_output_options(jobs, run="jobs")
    dags = sources.add_parser(
        "airflow",
        help="a DAG of the amazon provider's SageMaker operators",
        description="Read a DAG and one past run of it from the answers of Airflow's REST API: the operators' configs "
        "are in the rendered fields of the run.",
        epilog=EXIT_CODES,
    )
    dags.add_argument("tasks", type=Path, metavar="TASKS", help="the answer of GET /dags/{dag_id}/tasks")
    dags.add_argument(
        "task_instances",
        type=Path,
        metavar="TASK-INSTANCES",
        help="the answer of GET /dags/{dag_id}/dagRuns/{run_id}/taskInstances",
    )
    dags.add_argument("--dag-run", type=Path, metavar="FILE", help="the answer of GET /dags/{dag_id}/dagRuns/{run_id}")
    _add_output_options(dags, run="airflow_dag")


def _add_output_options(parser: argparse.ArgumentParser, *, run: str) -> None:
    parser.add_argument("--name", help="of the DAG; the source's own name by default")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.add_argument("--allow-partial", action="store_true", help="end with 0 although something is left to do")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print the report as JSON")
    parser.set_defaults(run=_run_migrate, reader=run)


def _run_migrate(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.migrations import run_migrate

    return run_migrate(arguments)
