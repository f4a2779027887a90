"""Image addresses, and the table that stands in for images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageEntry, ImageError
from airflow_sm_pipelines.engine.jobs.local_images import plan_image
from airflow_sm_pipelines.engine.jobs.public_images import find_nearest
from tests.engine.jobs.image_rows import plan_checks, resolve

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "683313688378"


@pytest.mark.parametrize(
    ("text", "account", "region", "repository", "tag", "version"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/a/b:1.7-1", ACCOUNT, "eu-west-1", "a/b", "1.7-1", (1, 7, 1)),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/x:1.0-1", ACCOUNT, "cn-north-1", "x", "1.0-1", (1, 0, 1)),
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/x:0.90-2-py", ACCOUNT, "eu-west-1", "x", "0.90-2-py", (0, 90, 2)),
        ("python:3.11-slim", None, None, "python", "3.11-slim", (3, 11)),
        ("python", None, None, "python", "latest", ()),
        ("team/model", None, None, "team/model", "latest", ()),
        ("localhost:5000/team/model:2", None, None, "team/model", "2", (2,)),
        ("public.ecr.aws/docker/library/python:3", None, None, "docker/library/python", "3", (3,)),
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(
    text: str, account: str | None, region: str | None, repository: str, tag: str, version: tuple[int, ...]
) -> None:
    image = parse_image_uri(text)
    assert (image.account, image.region, image.repository, image.tag) == (account, region, repository, tag)
    assert image.version == version


def test_a_digest_is_kept_apart() -> None:
    image = parse_image_uri("registry.example.com/team/model@sha256:abc")
    assert (image.repository, image.tag, image.digest) == ("team/model", "latest", "sha256:abc")


@pytest.mark.parametrize(
    ("address", "python", "pins"),
    [
        ("sagemaker-xgboost:1.0-1-cpu-py3", "3.7", {"xgboost==1.0.0", "pandas==1.1.3"}),
        ("sagemaker-xgboost:1.7-1", "3.10", {"xgboost==1.7.4", "pandas==1.4.4"}),
        # The plain package brings 300 MB of GPU libraries.
        ("sagemaker-xgboost:3.0-5", "3.10", {"xgboost-cpu==3.0.5"}),
        ("sagemaker-scikit-learn:1.2-1-cpu-py3", "3.9", {"scikit-learn==1.2.1", "numpy==1.24.1", "joblib"}),
        ("sagemaker-scikit-learn:1.4-2-cpu-py312", "3.12", {"scikit-learn==1.4.2"}),
        ("tensorflow-training:2.11.0-cpu-py39-ubuntu20.04-sagemaker", "3.9", {"tensorflow-cpu==2.11.0.*"}),
        ("tensorflow-training:2.13-cpu-py310", "3.10", {"tensorflow-cpu==2.13.*"}),
        ("pytorch-training:2.1.0-cpu-py310", "3.10", {"torch==2.1.0.*", "torchvision==0.16.*", "numpy<2"}),
        (
            "huggingface-pytorch-training:2.1.0-transformers4.36.0-gpu-py310-cu121-ubuntu20.04",
            "3.10",
            {"torch==2.1.0.*", "transformers==4.36.0.*", "datasets"},
        ),
        ("sagemaker-distribution-prod:3-cpu", "3.12", {"pandas==2.3.*", "nbclient"}),
        ("sagemaker-distribution-prod:1.6.3-cpu", "3.10", {"pandas==2.1.*", "scikit-learn==1.4.*"}),
        ("python:3.9-slim", "3.9", {"boto3"}),
        ("sagemaker-base-python-310:1.0", "3.10", {"boto3"}),
        ("sagemaker-base-python-38:1.0", "3.8", {"boto3"}),
        ("python:latest", None, {"boto3"}),
        ("sagemaker-scikit-learn:latest", None, {"scikit-learn", "pandas<3"}),
    ],
)
def test_a_tag_says_which_python_and_which_packages(address: str, python: str | None, pins: set[str]) -> None:
    plan = plan_image(ImageCatalog(), address)
    assert plan.python == python
    assert pins | {"pip"} < set(plan.requirements)
    names = [re.split("[=<>]", one)[0] for one in plan.requirements]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("address", "python", "pins", "words"),
    [
        ("sagemaker-scikit-learn:1.2-1", "3.11", {"pandas==1.5.*", "scikit-learn==1.2.1"}, "pandas 1.5 for 1.1.3"),
        (
            "sagemaker-scikit-learn:1.2-1",
            "3.12",
            {"pandas==2.1.*", "scikit-learn==1.3.*"},
            "scikit-learn 1.3 for 1.2.1",
        ),
        ("sagemaker-xgboost:1.0-1", "3.11", {"xgboost==1.0.0"}, "pandas 1.5 for 1.1.3"),
        ("sagemaker-xgboost:1.0-1", "3.13", {"xgboost-cpu==2.1.*"}, "xgboost 2.1 for 1.0.0"),
        ("tensorflow-training:2.11-cpu-py39", "3.11", {"tensorflow-cpu==2.12.*"}, "tensorflow-cpu 2.12 for 2.11"),
        ("tensorflow-training:2.11-cpu-py39", "3.12", {"tensorflow-cpu==2.16.*", "tf-keras"}, "2.16 for 2.11"),
        ("pytorch-training:1.13.1-cpu-py39", "3.12", {"torch==2.2.*", "torchvision==0.17.*"}, "torch 2.2 for 1.13.1"),
    ],
)
def test_another_python_gets_the_nearest_versions_with_wheels(
    address: str, python: str, pins: set[str], words: str
) -> None:
    found, changes, variables = find_nearest(plan_image(ImageCatalog(), address).requirements, python)
    assert pins < set(found)
    assert not any(one.startswith("protobuf") for one in found)
    assert words in ", ".join(changes)
    assert variables == ({"TF_USE_LEGACY_KERAS": "1"} if "tf-keras" in pins else {})


@pytest.mark.processes
def test_a_sample_of_the_rows_resolves() -> None:
    """``make imagerows`` resolves all of them."""
    checks = plan_checks("sagemaker-xgboost:1.7")
    assert len(checks) > 3
    python, requirements = min(checks)
    fault = resolve(python, requirements)
    if "Failed to fetch" in fault:
        pytest.skip("no package index is within reach")
    assert not fault


def test_the_users_lines_come_first(tmp_path: Path) -> None:
    table = tmp_path / "images.toml"
    table.write_text(
        '[[image]]\nmatch = "team/*:2.*"\nrequirements = ["lightgbm==4.5"]\n'
        '[[image]]\nmatch = "sagemaker-xgboost"\ninterpreter = "venv/bin/python"\n'
    )
    catalog = ImageCatalog.load(env={"SM_PIPELINES_IMAGES": str(table)})
    assert catalog.resolve("registry.example.com/team/model:2.1").requirements == ("lightgbm==4.5",)
    assert catalog.resolve("sagemaker-xgboost:1.7-1").interpreter == str(tmp_path / "venv/bin/python")
    with pytest.raises(ImageError, match=f"Add these lines to {table}"):
        catalog.resolve("registry.example.com/team/model:3")


@pytest.mark.parametrize(
    "address",
    [
        "public.ecr.aws/sagemaker/sagemaker-distribution:3.7.0-cpu",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/ecr-public/sagemaker/sagemaker-distribution@sha256:abc",
        "542918446943.dkr.ecr.us-west-2.amazonaws.com/sagemaker-distribution-prod:3.7.0-cpu",
        "public.ecr.aws/deep-learning-containers/pytorch-training:2.8.0-cpu-py312-ubuntu22.04-ec2",
    ],
)
def test_an_image_of_aws_is_known_by_its_public_name(address: str) -> None:
    name = parse_image_uri(address).name
    assert name in ("sagemaker-distribution", "sagemaker-distribution-prod", "pytorch-training")
    assert "boto3" in ImageCatalog().resolve(address).requirements
    with pytest.raises(ImageError):
        ImageCatalog().resolve(address.replace("sagemaker-distribution", "else").replace("pytorch-training", "else"))


@pytest.mark.parametrize("address", ["public.ecr.aws/a1b2/model:3", "team/model@sha256:abc", "localhost:5000/x"])
def test_the_lines_that_an_unknown_image_is_told_can_be_pasted(tmp_path: Path, address: str) -> None:
    with pytest.raises(ImageError) as caught:
        ImageCatalog().resolve(address)
    table = tmp_path / "images.toml"
    table.write_text(str(caught.value).partition("\n")[2])
    assert {"pip", "boto3", "pandas<3"} < set(ImageCatalog.load(table).resolve(address).requirements)


def test_the_first_match_wins() -> None:
    catalog = ImageCatalog([ImageEntry("a*", ("one",)), ImageEntry("ab", ("two",))])
    assert catalog.resolve("ab:1").requirements == ("one",)


def test_a_wrong_table_is_refused_with_every_finding(tmp_path: Path) -> None:
    table = tmp_path / "images.toml"
    table.write_text(
        'extra = 1\n[[image]]\nmatch = ""\nrequirements = "numpy"\n[[image]]\nmatch = "x"\nrequirement = ["numpy"]\n'
    )
    with pytest.raises(ImageError) as caught:
        ImageCatalog.load(table)
    keys = "args, command, context, dockerfile, entrypoint, env, files, interpreter, match, python, requirements, stage"
    assert str(caught.value).splitlines()[1:] == [
        "- unknown table 'extra', expected [[image]]",
        "- image 1: 'match' must be a pattern such as \"my-team/*\"",
        "- image 1: 'requirements' must be an array of texts",
        f"- image 2: unknown key 'requirement', expected one of {keys}, workdir",
        "- image 2: one of 'requirements', 'interpreter' and 'dockerfile' is needed",
    ]


def test_a_missing_or_broken_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.toml cannot be read: No such file"):
        ImageCatalog.load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[[image")
    with pytest.raises(ImageError, match=r"broken\.toml is not TOML"):
        ImageCatalog.load(tmp_path / "broken.toml")
