"""Reads the channels of a training job as the built-in algorithm does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import sagemaker_toolkit_parts as parts  # type: ignore[import-not-found]  # beside this package

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the programs of jobs

from xgboost_algorithm import read_channel  # type: ignore[import-not-found]


def get_dmatrix(data_path: Any, content_type: str, csv_weights: int = 0, is_pipe: bool = False) -> Any:
    """The data of a channel, or of one file; None if there are none."""
    if is_pipe:
        raise parts.ClientError("Pipe mode does not work locally.")
    path = Path(str(data_path))
    if not path.exists() or (path.is_dir() and not any(one.is_file() for one in path.rglob("*"))):
        return None
    return read_channel(path, content_type, has_weights=csv_weights == 1)


def get_content_type(content_type_cfg_val: str | None) -> str:
    """The kind of data that a content type means: ``csv``, ``libsvm`` or ``parquet``; libsvm without one."""
    kind = (content_type_cfg_val or "libsvm").lower().partition(";")[0].strip()
    return kind.rpartition("/")[2].replace("x-", "")


def get_size(data_path: Any, is_pipe: bool = False) -> int:
    """The bytes of a channel's files."""
    path = Path(str(data_path))
    files = [path] if path.is_file() else path.rglob("*")
    return sum(one.stat().st_size for one in files if one.is_file())


__getattr__ = parts.refuse_missing(__name__, "sagemaker_xgboost_container (from GitHub)")
