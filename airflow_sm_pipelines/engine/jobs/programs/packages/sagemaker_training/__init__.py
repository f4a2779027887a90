"""Parts of sagemaker_training, the training toolkit; see ``sagemaker_toolkit_parts``."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

content_types = parts.content_types
logging_config = SimpleNamespace(get_logger=lambda: logging.getLogger("sagemaker-training-toolkit"))
params = SimpleNamespace(
    BASE_PATH_ENV="SAGEMAKER_BASE_DIR",
    USER_PROGRAM_ENV="SAGEMAKER_PROGRAM",
    TRAINING_JOB_ENV="TRAINING_JOB_NAME",
    SUBMIT_DIR_ENV="SAGEMAKER_SUBMIT_DIR",
    REGION_NAME_ENV="SAGEMAKER_REGION",
)

__getattr__ = parts.refuse_missing(__name__, "sagemaker_training")
