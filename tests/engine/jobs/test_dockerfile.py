"""What is read off a Dockerfile, an instruction at a time. Whole images that run are in ``test_local_images``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.jobs.dockerfile import DockerfileImage, read_dockerfile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Read = Callable[..., DockerfileImage]

STAGES = """\
FROM python:3.9 AS Build
WORKDIR /build
RUN pip install one
FROM python:3.10
RUN pip install two
FROM build AS last
RUN pip install three
CMD ["x"]
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads text as a Dockerfile in a folder with two files of a folder, and the requirements of one package."""
    (tmp_path / "src").mkdir()
    for name in ("src/a.py", "src/b.py", "setup.cfg"):
        (tmp_path / name).touch()
    (tmp_path / "needs.txt").write_text("lightgbm\n")

    def read(text: str, **options: Any) -> DockerfileImage:
        path = tmp_path / "Dockerfile"
        path.write_text(text)
        return read_dockerfile(path, **options)

    return read


@pytest.mark.parametrize(
    ("stage", "base", "requirements"),
    [
        ("", "python:3.9", ("one", "three")),
        ("BUILD", "python:3.9", ("one",)),
        ("0", "python:3.9", ("one",)),
        ("1", "python:3.10", ("two",)),
        ("2", "python:3.9", ("one", "three")),
        ("last", "python:3.9", ("one", "three")),
    ],
)
def test_a_stage_is_found_by_its_name_or_number(
    read: Read, stage: str, base: str, requirements: tuple[str, ...]
) -> None:
    found = read(STAGES, stage=stage)
    assert (found.base, found.requirements) == (base, requirements)
    begins = requirements[0] == "one"
    assert found.contents.workdir == ("/build" if begins else None)
    assert found.contents.command == (("x",) if "three" in requirements else None)


@pytest.mark.parametrize("stage", ["3", "4", "other"])
def test_a_stage_that_is_not_there_is_named(read: Read, stage: str) -> None:
    with pytest.raises(ValueError, match=f"has no stage '{stage}'"):
        read(STAGES, stage=stage)


def test_a_stage_copies_only_from_stages_that_are_there(read: Read) -> None:
    found = read("FROM a\nRUN pip install one\nFROM b\nCOPY --from=0 /usr /usr\nCOPY --from=2 /x /x\n")
    assert found.requirements == ("one",)
    assert found.notes == ("line 5: COPY /x /x",)


def targets(found: DockerfileImage) -> list[tuple[str | None, str]]:
    return [(file.source.name if file.source else None, file.target) for file in found.contents.files]


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("COPY setup.cfg /app", [("setup.cfg", "/app")]),
        ("COPY setup.cfg /app/", [("setup.cfg", "/app/setup.cfg")]),
        ("WORKDIR /app\nCOPY setup.cfg .", [(None, "/app"), ("setup.cfg", "/app/setup.cfg")]),
        ("WORKDIR /app\nWORKDIR in/it\nCOPY src ../x", [(None, "/app"), (None, "/app/in/it"), ("src", "/app/in/x")]),
        ("WORKDIR /app\nCOPY setup.cfg /app", [(None, "/app"), ("setup.cfg", "/app/setup.cfg")]),
        ("COPY setup.cfg needs.txt /app", [("setup.cfg", "/app/setup.cfg"), ("needs.txt", "/app/needs.txt")]),
        ("COPY src/*.py /app", [("a.py", "/app/a.py"), ("b.py", "/app/b.py")]),
        ('ENV HOME=/me\nCOPY ["./src", "$HOME/src"]', [("src", "/me/src")]),
        ("RUN cd /opt && cd tools && mkdir bin\nRUN mkdir -p top", [(None, "/opt/tools/bin"), (None, "/top")]),
        ("COPY setup.cfg /a\nRUN cd / && cp a b", [("setup.cfg", "/a"), ("setup.cfg", "/b")]),
        ("RUN apt-get install -y nginx", [(None, "/var/log/nginx"), (None, "/var/lib/nginx")]),
    ],
)
def test_files_come_to_where_docker_puts_them(read: Read, lines: str, files: list[tuple[str | None, str]]) -> None:
    assert targets(read(f"FROM a\n{lines}\n")) == files


@pytest.mark.parametrize(
    ("run", "requirements", "notes"),
    [
        ("pip install a 'b>=1' c>=log", ("a", "b>=1", "c"), ()),
        ("python3 -m pip --quiet install sklearn 'torch==1.0+cpu'", ("scikit-learn", "torch==1.0"), ()),
        ("uv pip install a && sudo FLAG=1 pip3 install b", ("a", "b"), ()),
        ("pip install sagemaker-training sagemaker_xgboost_container sagemaker", ("sagemaker",), ()),
        ("pip install git+https://example.com/x.git", ("git+https://example.com/x.git",), ()),
        ("pip install -r needs.txt", ("lightgbm",), ()),
        ("pip install --requirement=nowhere.txt", (), ("line 2: pip install --requirement=nowhere.txt",)),
        ("pip uninstall a && pip --version", (), ()),
        (
            "apt-get update && apt-get install -y python3-yaml python3-pip gcc libxml-dev curl",
            ("pyyaml",),
            ("system packages curl",),
        ),
        ("python3 -m venv /env && echo done", (), ()),
        ("cp /nowhere /x", (), ("line 2: cp /nowhere /x",)),
        ("frobnicate " + "x" * 100, (), ("line 2: frobnicate " + "x" * 66 + "...",)),
    ],
)
def test_a_command_installs_or_does_nothing_or_is_noted(
    read: Read, run: str, requirements: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    found = read(f"FROM a\nRUN {run}\n")
    assert (found.requirements, found.notes) == (requirements, notes)


def test_what_pip_builds_is_built_in_the_folder_where_the_command_runs(read: Read) -> None:
    lines = "RUN cd lib && pip install --no-deps . && cd .. && pip install -e ./more x.whl\nRUN pip install ."
    assert read(f"FROM a\nWORKDIR /app\n{lines}\n").contents.installs == (
        ("/app/lib", ("install", ".")),
        ("/app", ("install", "-e", "./more", "x.whl")),
        ("/app", ("install", ".")),
    )


@pytest.mark.parametrize(
    ("lines", "entrypoint", "command"),
    [
        ('ENTRYPOINT ["a", "b"]\nCMD ["c"]', ("a", "b"), ("c",)),
        ('CMD ["c"]\nENTRYPOINT ["a"]', ("a",), None),
        ("CMD run it", None, ("/bin/sh", "-c", "run it")),
        ("LABEL a=b\nEXPOSE 80", None, None),
    ],
)
def test_an_image_starts_what_its_last_lines_say(read: Read, lines: str, entrypoint: Any, command: Any) -> None:
    found = read(f"FROM a\n{lines}\n")
    assert (found.contents.entrypoint, found.contents.command, found.notes) == (entrypoint, command, ())


@pytest.mark.parametrize(
    ("lines", "given", "env"),
    [
        ("ARG A=1\nENV X=$A", {}, {"X": "1"}),
        ("ARG A=1\nENV X=$A", {"A": "2"}, {"X": "2"}),
        ("ARG TOP\nENV X=${TOP}", {}, {"X": "top"}),
        ("ENV X=${TOP:-none}", {}, {"X": "none"}),
        ("ENV A=1 B=2\nENV X=$A$B", {}, {"A": "1", "B": "2", "X": "12"}),
        ("ENV PATH=/opt/bin:$PATH", {}, {"PATH": "/opt/bin:${PATH}"}),
    ],
)
def test_variables_have_the_value_that_docker_gives_them(
    read: Read, lines: str, given: dict[str, str], env: dict[str, str]
) -> None:
    found = read(f"ARG TOP=top\nARG BASE=${{TOP}}-slim\nFROM a:$BASE\n{lines}\n", arguments=given)
    assert (found.base, found.contents.env) == ("a:top-slim", env)


@pytest.mark.parametrize(
    ("lines", "python"),
    [
        ("RUN apt-get install -y python3.11 python3.11-venv", "3.11"),
        ("ENV PYTHON_VERSION=3.9.18", "3.9"),
        ("RUN apt-get install -y python3.11\nENV PYTHON_VERSION=3.9", "3.11"),
        ("RUN apt-get install -y python3", None),
    ],
)
def test_a_python_that_the_image_installs_is_the_images(read: Read, lines: str, python: str | None) -> None:
    found = read(f"FROM ubuntu\n{lines}\n")
    assert (found.python, found.notes) == (python, ())


def test_programs_are_made_executable_and_linked(read: Read) -> None:
    modes = "RUN chmod -R +x /opt/src/* && chmod 755 /a && chmod 644 /b"
    links = "RUN ln -s /opt/src/a.py /usr/bin/a && ln -s /nowhere /x"
    found = read(f"FROM a\nCOPY src /opt/src\n{modes}\n{links}\n").contents
    assert found.executables == ("/opt/src", "/a")
    assert found.links == (("/usr/bin/a", "/opt/src/a.py"),)
