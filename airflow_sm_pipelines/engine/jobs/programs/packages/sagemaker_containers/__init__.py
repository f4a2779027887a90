"""Parts of sagemaker_containers, the first toolkit of SageMaker's containers; see ``sagemaker_toolkit_parts``."""

from __future__ import annotations

from sagemaker_toolkit_parts import (  # type: ignore[import-not-found]  # beside this package
    MissingPart,
    refuse_missing,
)

entry_point = MissingPart("sagemaker_containers.entry_point", "sagemaker_containers")

__getattr__ = refuse_missing(__name__, "sagemaker_containers")
