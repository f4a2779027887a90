"""Files of a zipped DAG: Airflow takes an archive of DAG files as a folder, and names the files below its path.

A script needs files, so the archive is unpacked, once for each content.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

from airflow_sm_pipelines.environments import default_cache_dir
from airflow_sm_pipelines.exceptions import DefinitionError


def find_unpacked(path: Path) -> Path:
    """The place of a file on this disk; that of an unpacked copy for a zip archive, and for a file below one.

    :param path: absolute, or seen from the working directory.
    :raises DefinitionError: the archive cannot be unpacked.
    """
    for archive in (path, *path.parents):
        if archive.suffix == ".zip" and archive.is_file():
            return _unpack(archive) / path.relative_to(archive)
    return path


def _unpack(archive: Path) -> Path:
    try:
        content = archive.read_bytes()
        kept = default_cache_dir(os.environ) / "unpacked" / hashlib.sha256(content).hexdigest()[:20]
        if kept.is_dir():
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=kept.parent, prefix=".")) / archive.stem
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(scratch)
        try:
            scratch.rename(kept)
        except OSError:
            if not kept.is_dir():  # another task was first
                raise
    except (OSError, zipfile.BadZipFile) as error:
        raise DefinitionError(f"The zipped DAG {archive} cannot be unpacked: {error}.") from error
    return kept
