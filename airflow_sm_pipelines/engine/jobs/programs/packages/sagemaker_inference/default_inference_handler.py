"""The functions that a handler of a framework inherits."""

from __future__ import annotations

from typing import Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

from sagemaker_inference import decoder, encoder, errors, utils  # type: ignore[import-not-found]


class DefaultInferenceHandler:
    """Decodes and encodes by content type. Loading a model and predicting are the handler's own."""

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        """Refuse: the handler has to load its model."""
        raise NotImplementedError("Please provide a model_fn implementation.")

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        """Read the request."""
        return decoder.decode(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """Refuse: the handler has to predict."""
        raise NotImplementedError("Please provide a predict_fn implementation.")

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        """Write the answer in the first type that can be written."""
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise errors.UnsupportedFormatError(accept)


__getattr__ = parts.refuse_missing(__name__, "sagemaker_inference")
