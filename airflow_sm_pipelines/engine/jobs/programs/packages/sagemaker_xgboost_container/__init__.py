"""Parts of sagemaker_xgboost_container, the package of the XGBoost images. Source: aws/sagemaker-xgboost-container."""

from __future__ import annotations

from sagemaker_toolkit_parts import refuse_missing  # type: ignore[import-not-found]  # beside this package

__getattr__ = refuse_missing(__name__, "sagemaker_xgboost_container (from GitHub)")
