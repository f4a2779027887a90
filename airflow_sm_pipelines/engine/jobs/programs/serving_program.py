"""Serves a model through its own script, as the SageMaker serving toolkits do.

It is run by path, as ``serving_program.py FRAMEWORK PROGRAM PAYLOADS ANSWERS``. Without a program (an empty text) the
defaults of the framework serve the model. The functions of the script are
``model_fn``, ``input_fn``, ``predict_fn`` and ``output_fn``, or ``transform_fn`` instead of the last three. The sources
of the contract are in ``serving_codecs.py``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

from payload_stream import BASE, ServingError, fail, serve  # type: ignore[import-not-found]  # in this directory
from serving_codecs import TEXT_TYPES, decode, decode_matrix, encode  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

_MODEL = BASE / "model"


def main(framework: str, program: str, payloads: str, answers: str) -> int:
    """Serve all payloads, and give the exit code."""
    code = _MODEL / "code"
    try:
        _install_requirements(code)
        sys.path.insert(0, str(code))
        os.chdir(code if program else _MODEL)
        module = importlib.import_module(re.sub(r"\.py$", "", program).replace("/", ".")) if program else None
        handler = _ModelHandler(module, framework)
    except ServingError as error:
        return int(fail(str(error)))
    except Exception as error:  # noqa: BLE001 - whatever the model's code raises fails the job
        traceback.print_exc()
        return int(fail(f"AlgorithmError: the model could not be loaded: {type(error).__name__}: {error}"))
    return int(serve(payloads, answers, handler.invoke))


class _ModelHandler:
    """The functions of a script, and the framework's defaults for those that it does not have."""

    def __init__(self, module: ModuleType | None, framework: str) -> None:
        self._framework = framework
        self._functions = {
            name: getattr(module, name)
            for name in ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
            if callable(getattr(module, name, None))
        }
        if "model_fn" in self._functions:
            self._model = _call(self._functions["model_fn"], str(_MODEL))
        elif framework == "pytorch" and (_MODEL / "model.pt").is_file():
            import torch  # type: ignore[import-not-found]

            self._model = torch.jit.load(str(_MODEL / "model.pt"), map_location="cpu").eval()
        else:
            raise ServingError(
                f"AlgorithmError: Please provide a model_fn implementation: '{getattr(module, '__name__', '')}' has "
                "none, and the framework has no default."
            )

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> tuple[bytes, str]:
        """Answer one payload."""
        given = content_type or "application/json"
        wanted = accept or os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or "application/json"
        data: bytes | str = body.decode("utf-8") if given.partition(";")[0].strip() in TEXT_TYPES else body
        if "transform_fn" in self._functions:
            result = _call(self._functions["transform_fn"], self._model, data, given, wanted)
        else:
            value = _call(self._functions.get("input_fn", self._decode), data, given)
            prediction = _call(self._functions.get("predict_fn", self._predict), value, self._model)
            result = _call(self._functions.get("output_fn", self._encode), prediction, wanted)
        return _as_response(result, wanted)

    def _decode(self, data: bytes | str, content_type: str) -> Any:
        kind = content_type.partition(";")[0].strip().lower()
        if self._framework == "xgboost":
            return decode_matrix(data, kind)
        array = decode(data, kind)
        if self._framework == "pytorch":
            import torch

            return torch.as_tensor(array.astype("float32"))
        return array.astype("float32") if kind in TEXT_TYPES else array

    def _predict(self, value: Any, model: Any) -> Any:
        if self._framework == "pytorch":
            import torch

            with torch.no_grad():
                return model(value)
        if self._framework == "xgboost":
            return model.predict(value, validate_features=False)
        return model.predict(value)

    def _encode(self, prediction: Any, accept: str) -> bytes:
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy()
        body: bytes = encode(prediction, accept.partition(";")[0].strip())
        return body


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a handler. If it takes one more argument, that is the context of newer toolkits."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return function(*arguments, None)
    return function(*arguments)


def _as_response(result: Any, accept: str) -> tuple[bytes, str]:
    if isinstance(result, tuple) and len(result) == 2:
        result, accept = result
    elif hasattr(result, "response") and hasattr(result, "mimetype"):  # the containers' worker.Response
        result, accept = result.response, result.mimetype
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(result), str(accept)
    if isinstance(result, str):
        return result.encode(), str(accept)
    body: bytes = encode(result, str(accept))
    return body, str(accept)


def _install_requirements(code: Path) -> None:
    if not (code / "requirements.txt").is_file():
        return
    command = [sys.executable, "-m", "pip", "install", "-r", "requirements.txt"]
    if subprocess.run(command, cwd=code, check=False).returncode:
        raise ServingError("AlgorithmError: the requirements.txt beside the inference code could not be installed.")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
