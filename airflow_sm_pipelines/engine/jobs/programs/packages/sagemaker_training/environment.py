"""What a training container knows of its job."""

from __future__ import annotations

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

Environment = parts.Environment
read_hyperparameters = parts.read_hyperparameters


def read_resource_config() -> object:
    """The instances of the job."""
    return parts.read_configuration("resourceconfig.json")


def read_input_data_config() -> object:
    """The channels of the job."""
    return parts.read_configuration("inputdataconfig.json")


__getattr__ = parts.refuse_missing(__name__, "sagemaker_training")
