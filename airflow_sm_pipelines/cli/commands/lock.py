"""``lock``: exact packages with hashes, for the environments of scripts and images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import explain_exit_codes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    from airflow_sm_pipelines.environment_lock import DEFAULT_NAME, LOCK_VARIABLE

    parser = commands.add_parser(
        "lock",
        help="write the exact packages of scripts' and images' environments, with hashes, into a file to commit",
        description="Choose the packages of the Python environments of pipeline scripts and of images, and write them "
        f"with their hashes into a file. Where {LOCK_VARIABLE} names that file, these packages and no others are "
        "installed. What is in the file and not named here stays as it is.",
        epilog="Example: sm-pipelines lock pipelines/train.py --image sagemaker-scikit-learn:1.2-1",
    )
    parser.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT", help="a script with inline metadata")
    parser.add_argument("--image", action="append", default=[], metavar="URI", help="an image; may be repeated")
    parser.add_argument("--endpoint", action="store_true", help="also the local endpoint's own environment")
    parser.add_argument("-o", "--output", type=Path, help=f"the file (${LOCK_VARIABLE}, else {DEFAULT_NAME})")
    parser.add_argument(
        "--wheels", type=Path, metavar="FOLDER", help="also download the packages, for machines without an index"
    )
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file."""
    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.environment_lock import DEFAULT_NAME, LOCK_VARIABLE, EnvironmentLock
    from airflow_sm_pipelines.environments import choose_packages, download_packages

    path = arguments.output or Path(os.environ.get(LOCK_VARIABLE) or DEFAULT_NAME)
    env = {name: value for name, value in os.environ.items() if name != LOCK_VARIABLE}
    lock = EnvironmentLock.read(path) if path.exists() else EnvironmentLock(path)
    wanted = list(dict.fromkeys(_iter_wanted(arguments)))
    for requirements, python in wanted:
        lock = lock.with_environment(requirements, python, choose_packages(requirements, python=python, env=env))
    path.write_text(lock.render(), encoding="utf-8")
    if arguments.wheels:
        for one in lock.environments:
            download_packages(one, arguments.wheels, env=env, log=complain)
    say(f"{path}: {len(wanted)} environment(s) chosen, {len(lock.environments)} in all")
    return 0


def _iter_wanted(arguments: argparse.Namespace) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Requirements and Python of every environment that was named."""
    from airflow_sm_pipelines.compiler.script import explain_missing_metadata, parse_metadata, read_script
    from airflow_sm_pipelines.exceptions import ScriptMetadataError

    for script in arguments.scripts:
        path, source = read_script(script)
        metadata = parse_metadata(source, path=path)
        if metadata is None:
            raise ScriptMetadataError(explain_missing_metadata(path, source))
        if metadata.uses_current_interpreter:
            raise ScriptMetadataError(f"{path} runs in the interpreter that calls it, so there is nothing to lock.")
        yield metadata.dependencies, metadata.requires_python
    if arguments.image:
        from airflow_sm_pipelines.engine.jobs.images import ImageCatalog, ImageError

        catalog = ImageCatalog.load(env=os.environ)
        for uri in arguments.image:
            entry = catalog.resolve(uri)
            if entry.interpreter is not None:
                raise ImageError(f"The image '{uri}' stands for the interpreter {entry.interpreter}: nothing to lock.")
            yield entry.requirements, None
    if arguments.endpoint:
        from airflow_sm_pipelines.cli.local_environment import local_requirements

        yield tuple(str(one) for one in local_requirements()), None
