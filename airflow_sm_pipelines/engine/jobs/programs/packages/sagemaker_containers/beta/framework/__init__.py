"""What inference and training scripts import from the first toolkit: codecs, ``worker.Response``, the environment."""

from __future__ import annotations

from types import SimpleNamespace

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

content_types = parts.content_types
encoders = SimpleNamespace(
    array_to_npy=parts.array_to_npy,
    npy_to_numpy=parts.npy_to_numpy,
    array_to_json=parts.array_to_json,
    json_to_numpy=parts.json_to_numpy,
    csv_to_numpy=parts.csv_to_numpy,
    array_to_csv=parts.array_to_csv,
    encode=parts.encode,
    decode=parts.decode,
)
errors = SimpleNamespace(
    ClientError=parts.ClientError,
    UnsupportedFormatError=parts.UnsupportedFormatError,
    UnsupportedAcceptTypeError=parts.UnsupportedAcceptTypeError,
)
worker = SimpleNamespace(Response=parts.Response)
env = SimpleNamespace(
    TrainingEnv=parts.Environment,
    ServingEnv=parts.ServingEnvironment,
    read_hyperparameters=parts.read_hyperparameters,
    read_resource_config=lambda: parts.read_configuration("resourceconfig.json"),
    read_input_data_config=lambda: parts.read_configuration("inputdataconfig.json"),
)
modules = parts.MissingPart("sagemaker_containers.beta.framework.modules", "sagemaker_containers")
"""Imported by AWS's samples, which use nothing of it."""
transformer = parts.MissingPart("sagemaker_containers.beta.framework.transformer", "sagemaker_containers")
"""Likewise."""


def training_env(**given: object) -> object:
    """What the container knows of its training job."""
    return parts.Environment(**given)


__getattr__ = parts.refuse_missing(__name__, "sagemaker_containers")
