"""Parts of sagemaker_containers, the first toolkit of SageMaker's containers; see ``sagemaker_toolkit_parts``."""

from __future__ import annotations

from sagemaker_toolkit_parts import refuse_missing  # type: ignore[import-not-found]  # beside this package

__getattr__ = refuse_missing(__name__, "sagemaker_containers")
