"""Write the digest of each image's tag into the compose file and the Dockerfile: ``TAG`` becomes ``TAG@sha256:...``.

It asks the registry through ``docker buildx imagetools``, so it needs Docker and a registry that is reached. A digest
that is there already is asked for again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FILES = ("docker-compose.yaml", "Dockerfile")
# An image that the compose file builds itself (airflow-sm-pipelines:local) is in no registry.
IMAGE = re.compile(
    r"^(\s*image:\s*|FROM\s+)(?!airflow-sm-pipelines:)([^\s@]+:[^\s@]+)(@sha256:[0-9a-f]{64})?", re.MULTILINE
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def find_digest(image: str) -> str:
    """The digest of an image's tag, of all its platforms together.

    :raises SystemExit: Docker is missing, or no registry answers.
    """
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    except FileNotFoundError:
        sys.exit("Docker is not installed here: digests are asked for with `docker buildx imagetools inspect`.")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        sys.exit(f"The registry of {image} does not answer: {str(error.stderr or error).strip()}")
    found = DIGEST.fullmatch(done.stdout.strip())
    if found is None:
        sys.exit(f"docker gave no digest of {image}: {done.stdout.strip()[:200]!r}")
    return found[0]


def main(folder: Path) -> None:
    """Pin the images of both files in a folder. Neither is changed if a digest is not found."""
    texts = {folder / name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    images = {match[2] for text in texts.values() for match in IMAGE.finditer(text)}
    digests = {image: find_digest(image) for image in sorted(images)}
    for path, text in texts.items():
        path.write_text(IMAGE.sub(lambda match: f"{match[1]}{match[2]}@{digests[match[2]]}", text), encoding="utf-8")
    for image, digest in digests.items():
        print(f"{image}@{digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
