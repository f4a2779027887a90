"""Which values of a job's request another job made: the references and the order of jobs that were run one by one.

A value is known by being equal: an S3 address that lies where an earlier job wrote, a name that an earlier job had.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue, copy_object, format_path
from airflow_sm_pipelines.migrate.job_requests import JOB_KINDS, JobKind
from airflow_sm_pipelines.policy.job_fields import Field, iter_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def _fields(*paths: str) -> tuple[Field, ...]:
    return tuple(Field(tuple(path.split("."))) for path in paths)


_TRAINING_OUTPUTS = (
    "OutputDataConfig.S3OutputPath",
    "CheckpointConfig.S3Uri",
    "TensorBoardOutputConfig.S3OutputPath",
    "DebugHookConfig.S3OutputPath",
    "ProfilerConfig.S3OutputPath",
)

OUTPUT_FIELDS = {
    "Processing": _fields("ProcessingOutputConfig.Outputs.*.S3Output.S3Uri"),
    "Training": _fields(*_TRAINING_OUTPUTS),
    "Tuning": _fields(
        *(f"TrainingJobDefinition.{path}" for path in _TRAINING_OUTPUTS[:2]),
        *(f"TrainingJobDefinitions.*.{path}" for path in _TRAINING_OUTPUTS[:2]),
    ),
    "Transform": _fields("TransformOutput.S3OutputPath"),
    "AutoML": _fields("OutputDataConfig.S3OutputPath"),
    "EndpointConfig": _fields("DataCaptureConfig.DestinationS3Uri", "AsyncInferenceConfig.OutputConfig.S3OutputPath"),
}
"""Where the request of each step type says where to write; a test holds every path against botocore's model."""

_NAME_MEMBERS = frozenset(kind.name_member for kind in JOB_KINDS)
_TRAINING_FOLDERS = ("output", "debug-output", "profiler-output", "rule-output")
"""What SageMaker writes below a training job's output path and name. Code that an SDK put beside them is no output."""

_NEVER_MADE = frozenset({"RoleArn", "ExecutionRoleArn", "Image", "ImageUri", "TrainingImage", "KmsKeyId"})
_SURE_NAME = re.compile(r"(?=.*\d).{10,}")
_START = r"(?<![A-Za-z0-9_./:-])"
_STOP = r"[\"'\s,;)\]}&|]|$"
_END = f"(?={_STOP})"
_END_OF_PART = f"(?=/|{_STOP})"
_COPY = r"(?:-\d{10})?"
"""The provider's operators put a time behind a name that is taken already."""


@dataclass(frozen=True, slots=True)
class Product:
    """A value that a job made or had.

    :param node: the node that makes it.
    :param pattern: the value as it may stand in the requests of later jobs.
    :param weight: the more, the more of the value it explains.
    :param reference: the expression that stands for it; None where the value stays, and only the order counts.
    :param eats_slash: whether the reference's own value ends with a slash.
    :param member: of a name: the member that holds such names; elsewhere it counts only where nobody else can have it.
    :param doubt: why it may not be the job's; empty for none.
    """

    node: str
    pattern: re.Pattern[str]
    weight: int
    reference: JsonValue
    what: str
    eats_slash: bool = False
    member: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A value of a request that another job made.

    :param path: its place in the arguments.
    """

    path: JsonPath
    product: Product

    @property
    def text(self) -> str:
        """What the report says of it."""
        found = f"{format_path(self.path)} is taken for {self.product.what} of {self.product.node!r}"
        return f"{found}: {self.product.doubt}." if self.product.doubt else f"{found}."


def join(parts: Sequence[JsonValue]) -> JsonValue:
    """The parts one after the other: as text where all are text, else as one expression."""
    flat: list[JsonValue] = []
    for part in parts:
        for item in _iter_joined(part):
            if isinstance(item, str) and flat and isinstance(flat[-1], str):
                flat[-1] += item
            elif item != "":
                flat.append(item)
    return flat[0] if len(flat) == 1 else {"Std:Join": {"On": "", "Values": flat}} if flat else ""


def _iter_joined(part: JsonValue) -> Iterator[JsonValue]:
    body = part.get("Std:Join") if isinstance(part, dict) else None
    values = body.get("Values") if isinstance(body, dict) and body.get("On") == "" else None
    yield from values if isinstance(values, list) else [part]


def iter_outputs(arguments: JsonObject, step_type: str) -> Iterator[tuple[JsonPath, str]]:
    """Every S3 address that a request writes to, written out."""
    for field in OUTPUT_FIELDS.get(step_type, ()):
        for path, value in iter_field(arguments, field):
            if isinstance(value, str):
                yield path, value


def link_arguments(
    arguments: JsonObject, step_type: str, products: Iterable[Product]
) -> tuple[JsonObject, tuple[Link, ...]]:
    """The arguments with references for all that the products explain, and where each stands.

    :param products: of the jobs before this one, the latest last; of two that explain as much, the later counts.
    """
    ordered = sorted(products, key=lambda product: product.weight)[::-1]
    own_outputs = {path for path, _ in iter_outputs(arguments, step_type)}
    linked = copy_object(arguments)
    links: list[Link] = []

    def replace(value: JsonValue, path: JsonPath) -> JsonValue:
        if isinstance(value, dict):
            return {key: replace(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or path in own_outputs or path[-1] in _NEVER_MADE:
            return value
        return join(list(split(value, path)))

    def split(text: str, path: JsonPath) -> Iterator[JsonValue]:
        for product in ordered:
            if not _may_stand(product, text, path):
                continue
            found = product.pattern.search(text)
            if found is None:
                continue
            links.append(Link(path, product))
            if product.reference is None:
                yield text
                return
            rest = text[found.end() :]
            if product.eats_slash:
                rest = rest.removeprefix("/")
            yield from split(text[: found.start()], path) if found.start() else ()
            yield product.reference
            yield from split(rest, path) if rest else ()
            return
        yield text

    return {key: replace(item, (key,)) for key, item in linked.items()}, tuple(links)


def _may_stand(product: Product, text: str, path: JsonPath) -> bool:
    if not product.member:
        return True
    if path[-1] in _NAME_MEMBERS:
        return path[-1] == product.member and product.pattern.fullmatch(text) is not None
    # In free text (environments, hyperparameters) only a name that looks made for one run.
    inner = text.strip("\"'")
    return product.pattern.fullmatch(inner) is not None and _SURE_NAME.fullmatch(inner) is not None


def separate_outputs(
    arguments: JsonObject, step_type: str, *, node: str, job_name: str
) -> tuple[JsonObject, tuple[JsonPath, ...]]:
    """The arguments with outputs that no two executions share, where the job's own name kept them apart before.

    :return: with the places that were changed.
    """
    changed = copy_object(arguments)
    places: list[JsonPath] = []
    for path, value in iter_outputs(arguments, step_type):
        if job_name and job_name in value:
            before, _, after = value.partition(job_name)
            put_value(changed, path, own_place(before, after, node=node))
            places.append(path)
    return changed, tuple(places)


def own_place(before: str, after: str, *, node: str) -> JsonValue:
    """An S3 address with the execution's id where a job's name stood."""
    return join([f"{before}{node}-", {"Get": "Execution.PipelineExecutionId"}, after])


def find_products(
    request: JsonObject, kind: JobKind, *, node: str, place: str = "", job_name: str, answer: JsonObject | None = None
) -> tuple[Product, ...]:
    """What later jobs can have of a job.

    :param request: its arguments as they were, before any reference stood in them.
    :param node: the name of its node.
    :param place: what references to it begin with; ``Steps.<node>`` if nothing is given.
    :param answer: its Describe answer, which says of outputs that a request leaves open.
    """
    maker = _Maker(node, place or f"Steps.{node}", request, job_name, answer or {})
    return tuple(maker.iter_products(kind))


@dataclass(frozen=True, slots=True)
class _Maker:
    """One job, asked for what it makes."""

    node: str
    place: str
    request: JsonObject
    job_name: str
    answer: JsonObject

    def iter_products(self, kind: JobKind) -> Iterator[Product]:
        if self.job_name:
            yield self._name(self.job_name, kind.name_member, "the name", member=kind.name_member)
        arn = self.answer.get(kind.arn_member)
        if isinstance(arn, str) and kind.step_type == "RegisterModel":
            yield self._exact(arn, self._get(kind.arn_member), "the model package")
        if kind.step_type == "Training":
            yield from self._iter_training()
        elif kind.step_type == "Tuning":
            yield from self._iter_tuning()
        elif kind.step_type == "AutoML":
            yield from self._iter_candidate()
        if kind.step_type in ("Processing", "Transform", "AutoML"):
            yield from self._iter_folders(kind.step_type)

    def _iter_folders(self, step_type: str) -> Iterator[Product]:
        for path, uri in iter_outputs(self.request, step_type):
            if not _has_key(uri):
                continue
            yield self._folder(uri, self._get(_property(self.request, path)), f"the output {format_path(path)}")
            base = uri.rstrip("/")
            before, name, after = base.partition(self.job_name) if self.job_name else (base, "", "")
            if name:
                parts = after.split("/")
                for count in range(1, len(parts)):
                    rest = "/".join(parts[:count])
                    moved = own_place(before, rest, node=self.node)
                    yield self._exact(f"{before}{name}{rest}", moved, "the folder of the outputs", slash=True)
            elif _has_key(base.rpartition("/")[0]):
                doubt = "the job reads a folder above them"
                yield self._exact(base.rpartition("/")[0], None, "the folder of the outputs", slash=True, doubt=doubt)

    def _iter_training(self) -> Iterator[Product]:
        artifact = self._get("ModelArtifacts.S3ModelArtifacts")
        artifacts = self.answer.get("ModelArtifacts")
        made = artifacts.get("S3ModelArtifacts") if isinstance(artifacts, dict) else None
        if isinstance(made, str):
            yield self._exact(made, artifact, "the model artifact")
        path = _find_output_path(self.request)
        if path is None:
            return
        folder = self._get("OutputDataConfig.S3OutputPath")
        if self.job_name:
            job = f"{_START}{re.escape(path.rstrip('/'))}/{re.escape(self.job_name)}{_COPY}"
            weight = len(path) + len(self.job_name)
            pattern = re.compile(f"{job}/output/model\\.tar\\.gz{_END}")
            yield Product(self.node, pattern, weight + 20, artifact, "the model artifact")
            for inner in _TRAINING_FOLDERS:
                parts = [folder, "" if path.endswith("/") else "/", self._get("TrainingJobName"), f"/{inner}"]
                pattern = re.compile(f"{job}/{inner}{_END_OF_PART}")
                yield Product(self.node, pattern, weight + 5, join(parts), f"the {inner} folder")
        if _has_key(path):
            doubt = "all jobs that write below it count, not only this one"
            yield self._exact(path, folder, "the output path", slash=True, doubt=doubt)

    def _iter_tuning(self) -> Iterator[Product]:
        best = self.answer.get("BestTrainingJob")
        best_name = best.get("TrainingJobName") if isinstance(best, dict) else None
        name = self._get("BestTrainingJob.TrainingJobName")
        doubt, job = "it lies under the tuning job's output path, so it is taken for the best", "[A-Za-z0-9-]+"
        if isinstance(best_name, str):
            member = "BestTrainingJob.TrainingJobName"
            yield self._name(best_name, member, "the best training job's name", member="TrainingJobName")
            doubt, job = "", re.escape(best_name)
        several = self.request.get("TrainingJobDefinitions")
        places: list[tuple[str, JsonValue]] = [("TrainingJobDefinition", self.request.get("TrainingJobDefinition"))]
        for index, definition in enumerate(several if isinstance(several, list) else []):
            places.append((f"TrainingJobDefinitions[{index}]", definition))
        for place, definition in places:
            path = _find_output_path(definition)
            if path is None:
                continue
            folder = self._get(f"{place}.OutputDataConfig.S3OutputPath")
            reference = join([folder, "" if path.endswith("/") else "/", name, "/output/model.tar.gz"])
            pattern = re.compile(f"{_START}{re.escape(path.rstrip('/'))}/{job}/output/model\\.tar\\.gz{_END}")
            yield Product(self.node, pattern, len(path) + 20, reference, "the best model artifact", doubt=doubt)

    def _iter_candidate(self) -> Iterator[Product]:
        best = self.answer.get("BestCandidate")
        containers = best.get("InferenceContainers") if isinstance(best, dict) else None
        for index, container in enumerate(containers if isinstance(containers, list) else []):
            url = container.get("ModelDataUrl") if isinstance(container, dict) else None
            if isinstance(url, str):
                reference = self._get(f"BestCandidate.InferenceContainers[{index}].ModelDataUrl")
                yield self._exact(url, reference, f"model {index} of the best candidate")

    def _get(self, path: str) -> JsonValue:
        return {"Get": f"{self.place}.{path}"}

    def _name(self, name: str, path: str, what: str, *, member: str) -> Product:
        pattern = re.compile(f"{re.escape(name)}{_COPY}")
        return Product(self.node, pattern, len(name), self._get(path), what, member=member)

    def _exact(self, value: str, reference: JsonValue, what: str, *, slash: bool = False, doubt: str = "") -> Product:
        base = value.rstrip("/")
        pattern = re.compile(f"{_START}{re.escape(base)}{'/?' if slash or value.endswith('/') else ''}{_END}")
        return Product(self.node, pattern, len(base), reference, what, doubt=doubt)

    def _folder(self, uri: str, reference: JsonValue, what: str) -> Product:
        base = uri.rstrip("/")
        pattern = re.compile(f"{_START}{re.escape(base)}{_END_OF_PART}")
        return Product(self.node, pattern, len(base) + 1, reference, what, eats_slash=uri.endswith("/"))


def _find_output_path(request: JsonValue) -> str | None:
    output = request.get("OutputDataConfig") if isinstance(request, dict) else None
    path = output.get("S3OutputPath") if isinstance(output, dict) else None
    return path if isinstance(path, str) else None


def _property(request: JsonObject, path: JsonPath) -> str:
    """The path as a property path, where entries of the outputs are named as they are in the request."""
    text = ""
    value: JsonValue = request
    for part in path:
        if isinstance(part, int):
            entry = value[part] if isinstance(value, list) else None
            name = entry.get("OutputName") if isinstance(entry, dict) else None
            text += f"['{name}']" if isinstance(name, str) else f"[{part}]"
            value = entry
        else:
            text += f".{part}" if text else part
            value = value.get(part) if isinstance(value, dict) else None
    return text


def _has_key(uri: str) -> bool:
    return uri.startswith("s3://") and bool(uri.removeprefix("s3://").rstrip("/").partition("/")[2])


def put_value(root: JsonObject, path: JsonPath, value: JsonValue) -> None:
    """Replace the value that stands at a path of ``root``."""
    holder: JsonValue = root
    for part in path[:-1]:
        holder = holder[part]  # type: ignore[index]
    holder[path[-1]] = value  # type: ignore[index]
