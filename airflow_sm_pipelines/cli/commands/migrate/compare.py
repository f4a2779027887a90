"""``migrate compare``: a source and the DAG that was made of it, run side by side."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_json_option
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.comparison import MachineComparison
    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.documents import Variables
    from airflow_sm_pipelines.migrate.stepfunctions.machine_files import HeldMachine


def add(sources: Commands) -> None:
    """Add the command."""
    parser = sources.add_parser(
        "compare",
        help="a source against its DAG: whether both do the same",
        description="Run a state machine in moto's interpreter and its DAG in a scratch Airflow beside the local "
        "endpoint, with made-up answers for every service, and compare calls, order and end. Or run a Kubeflow "
        "pipeline in kfp.local and its DAG with its jobs, and compare tasks, what they give, order and end. Nothing "
        "is asked of AWS. Or run a DAG file with SageMaker operators and the migrated one, and compare their requests, "
        "order, and the states of all tasks. Each branch is run, and each failing task, as far as made-up answers or "
        "other random numbers reach.",
        epilog="Exit codes: 0 both do the same; 1 they differ; 2 they could not be compared. Needs the extra "
        "'compare' of this package. The code of a Kubeflow pipeline, and of a DAG file, runs on "
        "this machine.",
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a file with a state machine or pipeline, or a DAG file"
    )
    parser.add_argument("dag_file", type=Path, metavar="DAG_FILE", help="the migrated DAG, beside its definitions")
    parser.add_argument("--select", metavar="NAME", help="the one of that name; by default the DAG file's")
    parser.add_argument(
        "--sample-input",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="an input or the parameters, as a JSON object; may be given more than once",
    )
    parser.add_argument(
        "--define",
        "--var",
        action="append",
        default=[],
        dest="variables",
        metavar="NAME=VALUE",
        help="the value of a placeholder, as it was given to 'migrate stepfunctions'",
    )
    parser.add_argument(
        "--search-path",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="where modules are that the DAG file imports",
    )
    parser.add_argument(
        "--play-others",
        action="store_true",
        help="of a DAG file: all other tasks but branches give a made-up text, and do no work",
    )
    add_json_option(parser, "the comparison")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, and say what came out."""
    from airflow_sm_pipelines.cli.commands.migrate.stepfunctions import read_file
    from airflow_sm_pipelines.cli.sources import read_object
    from airflow_sm_pipelines.cli.terminal import say, say_json
    from airflow_sm_pipelines.migrate.kubeflow import mentions_pipelines

    samples = [read_object(path, name=str(path)) for path in arguments.sample_input]
    if not arguments.dag_file.is_file():
        raise MigrationError(f"Cannot read {arguments.dag_file}: there is no such file.")
    if arguments.source.suffix == ".py":
        compare, words = _compare_dag_file, ("requests", "old DAG")
    elif mentions_pipelines(read_file(arguments.source)):
        compare, words = _compare_pipeline, ("tasks", "pipeline")
    else:
        compare, words = _compare_machine, ("calls and waits", "machine")
    comparison = compare(arguments, samples)
    if arguments.as_json:
        say_json(comparison.to_json())
    else:
        say(*_render(comparison, *words))
    return 0 if comparison.is_equal else 1


def _compare_machine(arguments: argparse.Namespace, samples: list[JsonObject]) -> MachineComparison:
    from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
    from airflow_sm_pipelines.comparison import prepare_comparison, run_dags
    from airflow_sm_pipelines.documents import Variables
    from airflow_sm_pipelines.migrate.stepfunctions import read_machine

    variables = Variables(arguments.variables)
    held = _select(arguments, variables)
    name = arguments.dag_file.stem
    migration = read_machine(held, name=name, origin=str(arguments.source), variables=variables)
    logging.getLogger("moto").setLevel(logging.CRITICAL)  # it reports each made-up failure as its own
    prepared = prepare_comparison(held, migration, variables=variables, samples=samples)
    with make_airflow() as environment:
        (ended,) = run_dags([(arguments.dag_file, prepared.scripts)], environment)
    return prepared.judge(ended)


def _compare_pipeline(arguments: argparse.Namespace, samples: list[JsonObject]) -> MachineComparison:
    from airflow_sm_pipelines.cli.commands.migrate.stepfunctions import read_file
    from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
    from airflow_sm_pipelines.comparison import PreparedPipelineComparison, run_jobs
    from airflow_sm_pipelines.comparison.kfp_environment import make_kfp_environment
    from airflow_sm_pipelines.migrate.kubeflow import find_pipelines, read_pipeline

    name = arguments.dag_file.stem
    found = find_pipelines(read_file(arguments.source), name=arguments.source.name)
    if len(found) > 1 or arguments.select:
        found = tuple(one for one in found if one.name == (arguments.select or name))
    if len(found) != 1:
        raise MigrationError(f"{arguments.source} has no one pipeline that is meant: give its name with --select.")
    migration = read_pipeline(found[0], name=name, origin=str(arguments.source))
    with make_kfp_environment(found) as environment, make_airflow() as airflow:
        prepared = PreparedPipelineComparison(found[0], migration, environment, samples)
        (ended,) = run_jobs([(arguments.dag_file, prepared)], airflow)
        return prepared.judge(ended)


def _compare_dag_file(arguments: argparse.Namespace, samples: list[JsonObject]) -> MachineComparison:
    from airflow_sm_pipelines.cli.commands.migrate.airflow import make_loader
    from airflow_sm_pipelines.cli.commands.migrate.stepfunctions import read_file
    from airflow_sm_pipelines.cli.scratch_airflow import make_airflow
    from airflow_sm_pipelines.comparison import compare_operators
    from airflow_sm_pipelines.migrate.airflow.dag_migration import migrate_dag_file

    folders = [arguments.source.parent, *arguments.search_path]
    migration = migrate_dag_file(
        read_file(arguments.source),
        file_name=str(arguments.source),
        name=arguments.dag_file.stem,
        load=make_loader(folders),
    ).migration
    paths = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    with make_airflow() as airflow:
        environment = {**airflow, "PYTHONPATH": paths}
        return compare_operators(
            arguments.source,
            arguments.dag_file,
            migration,
            environment,
            samples=samples,
            plays_others=arguments.play_others,
        )


def _select(arguments: argparse.Namespace, variables: Variables) -> HeldMachine:
    """The machine that is meant."""
    from airflow_sm_pipelines.cli.commands.migrate.stepfunctions import read_beside, read_file
    from airflow_sm_pipelines.cli.migration_output import make_name
    from airflow_sm_pipelines.migrate.stepfunctions import find_machines

    source = read_file(arguments.source)
    held = find_machines(
        source, name=arguments.source.name, variables=variables, read=partial(read_beside, arguments.source)
    )
    if len(held) == 1 and arguments.select is None:
        return held[0]
    wanted = arguments.select or arguments.dag_file.stem
    found = [one for one in held if wanted in (one.name, make_name(one.name or arguments.source.name.split(".")[0]))]
    if len(found) != 1:
        names = ", ".join(one.name for one in held)
        raise MigrationError(f"{arguments.source} has no one machine {wanted!r}; those are {names}. Give --select.")
    return found[0]


def _render(comparison: MachineComparison, what: str, source: str) -> Iterator[str]:
    for one in comparison.runs:
        failing = f", with {', '.join(one.failing)} failing" if one.failing else ""
        verdict = one.difference or "equal"
        yield f"Run {one.number}{failing}: {one.calls} {what}, the {source} ends with {one.end}: {verdict}"
    for text in comparison.unreached:
        yield f"No run reached {text}."
    for text in comparison.lost_order:
        yield f"The order is not that of the machine, although no run may have shown it: {text}."
    count = len(comparison.runs)
    differing = sum(1 for one in comparison.runs if one.difference)
    seen = f"{count} runs, {differing} of them differ" if differing else f"{count} runs, all equal"
    yield f"{seen}, but the order differs." if comparison.lost_order and not differing else f"{seen}."
