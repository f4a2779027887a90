"""Finds the values in a job's request that an earlier job made; they become references, and give the steps' order.

Two values belong together if they are equal: an S3 address below one that an earlier job wrote to, or an earlier job's
name. Every reader of a source that has jobs' requests may use this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import (
    JsonObject,
    JsonPath,
    JsonValue,
    copy_object,
    format_path,
    put_value,
)
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, RequestKind
from airflow_sm_pipelines.migrate.request_fields import iter_field, make_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_TRAINING_OUTPUTS = (
    "OutputDataConfig.S3OutputPath",
    "CheckpointConfig.S3Uri",
    "TensorBoardOutputConfig.S3OutputPath",
    "DebugHookConfig.S3OutputPath",
    "ProfilerConfig.S3OutputPath",
)

OUTPUT_FIELDS = {
    "Processing": make_fields("ProcessingOutputConfig.Outputs.*.S3Output.S3Uri"),
    "Training": make_fields(*_TRAINING_OUTPUTS),
    "Tuning": make_fields(
        *(f"TrainingJobDefinition.{path}" for path in _TRAINING_OUTPUTS[:2]),
        *(f"TrainingJobDefinitions.*.{path}" for path in _TRAINING_OUTPUTS[:2]),
    ),
    "Transform": make_fields("TransformOutput.S3OutputPath"),
    "AutoML": make_fields("OutputDataConfig.S3OutputPath"),
    "EndpointConfig": make_fields(
        "DataCaptureConfig.DestinationS3Uri", "AsyncInferenceConfig.OutputConfig.S3OutputPath"
    ),
}
"""The output addresses in the request of each step type. A test compares every path with botocore's model."""

_NAME_MEMBERS = frozenset(kind.name_member for kind in REQUEST_KINDS)
_TRAINING_FOLDERS = ("output", "debug-output", "profiler-output", "rule-output")
"""The folders that SageMaker writes below a training job's output path and name. Code that an SDK uploads there does
not count."""

_NEVER_MADE = frozenset({"RoleArn", "ExecutionRoleArn", "Image", "ImageUri", "TrainingImage", "KmsKeyId"})
_SURE_NAME = re.compile(r"(?=.*\d).{10,}")
_PLAIN_NAME = re.compile(r"[^'\"\\\[\]{}\x00-\x1f\x7f]+")
_START = r"(?<![A-Za-z0-9_./:-])"
_STOP = r"[\"'\s,;)\]}&|]|$"
_END = f"(?={_STOP})"
_END_OF_PART = f"(?=/|{_STOP})"
_COPY = r"(?:-\d{10})?"
"""The amazon provider's operators add a time to a job name that is already taken."""


@dataclass(frozen=True, slots=True)
class Product:
    """A value that a job made, or a name that it had.

    :param node: the name of the job's node.
    :param pattern: finds the value in the requests of later jobs.
    :param weight: the product with the greatest weight that matches a value is taken.
    :param reference: the expression to write instead; None keeps the value, and only orders the two jobs.
    :param what: the words for it in the report: ``the model artifact``.
    :param ends_with_slash: whether the reference's value ends with a slash itself.
    :param member: for a name, the member that holds such names. In other places a name counts only if it is long and
        has a digit, so that it can hardly be anything else.
    :param doubt: why the value may come from elsewhere; empty if it is certain.
    """

    node: str
    pattern: re.Pattern[str]
    weight: int
    reference: JsonValue
    what: str
    ends_with_slash: bool = False
    member: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A value in a request that another job made.

    :param path: its place in the arguments.
    """

    path: JsonPath
    product: Product

    @property
    def text(self) -> str:
        """The report's sentence about it."""
        found = f"{format_path(self.path)} is taken for {self.product.what} of {self.product.node!r}"
        return f"{found}: {self.product.doubt}." if self.product.doubt else f"{found}."


def join_parts(parts: Sequence[JsonValue]) -> JsonValue:
    """The parts one after the other: a text if all are texts, otherwise a ``Std:Join``."""
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
    """Every S3 address that a request writes to, with its place; not those that are expressions."""
    for field in OUTPUT_FIELDS.get(step_type, ()):
        for path, value in iter_field(arguments, field):
            if isinstance(value, str):
                yield path, value


def link_arguments(
    arguments: JsonObject, step_type: str, products: Iterable[Product]
) -> tuple[JsonObject, tuple[Link, ...]]:
    """The arguments with a reference for every value that an earlier job made.

    :param products: of the earlier jobs, the latest last; of two with the same weight, the later one is taken.
    :return: the arguments, and a link for each reference.
    """
    ordered = sorted(products, key=lambda product: product.weight)[::-1]
    linker = _Linker(ordered, {path for path, _ in iter_outputs(arguments, step_type)})
    return {key: linker.replace(item, (key,)) for key, item in arguments.items()}, tuple(linker.links)


class _Linker:
    """Puts references into one request."""

    def __init__(self, products: Sequence[Product], own_outputs: set[JsonPath]) -> None:
        self._products = products
        self._own_outputs = own_outputs
        self.links: list[Link] = []

    def replace(self, value: JsonValue, path: JsonPath) -> JsonValue:
        """A copy of the value with references in it."""
        if isinstance(value, dict):
            return {key: self.replace(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replace(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or path in self._own_outputs or path[-1] in _NEVER_MADE:
            return value
        return join_parts(list(self._split(value, path)))

    def _split(self, text: str, path: JsonPath) -> Iterator[JsonValue]:
        """The text as texts and references, in their order."""
        found = self._find_product(text, path)
        if found is None:
            yield text
            return
        product, place = found
        self.links.append(Link(path, product))
        if product.reference is None:
            yield text
            return
        rest = text[place.end() :]
        if product.ends_with_slash:
            rest = rest.removeprefix("/")
        if place.start():
            yield from self._split(text[: place.start()], path)
        yield product.reference
        if rest:
            yield from self._split(rest, path)

    def _find_product(self, text: str, path: JsonPath) -> tuple[Product, re.Match[str]] | None:
        for product in self._products:
            place = product.pattern.search(text) if _is_possible(product, text, path) else None
            if place is not None:
                return product, place
        return None


def _is_possible(product: Product, text: str, path: JsonPath) -> bool:
    if not product.member:
        return True
    if path[-1] in _NAME_MEMBERS:
        return path[-1] == product.member and product.pattern.fullmatch(text) is not None
    # In free text (environments, hyperparameters), only a name that looks as if it was made for one run.
    inner = text.strip("\"'")
    return product.pattern.fullmatch(inner) is not None and _SURE_NAME.fullmatch(inner) is not None


def separate_outputs(
    arguments: JsonObject, step_type: str, *, node: str, job_name: str
) -> tuple[JsonObject, tuple[JsonPath, ...]]:
    """The arguments with the execution's id in each output address that held the job's name.

    The job's name kept the outputs of two runs apart, and a step has no fixed job name.

    :return: the arguments, and the places that changed.
    """
    changed = copy_object(arguments)
    places: list[JsonPath] = []
    for path, value in iter_outputs(arguments, step_type):
        if job_name and job_name in value:
            before, _, after = value.partition(job_name)
            put_value(changed, path, make_run_address(before, after, node=node))
            places.append(path)
    return changed, tuple(places)


def make_run_address(before: str, after: str, *, node: str) -> JsonValue:
    """An S3 address with the execution's id in place of a job's name.

    :param before: the address before the name.
    :param after: the address after the name.
    """
    return join_parts([f"{before}{node}-", {"Get": "Execution.PipelineExecutionId"}, after])


def find_products(
    request: JsonObject,
    kind: RequestKind,
    *,
    node: str,
    place: str = "",
    job_name: str,
    answer: JsonObject | None = None,
) -> tuple[Product, ...]:
    """The values of a job that later jobs may use.

    :param request: the job's arguments before any reference was put into them.
    :param node: the name of its node.
    :param place: the beginning of references to it; ``Steps.<node>`` if not given.
    :param answer: its Describe answer, which names outputs that the request leaves open.
    """
    finder = _ProductFinder(node, place or f"Steps.{node}", request, job_name, answer or {})
    return tuple(finder.iter_products(kind))


@dataclass(frozen=True, slots=True)
class _ProductFinder:
    """Finds the products of one job."""

    node: str
    place: str
    request: JsonObject
    job_name: str
    answer: JsonObject

    def iter_products(self, kind: RequestKind) -> Iterator[Product]:
        if self.job_name:
            yield self._match_name(self.job_name, kind.name_member, "the name", member=kind.name_member)
        arn = self.answer.get(kind.arn_member)
        if isinstance(arn, str) and kind.step_type == "RegisterModel":
            yield self._match_value(arn, self._refer(kind.arn_member), "the model package")
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
            yield self._match_folder(
                uri, self._refer(_format_property(self.request, path)), f"the output {format_path(path)}"
            )
            base = uri.rstrip("/")
            before, name, after = base.partition(self.job_name) if self.job_name else (base, "", "")
            if name:
                parts = after.split("/")
                for count in range(1, len(parts)):
                    rest = "/".join(parts[:count])
                    moved = make_run_address(before, rest, node=self.node)
                    yield self._match_value(f"{before}{name}{rest}", moved, "the folder of the outputs", slash=True)
            elif _has_key(base.rpartition("/")[0]):
                doubt = "the job reads a folder above them"
                yield self._match_value(
                    base.rpartition("/")[0], None, "the folder of the outputs", slash=True, doubt=doubt
                )

    def _iter_training(self) -> Iterator[Product]:
        artifact = self._refer("ModelArtifacts.S3ModelArtifacts")
        artifacts = self.answer.get("ModelArtifacts")
        made = artifacts.get("S3ModelArtifacts") if isinstance(artifacts, dict) else None
        if isinstance(made, str):
            yield self._match_value(made, artifact, "the model artifact")
        path = _find_output_path(self.request)
        if path is None:
            return
        folder = self._refer("OutputDataConfig.S3OutputPath")
        if self.job_name:
            job = f"{_START}{re.escape(path.rstrip('/'))}/{re.escape(self.job_name)}{_COPY}"
            weight = len(path) + len(self.job_name)
            pattern = re.compile(f"{job}/output/model\\.tar\\.gz{_END}")
            yield Product(self.node, pattern, weight + 20, artifact, "the model artifact")
            for inner in _TRAINING_FOLDERS:
                parts = [
                    folder,
                    "" if path.endswith("/") else "/",
                    self._refer("TrainingJobName"),
                    f"/{inner}",
                ]
                pattern = re.compile(f"{job}/{inner}{_END_OF_PART}")
                yield Product(self.node, pattern, weight + 5, join_parts(parts), f"the {inner} folder")
        if _has_key(path):
            doubt = "all jobs that write below it count, not only this one"
            yield self._match_value(path, folder, "the output path", slash=True, doubt=doubt)

    def _iter_tuning(self) -> Iterator[Product]:
        best = self.answer.get("BestTrainingJob")
        best_name = best.get("TrainingJobName") if isinstance(best, dict) else None
        name = self._refer("BestTrainingJob.TrainingJobName")
        doubt, job = "it lies under the tuning job's output path, so it is taken for the best", "[A-Za-z0-9-]+"
        if isinstance(best_name, str):
            member = "BestTrainingJob.TrainingJobName"
            yield self._match_name(best_name, member, "the best training job's name", member="TrainingJobName")
            doubt, job = "", re.escape(best_name)
        several = self.request.get("TrainingJobDefinitions")
        places: list[tuple[str, JsonValue]] = [("TrainingJobDefinition", self.request.get("TrainingJobDefinition"))]
        for index, definition in enumerate(several if isinstance(several, list) else []):
            places.append((f"TrainingJobDefinitions[{index}]", definition))
        for place, definition in places:
            path = _find_output_path(definition)
            if path is None:
                continue
            folder = self._refer(f"{place}.OutputDataConfig.S3OutputPath")
            reference = join_parts([folder, "" if path.endswith("/") else "/", name, "/output/model.tar.gz"])
            pattern = re.compile(f"{_START}{re.escape(path.rstrip('/'))}/{job}/output/model\\.tar\\.gz{_END}")
            yield Product(self.node, pattern, len(path) + 20, reference, "the best model artifact", doubt=doubt)

    def _iter_candidate(self) -> Iterator[Product]:
        best = self.answer.get("BestCandidate")
        containers = best.get("InferenceContainers") if isinstance(best, dict) else None
        for index, container in enumerate(containers if isinstance(containers, list) else []):
            url = container.get("ModelDataUrl") if isinstance(container, dict) else None
            if isinstance(url, str):
                reference = self._refer(f"BestCandidate.InferenceContainers[{index}].ModelDataUrl")
                yield self._match_value(url, reference, f"model {index} of the best candidate")

    def _refer(self, path: str) -> JsonValue:
        return {"Get": f"{self.place}.{path}"}

    def _match_name(self, name: str, path: str, what: str, *, member: str) -> Product:
        pattern = re.compile(f"{re.escape(name)}{_COPY}")
        return Product(self.node, pattern, len(name), self._refer(path), what, member=member)

    def _match_value(
        self, value: str, reference: JsonValue, what: str, *, slash: bool = False, doubt: str = ""
    ) -> Product:
        base = value.rstrip("/")
        pattern = re.compile(f"{_START}{re.escape(base)}{'/?' if slash or value.endswith('/') else ''}{_END}")
        return Product(self.node, pattern, len(base), reference, what, doubt=doubt)

    def _match_folder(self, uri: str, reference: JsonValue, what: str) -> Product:
        base = uri.rstrip("/")
        pattern = re.compile(f"{_START}{re.escape(base)}{_END_OF_PART}")
        return Product(self.node, pattern, len(base) + 1, reference, what, ends_with_slash=uri.endswith("/"))


def _find_output_path(request: JsonValue) -> str | None:
    output = request.get("OutputDataConfig") if isinstance(request, dict) else None
    path = output.get("S3OutputPath") if isinstance(output, dict) else None
    return path if isinstance(path, str) else None


def _format_property(request: JsonObject, path: JsonPath) -> str:
    """The path as a property path, with outputs by name: ``ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri``."""
    text = ""
    value: JsonValue = request
    for part in path:
        if isinstance(part, int):
            entry = value[part] if isinstance(value, list) else None
            name = entry.get("OutputName") if isinstance(entry, dict) else None
            # A property path has no escapes, so an output whose name holds its signs is taken by its place.
            text += f"['{name}']" if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) else f"[{part}]"
            value = entry
        else:
            text += f".{part}" if text else part
            value = value.get(part) if isinstance(value, dict) else None
    return text


def _has_key(uri: str) -> bool:
    parts = split_s3_uri(uri.rstrip("/"))
    return parts is not None and bool(parts[1])
