"""Parts of sagemaker_inference, the serving toolkit; see ``sagemaker_toolkit_parts``. Its model server needs Java."""

from __future__ import annotations

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

content_types = parts.content_types

__getattr__ = parts.refuse_missing(__name__, "sagemaker_inference")
