"""The parts of SageMaker's toolkits that scripts import, as jobs find them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageEntry, JobContext, JobOutcome
from tests.engine.jobs.conftest import IMAGE

if TYPE_CHECKING:
    from tests.engine.jobs.conftest import RecordedLog

Run = Callable[..., JobOutcome]


_OF_UV = (" + ", "Making", "Using", "Resolved", "Installed", "Downloading", " Downloaded", "Prepared")
"""Where the image's environment is not made yet."""


@pytest.fixture
def run_code(run: Run, context: JobContext, log: RecordedLog) -> Callable[[str], list[str]]:
    """Run Python code as a processing job of an image with numpy, and give its log."""
    images = ImageCatalog([ImageEntry("test-image", ("numpy",))])
    with_numpy = replace(context, images=images, cache_dir=Path(os.environ["SM_PIPELINES_CACHE_DIR"]))

    def run_code(code: str) -> list[str]:
        log.streams.clear()
        run(
            "Processing",
            {
                "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", "-c", code]},
                "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
                "Environment": {"SM_TRAINING_ENV": json.dumps({"model_dir": "/opt/ml/model", "hosts": ["algo-1"]})},
            },
            context=with_numpy,
        )
        return [line for line in log.lines if not line.startswith(_OF_UV)]

    return run_code


def test_codecs_answers_and_the_environment_are_the_toolkits(run_code: Callable[[str], list[str]]) -> None:
    lines = run_code(
        "from sagemaker_containers.beta.framework import content_types, encoders, env, worker, modules\n"
        "from sagemaker_inference import decoder, encoder, utils\n"
        "from sagemaker_inference.default_inference_handler import DefaultInferenceHandler as Handler\n"
        "from sagemaker_training import environment\n"
        "print(encoders.decode('1,2\\n3,4', content_types.CSV).tolist())\n"
        "print(repr(encoders.encode([1, 2], 'text/csv')), encoders.array_to_json({'a': [1]}))\n"
        "print(encoders.npy_to_numpy(encoders.array_to_npy([1])).tolist())\n"
        "print(decoder.decode('1,x', 'text/csv').tolist(), repr(encoder.encode([1.5], 'text/csv')))\n"
        "print(Handler().default_output_fn([1], 'a/b, application/json'))\n"
        "print(worker.Response(response='x', mimetype='text/csv').get_data(), utils.parse_accept('a, b'))\n"
        "known = environment.Environment()\n"
        "print(known.model_dir, known['hosts'], env.TrainingEnv().is_main)\n"
    )
    assert lines == [
        "[[1.0, 2.0], [3.0, 4.0]]",
        r"'1\n2\n' " + '{"a": [1]}',
        "[1]",
        r"[1.0, nan] '1.5\n'",
        "('[1]', 'application/json')",
        "b'x' ['a', 'b']",
        "/opt/ml/model ['algo-1'] True",
    ]


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("from sagemaker_inference import model_server", "'sagemaker_inference' has no 'model_server' here"),
        ("from sagemaker_training import entry_point", "'sagemaker_training' has no 'entry_point' here"),
        ("from sagemaker_containers.beta.framework import mpi", "has no 'mpi' here"),
        ("from sagemaker_containers import entry_point; entry_point.run", "entry_point' has no 'run' here"),
        ("import sagemaker_xgboost_container as x; x.checkpointing", "has no 'checkpointing' here"),
    ],
)
def test_a_function_that_is_missing_is_named(
    run_code: Callable[[str], list[str]], statement: str, missing: str
) -> None:
    assert missing in run_code(statement)[-1]


def test_a_package_that_a_step_brings_wins(run_code: Callable[[str], list[str]]) -> None:
    install = (
        "import site, pathlib, sys\n"
        "folder = pathlib.Path(next(path for path in sys.path if path.endswith('site-packages')))\n"
        "(folder / 'sagemaker_training.py').write_text('environment = 1')\n"
        "import sagemaker_training; print(sagemaker_training.environment)\n"
    )
    assert run_code(install) == ["1"]


def test_an_unknown_content_type_is_refused(run_code: Callable[[str], list[str]]) -> None:
    lines: Any = run_code("from sagemaker_inference import decoder; decoder.decode('', 'a/b')")
    assert "Content type a/b is not supported by this framework" in lines[-1]
