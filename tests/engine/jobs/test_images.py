"""Image addresses, and the table that stands in for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs import ImageCatalog, ImageEntry, ImageError

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


def test_the_xgboost_image_has_the_cpu_build_only() -> None:
    names = [name.partition(">")[0] for name in ImageCatalog().resolve("sagemaker-xgboost:1.7-1").requirements]
    assert "xgboost-cpu" in names
    assert "xgboost" not in names
    assert "pip" in names


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
    assert "pandas<3" in ImageCatalog().resolve(address).requirements
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
