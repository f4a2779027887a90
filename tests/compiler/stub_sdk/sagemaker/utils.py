# ruff: noqa: PTH118, PTH119, DTZ005 - as the SDK does it
"""The SDK's ways to name things, as far as a build meets them, and an upload under such a name."""

import datetime
import os
import tarfile
import tempfile
import time
import uuid


def name_from_base(base):
    moment = time.time()
    return f"{base}-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime(moment))}-{str(repr(moment)).split('.')[1][:3]}"


def other_names():
    return [str(int(time.time())), str(uuid.uuid4()), uuid.uuid4().hex[:8], f"{datetime.datetime.now():%Y%m%d%H%M%S}"]


def upload_folder(session, folder, base="job"):
    """Pack a folder as the SDK does, with all that its files have on this machine, and upload it below a new name."""
    key = f"{name_from_base(base)}/source/sourcedir.tar.gz"
    with tempfile.TemporaryDirectory() as scratch:
        packed = os.path.join(scratch, "sourcedir.tar.gz")
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(folder, arcname=".")
        session.boto_session.client("s3").upload_file(packed, session.default_bucket(), key)
    return f"s3://{session.default_bucket()}/{key}"


def upload_input(session, step, path):
    """Upload a file as the SDK uploads a step's local input: below a key that stays the same."""
    key = f"pipeline/{step}/input/{os.path.basename(path)}"
    session.boto_session.client("s3").upload_file(path, session.default_bucket(), key)
    return f"s3://{session.default_bucket()}/{key}"
