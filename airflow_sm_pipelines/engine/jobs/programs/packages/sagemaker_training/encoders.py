"""Codecs of arrays."""

from __future__ import annotations

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

array_to_npy = parts.array_to_npy
npy_to_numpy = parts.npy_to_numpy
array_to_json = parts.array_to_json
json_to_numpy = parts.json_to_numpy
csv_to_numpy = parts.csv_to_numpy
array_to_csv = parts.array_to_csv
encode = parts.encode
decode = parts.decode

__getattr__ = parts.refuse_missing(__name__, "sagemaker_training")
