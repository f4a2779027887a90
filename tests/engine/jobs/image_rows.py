"""Resolves every row of AWS's public images, on its own Python and on those of users (``make imagerows``).

Nothing is installed: ``uv pip compile`` says whether versions go together and have wheels. It takes some minutes and
a package index. ``python -m tests.engine.jobs.image_rows WORD`` checks the images whose address holds the word.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.local_images import OLDEST_PYTHON
from airflow_sm_pipelines.engine.jobs.public_images import PUBLIC_IMAGES, find_nearest, find_row, make_requirements
from airflow_sm_pipelines.environments import find_uv

_COMPILED = frozenset(
    {
        *("numpy", "pandas", "scipy", "scikit-learn", "pyarrow", "h5py", "matplotlib", "xgboost", "xgboost-cpu"),
        *("tensorflow-cpu", "torch", "torchvision", "tokenizers", "grpcio", "psutil", "safetensors"),
    }
)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


_TRANSFORMERS = {
    ("pytorch", (1, 6)): "4.4.2",
    ("pytorch", (1, 9)): "4.12.3",
    ("pytorch", (1, 13)): "4.26.0",
    ("pytorch", (2, 0)): "4.28.1",
    ("pytorch", (2, 3)): "4.46.1",
    ("pytorch", (2, 6)): "4.51.3",
    ("tensorflow", (2, 4)): "4.6.1",
    ("tensorflow", (2, 6)): "4.17.0",
    ("tensorflow", (2, 11)): "4.26.0",
}
"""The transformers that images of Hugging Face have beside a version of PyTorch or TensorFlow."""


def list_examples() -> list[str]:
    """An address for each row."""
    return [
        f"{name}:{'.'.join(map(str, row.since))}"
        + "".join(
            f"-transformers{version}"
            for (framework, since), version in _TRANSFORMERS.items()
            if name.startswith(f"huggingface-{framework}") and since == row.since
        )
        for name, (rows, _) in PUBLIC_IMAGES.items()
        for row in rows
    ]


def plan_checks(word: str = "") -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """What to resolve: by Python and requirements, the addresses that need it."""
    checks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for address in list_examples():
        if word not in address:
            continue
        image = parse_image_uri(address)
        found = find_row(image)
        assert found is not None
        row, besides = found
        requirements = make_requirements(image, row, besides)
        own = max(row.python, ".".join(map(str, OLDEST_PYTHON)), key=lambda text: int(text.split(".")[1]))
        for python in {own, *PYTHONS}:
            wanted = requirements if python == row.python else tuple(find_nearest(requirements, python)[0])
            checks.setdefault((python, wanted), []).append(address)
    return checks


def resolve(python: str, requirements: tuple[str, ...]) -> str:
    """Why requirements do not go together; empty if they do."""
    # Old pure libraries have no wheels, and are built in a moment; these would need compilers.
    compiled = [word for name in sorted(_COMPILED) for word in ("--only-binary", name)]
    options = [*compiled, "--quiet", "--no-header", "--python-version", f"{python}.9"]
    done = subprocess.run(
        [find_uv(), "pip", "compile", *options, "-"],
        input="\n".join(requirements),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""


def main(word: str = "") -> int:
    """Check all, and print what does not resolve."""
    checks = plan_checks(word)
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for (key, addresses), reason in zip(checks.items(), pool.map(lambda key: resolve(*key), checks), strict=True):
            if reason:
                failed += 1
                print(f"Python {key[0]}: {', '.join(addresses)}: {' '.join(key[1])}\n  {reason}", flush=True)
    print(f"{len(checks)} resolved, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
