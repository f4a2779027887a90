"""The container of a model for inference: its environment, its artifacts in ``/opt/ml/model``, and its program.

The program is the model's own ``inference.py`` behind the handlers of the toolkits, or the scoring of the built-in
XGBoost. There is no HTTP server; payloads go through a file, or a socket where an endpoint is served. An image of the
user's own brings its server, which a program of ours asks over HTTP.

What belongs here: preparing one container. What does not: what payloads hold.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import ImageUri, parse_image_uri
from airflow_sm_pipelines.definition.s3_uri import is_s3_uri
from airflow_sm_pipelines.engine.jobs.archives import unpack_tar
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY, Container
from airflow_sm_pipelines.engine.jobs.failures import MISSING_PROGRAM, JobFailure
from airflow_sm_pipelines.engine.jobs.images import ImageCatalog, ImageError
from airflow_sm_pipelines.engine.jobs.isolation import plan_network
from airflow_sm_pipelines.engine.jobs.local_images import LocalImage, prepare_image
from airflow_sm_pipelines.engine.jobs.s3_transfer import download, download_file, list_input

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.instances import Instance
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext

_MODEL = "/opt/ml/model"
_CODE = f"{_MODEL}/code"
_ADDITIONAL = "/opt/ml/additional-model-data-sources"
"""Where the containers of a model find its ``AdditionalModelDataSources``, by their ChannelName."""
_PAYLOADS, _ANSWERS = "/opt/ml/input/payloads", "/opt/ml/output/answers"
FILES = (_PAYLOADS, _ANSWERS)
"""Payloads come from a file, and answers go to another one."""
SOCKET = ("/opt/ml/input/invocations.sock", "")
"""Payloads come through a socket, and answers go back through it."""
_OTHER_CONTRACTS = ("tensorflow-inference", "sagemaker-tensorflow-serving")
"""Images whose inference.py has the contract of TensorFlow Serving (handler, or input_handler and output_handler)."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A container that is ready to run."""

    container: Container
    image: LocalImage
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    is_offline: bool

    def plan(self, context: JobContext) -> Instance:
        """Plan how to start it."""
        return self.container.plan_instance(
            self.argv,
            image=self.image,
            context=context,
            contract={},
            requested=self.environment,
            is_offline=self.is_offline,
        )

    def place_payloads(self, path: Path) -> None:
        """Copy the payloads to where the program reads them."""
        shutil.copyfile(path, self.container.path_of(_PAYLOADS))

    def take_answers(self, path: Path) -> None:
        """Move the answers from where the program wrote them."""
        self.container.path_of(_ANSWERS).replace(path)


def plan_server(
    definition: Mapping[str, Any],
    context: JobContext,
    log: JobLog,
    *,
    directory: Path,
    host: str,
    channel: tuple[str, str],
    variables: Mapping[str, str],
    overrides: Mapping[str, Any],
    is_offline: bool,
) -> ModelServer:
    """Prepare a container of a model.

    :param definition: the container's, as in a ``CreateModel`` request.
    :param directory: for its files.
    :param host: the instance that it is for.
    :param channel: how payloads and answers travel, ``FILES`` or ``SOCKET``.
    :param variables: what the container sees of the job or endpoint.
    :param overrides: the ``Environment`` of a transform job, which goes before the model's.
    :param is_offline: the ``EnableNetworkIsolation`` of the model.
    :raises JobFailure: its artifacts do not exist, or nothing here can serve it.
    :raises ArchiveError: its artifacts cannot be unpacked safely.
    """
    uri = definition.get("Image")
    if not uri:
        raise JobFailure("ClientError: the model has a container without an image (a marketplace model?): use AWS.")
    if definition.get("Mode") == "MultiModel":
        raise JobFailure("ClientError: multi-model containers do not run locally: use AWS.")
    note = partial(log.add, host)
    local = prepare_image(context.images, uri, cache_dir=context.cache_dir, log=note)
    container = Container.create(directory, host, local.contents)
    _place_model(definition, context, container)
    for extra in definition.get("AdditionalModelDataSources") or ():
        target = container.path_of(f"{_ADDITIONAL}/{extra['ChannelName']}")
        _place_source(extra["S3DataSource"], context, container, target)
    own = {**(definition.get("Environment") or {}), **overrides}
    environment = {"SM_MODEL_DIR": _MODEL, **variables, **{key: str(value) for key, value in own.items()}}
    if command := local.contents.plan_command((), (), default=("serve",)):
        argv = ["python", str(PROGRAMS_DIRECTORY / "container_server.py"), *channel, *command]
    else:
        argv = [*_plan_toolkit(uri, environment, context, container), *channel]
    offline = plan_network(context.isolation, [host], is_offline=is_offline, note=note)
    return ModelServer(container, local, tuple(argv), environment, offline)


def _plan_toolkit(uri: str, environment: Mapping[str, str], context: JobContext, container: Container) -> list[str]:
    """The command of ours that takes the place of a serving toolkit, or of the built-in XGBoost's server.

    It takes the channel after it.
    """
    program = _place_code(environment, context, container)
    image = parse_image_uri(uri)
    if image.name in _OTHER_CONTRACTS:
        raise JobFailure(
            f"ClientError: the image '{uri}' serves models through TensorFlow Serving, which does not run here. Use an "
            "image of your own with model_fn and predict_fn, or run this step on AWS."
        )
    if program is None and image.is_built_in_xgboost:
        return ["python", str(PROGRAMS_DIRECTORY / "xgboost_scoring.py")]
    if program is None and not _has_default_server(image, container):
        raise JobFailure(
            f"ClientError: the model has no inference code, so it relies on the server inside the image '{uri}'. Only "
            "the built-in XGBoost's runs here, and PyTorch's for a model.pt. Add code/inference.py to model.tar.gz, or "
            f"set SAGEMAKER_PROGRAM. If it is an image of your own: {MISSING_PROGRAM}"
        )
    return ["python", str(PROGRAMS_DIRECTORY / "serving_program.py"), _framework(image.name), program or ""]


def can_serve(definition: Mapping[str, Any], images: ImageCatalog) -> bool:
    """Whether something here stands in for the image of a container. Its artifacts may still lack the code."""
    uri = definition.get("Image")
    if not uri or definition.get("Mode") == "MultiModel" or parse_image_uri(uri).name in _OTHER_CONTRACTS:
        return False
    try:
        images.resolve(uri)
    except ImageError:
        return False
    return True


def _place_model(definition: Mapping[str, Any], context: JobContext, container: Container) -> None:
    source = (definition.get("ModelDataSource") or {}).get("S3DataSource") or {}
    uri = definition.get("ModelDataUrl") or source.get("S3Uri")
    if uri:
        _place_source({**source, "S3Uri": uri}, context, container, container.path_of(_MODEL))


def _place_source(source: Mapping[str, Any], context: JobContext, container: Container, target: Path) -> None:
    uri = source["S3Uri"]
    if source.get("CompressionType") == "None" or str(uri).endswith("/"):
        download(context.s3, list_input(context.s3, uri), target)
    else:
        unpack_tar(download_file(context.s3, uri, container.root / "artifacts"), target)


def _place_code(environment: Mapping[str, str], context: JobContext, container: Container) -> str | None:
    """Put the inference code below the model, and give its entry point; None if there is none."""
    submitted = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    code = container.path_of(_CODE)
    if is_s3_uri(submitted):
        unpack_tar(download_file(context.s3, submitted, container.root / "submitted"), code)
    program = environment.get("SAGEMAKER_PROGRAM") or ""
    if not program:
        return "inference.py" if (code / "inference.py").is_file() else None
    places = (code, container.path_of(_MODEL))
    if not any((place / program).is_file() for place in places):
        # The toolkits import a module: SAGEMAKER_PROGRAM may leave its suffix out.
        program += ".py" if any((place / f"{program}.py").is_file() for place in places) else ""
    if not (code / program).is_file() and (container.path_of(_MODEL) / program).is_file():
        code.mkdir(exist_ok=True)
        shutil.copyfile(container.path_of(_MODEL) / program, code / program)
    if not (code / program).is_file():
        there = ", ".join(sorted(path.name for path in code.iterdir())) if code.is_dir() else ""
        raise JobFailure(
            f"ClientError: the model's SAGEMAKER_PROGRAM '{program}' is not in the code folder of its artifacts, which "
            f"holds {there or 'nothing'}."
        )
    return program


def _has_default_server(image: ImageUri, container: Container) -> bool:
    """Whether the serving toolkit of an image loads the model without any code: PyTorch's does, from ``model.pt``."""
    return image.name == "pytorch-inference" and container.path_of(f"{_MODEL}/model.pt").is_file()


def _framework(repository: str) -> str:
    if "xgboost" in repository:
        return "xgboost"
    return "pytorch" if "pytorch" in repository else "generic"
