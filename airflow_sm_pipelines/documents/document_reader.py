"""Deciding what a document is, and finding the pipeline definitions in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.definition.json_text import JsonText
from airflow_sm_pipelines.definition.json_value import copy_object, describe_kind, iter_values, put_value
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.documents import cloudformation, terraform
from airflow_sm_pipelines.documents.held_definition import HeldDefinition
from airflow_sm_pipelines.documents.placeholders import (
    Unknowns,
    Variables,
    is_unknown,
    is_whole,
    mark_placeholders,
    quote_whole_values,
)
from airflow_sm_pipelines.documents.values import DocumentValue, decode_text, read_value_text
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath

_TEMPLATE_NAME = re.compile(r"(?i)\.(tftpl|tpl|tmpl)(\.json)?\Z")
_TERRAFORM_TEXT = re.compile(r'(?:\s*#.*\n)*\s*(?:resource|module|data|locals|variable|output)\s+(?:"[\w-]+"\s*)*\{')
_TERRAFORM_NAME = re.compile(r"(?i)\.(tf|hcl|tofu)\Z")
_COMMANDS = ("ContainerEntrypoint", "ContainerArguments")
_MENTIONS = re.compile(r"[pP]ipelineDefinition|AWS::SageMaker::Pipeline|aws(?:cc)?_sagemaker_pipeline|\"Steps\"\s*:")


@dataclass(frozen=True, slots=True)
class _Found:
    """Something that is a definition, or should be one.

    :param body: JSON text or an object, with marks; or what stands there instead.
    :param path: where it stands in the document.
    :param is_nested: whether it stands in a document inside the document, and ``path`` only says where that is.
    :param placeholders: whether ``${...}`` in the text is a placeholder, also with Terraform's ``$${`` for ``${``.
    """

    body: Any
    id: str = ""
    path: JsonPath = ()
    name: Any = None
    description: Any = None
    parallelism: Any = None
    s3_location: Any = None
    references: tuple[str, ...] = ()
    before: _Found | None = None
    has_before: bool = False
    placeholders: Literal["none", "any", "terraform"] = "none"
    is_nested: bool = False
    unknowns: Unknowns = field(default_factory=Unknowns)


def read_document(
    source: str | bytes, *, name: str, variables: Variables | None = None, is_any: bool = False
) -> tuple[HeldDefinition, ...]:
    """The pipeline definitions that a document holds.

    A document of which nothing is known is taken for a definition, so that the definition's reader says what is wrong.

    :param source: the document.
    :param name: what messages call it; the ending tells YAML and Terraform's templates where the text does not.
    :param variables: values for placeholders.
    :param is_any: whether it may be anything: a document that holds no pipeline then gives none.
    :raises DefinitionError: naming the place, if the document cannot be read, holds no pipeline, or a definition that
        it names stands elsewhere.
    """
    variables = variables or Variables()
    text = source if isinstance(source, str) else decode_text(source)
    if text is None or not text.strip():
        return () if is_any else (HeldDefinition(source),)
    if _TERRAFORM_NAME.search(name) or _TERRAFORM_TEXT.match(text):
        if is_any:
            return ()
        raise DefinitionError(
            f"{name} is Terraform's own language, which only Terraform can work out: give what 'terraform show -json' "
            "or 'terraform console' prints."
        )
    if is_any and _MENTIONS.search(text) is None:
        return ()
    document = read_value_text(text, name=name)
    if document is None or (isinstance(document.source, JsonText) and _is_definition(document.values)):
        return (_read_definition(source, text, name=name, variables=variables),)
    reader = _Reader(document, name, variables)
    found = [held for number in range(len(document.values)) for held in reader.read(number)]
    if not found and not is_any:
        reason = "Terraform is to destroy all that it names" if reader.is_destroyed else _describe(document.values)
        raise DefinitionError(f"{name} holds no pipeline: {reason}.")
    if found and all(one.fault for one in found):
        raise DefinitionError(found[0].fault)
    return tuple(found)


def split_name(source: str, *, exists: Callable[[str], bool]) -> tuple[str, str | None]:
    """The file of ``template.yaml#Train``, and the pipeline that is named in it.

    :param source: the path, whose name may itself have a ``#``.
    :param exists: whether there is a file or folder of that path.
    """
    path, separator, wanted = source.partition("#")
    if not separator or exists(source):
        return source, None
    while not exists(path) and "#" in wanted:
        part, _, wanted = wanted.partition("#")
        path = f"{path}#{part}"
    return path, wanted


def choose_definition(held: Sequence[HeldDefinition], *, wanted: str | None, name: str) -> HeldDefinition:
    """The one definition that is meant.

    :param wanted: its id in the document, or the pipeline's name; may be left out where there is only one.
    :param name: what messages call the document.
    :raises DefinitionError: naming all of them.
    """
    if wanted is None and len(held) == 1:
        return _without_fault(held[0])
    if wanted is None:
        names = list_names([one.id or one.name or "" for one in held], limit=20)
        raise DefinitionError(f"{name} holds {len(held)} pipelines: {names}. Name one, as {name}#{held[0].id}.")
    for match in (
        [one for one in held if one.id == wanted],
        [one for one in held if one.name == wanted],
        [one for one in held if re.split(r"[.#/]", one.id)[-1] == wanted],
    ):
        if len(match) == 1:
            return _without_fault(match[0])
    ids = [one.id or one.name or "" for one in held]
    raise DefinitionError(
        f"{name} holds no pipeline {wanted!r}, but {list_names(ids, limit=20)}.{suggest(wanted, ids)}"
    )


def _without_fault(held: HeldDefinition) -> HeldDefinition:
    if held.fault:
        raise DefinitionError(held.fault)
    return held


def _is_definition(values: Sequence[Any]) -> bool:
    """Whether a document is one definition itself, or nothing that is known."""
    if len(values) != 1 or isinstance(values[0], str):
        return False
    if isinstance(values[0], list):
        return not any(isinstance(item, dict) for item in values[0])
    if not isinstance(values[0], dict) or "Steps" in values[0]:
        return True
    return not terraform.is_terraform(values[0]) and next(_find_shapes(values[0]), None) is None


def _read_definition(source: str | bytes, text: str, *, name: str, variables: Variables) -> HeldDefinition:
    """A document that is a definition, or a template of one."""
    if "${" not in text and not _TEMPLATE_NAME.search(name):
        return HeldDefinition(source)
    try:
        json.loads(text)
        is_json = True
    except (ValueError, RecursionError):
        is_json = False
    unknowns = Unknowns()
    is_template = _TEMPLATE_NAME.search(name) is not None
    marked = mark_placeholders(text, variables, unknowns, is_template=is_template, name=name, is_json=is_json)
    if not unknowns.names and marked == text:
        return HeldDefinition(source)
    held = _finish(HeldDefinition(""), marked, unknowns, name=name)
    if not is_json or is_template or variables.is_given or held.marked is None:
        return held
    document = _with_commands(held.marked, unknowns)
    names = unknowns.find_names(json.dumps(document, ensure_ascii=False))
    return replace(held, text=source, is_literal=True, unknown=names, marked=document if names else None)


def _with_commands(document: JsonObject, unknowns: Unknowns) -> JsonObject:
    """The definition with ``${HOME}`` and the like in commands as they are: there, a shell fills them in."""
    kept = copy_object(document)
    for path, value in iter_values(document):
        if is_unknown(value) and any(key in _COMMANDS for key in path):
            put_value(kept, path, unknowns.show(str(value)))
    return kept


def _finish(held: HeldDefinition, marked: str, unknowns: Unknowns, *, name: str) -> HeldDefinition:
    """The definition of a text with marks."""
    text = quote_whole_values(marked)
    try:
        document = json.loads(text) if unknowns.find_names(text) else None
    except (ValueError, RecursionError):
        document = None
    steps = document.get("Steps") if isinstance(document, dict) else None
    if isinstance(steps, str) and is_unknown(steps):
        raise DefinitionError(
            f"{name}: 'Steps' is {unknowns.show(steps)}, which is not filled in: give it with --var NAME=VALUE."
        )
    names = unknowns.find_names(text)
    return replace(
        held,
        text=unknowns.show_json(text),
        unknown=names,
        shown=tuple(unknowns.shown),
        marked=document if isinstance(document, dict) else None,
    )


class _Reader:
    """Makes definitions of what a document has.

    :param name: what messages call the document.
    :ivar is_destroyed: whether it has met a pipeline that Terraform is about to destroy.
    """

    def __init__(self, document: DocumentValue, name: str, variables: Variables) -> None:
        self._document = document
        self._name = name
        self._variables = variables
        self.is_destroyed = False

    def read(self, number: int) -> Iterator[HeldDefinition]:
        """The definitions in one of the document's values; one that stands elsewhere has a fault."""
        for found in self._find(self._document.values[number], (), ""):
            try:
                held = self._hold(found, number)
            except DefinitionError as error:
                # Another one in the document may be wanted.
                held = HeldDefinition("", id=found.id, fault=str(error))
            if held is not None:
                yield self._with_before(held, found, number)

    def _with_before(self, held: HeldDefinition, found: _Found, number: int) -> HeldDefinition:
        try:
            before = None if found.before is None else self._hold(found.before, number)
        except DefinitionError:
            return held  # What was before stands elsewhere: SageMaker has it.
        return replace(held, before=before, has_before=found.has_before)

    def _find(self, value: Any, path: JsonPath, prefix: str) -> Iterator[_Found]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                for found in self._find(item, (*path, index), prefix):
                    yield found if found.id else replace(found, id=f"{found.name or index}")
        elif isinstance(value, str) and value.lstrip().startswith(("{", '"')):
            yield from self._find_in_text(value, path, prefix)
        elif isinstance(value, dict):
            for found in _find_shapes(value):
                yield from self._open(found, path, prefix)

    def _open(self, found: _Found, path: JsonPath, prefix: str) -> Iterator[_Found]:
        """What is found, with a template inside it opened."""
        placed = replace(found, path=(*path, *found.path), id=f"{prefix}{found.id}")
        if isinstance(found.body, _Template):
            yield from self._find_in_template(found.body.value, placed.path, placed.id)
        elif isinstance(found.body, _Nested):
            inner, prefix = found.body.value, f"{placed.id}#" if placed.id else ""
            find = self._find_in_text if isinstance(inner, str) else self._find
            for one in find(inner, placed.path, prefix):
                yield one if found.placeholders == "none" else replace(one, placeholders=found.placeholders)
        else:
            yield placed

    def _find_in_text(self, text: str, path: JsonPath, prefix: str) -> Iterator[_Found]:
        inner = read_value_text(text, name=self._name)
        if inner is None or (isinstance(inner.source, JsonText) and _is_definition(inner.values)):
            yield _Found(text, id=prefix.rstrip("#"), path=path)
            return
        for value in inner.values:
            yield from (replace(found, path=path, is_nested=True) for found in self._find(value, (), prefix))

    def _find_in_template(self, template: Mapping[str, Any], path: JsonPath, prefix: str) -> Iterator[_Found]:
        for id_, resource in template["Resources"].items():
            if not isinstance(resource, dict) or resource.get("Type") != cloudformation.RESOURCE_TYPE:
                continue
            unknowns = Unknowns()
            resolver = cloudformation.TemplateResolver(template, self._variables, unknowns)
            place = (*path, "Resources", id_, "Properties", "PipelineDefinition")
            try:
                properties = resolver.resolve(resource.get("Properties"))
            except (cloudformation.TooManyValuesError, RecursionError):
                raise DefinitionError(f"{self._name}: {id_} is far larger than a definition can be.") from None
            properties = properties if isinstance(properties, dict) else {}
            definition = properties.get("PipelineDefinition")
            holder = definition if isinstance(definition, dict) else {"PipelineDefinitionBody": definition}
            body = holder.get("PipelineDefinitionBody")
            yield _Found(
                holder if "Steps" in holder else body,
                id=f"{prefix}{id_}",
                path=(*place, "PipelineDefinitionBody") if "PipelineDefinitionBody" in holder else place,
                name=properties.get("PipelineName"),
                description=properties.get("PipelineDescription"),
                parallelism=properties.get("ParallelismConfiguration"),
                s3_location=holder.get("PipelineDefinitionS3Location"),
                unknowns=unknowns,
            )

    def _hold(self, found: _Found, number: int) -> HeldDefinition | None:
        if found.has_before and found.body is None and found.s3_location is None and found.before is not None:
            self.is_destroyed = True
            return None
        body = found.body
        position = self._document.locate(found.path, number)
        place = self._name if position is None else f"{self._name}:{position[0]}:{position[1]}"
        if isinstance(body, str) and found.placeholders != "none":
            body = mark_placeholders(
                body,
                self._variables,
                found.unknowns,
                is_template=found.placeholders == "terraform",
                name=self._name,
                is_json=_is_json(body),
            )
        for _ in range(3):
            if isinstance(body, str) and body.lstrip().startswith('"') and isinstance(inner := _load(body), str):
                body = inner
        if isinstance(body, dict):
            body = json.dumps(body, ensure_ascii=False)
        if not isinstance(body, str) or not body.lstrip().startswith("{"):
            raise DefinitionError(f"{place}: {_explain_missing(found, body)}")
        held = HeldDefinition(
            "",
            id=found.id,
            name=found.name if isinstance(found.name, str) and not is_unknown(found.name) else None,
            description=(
                found.description if isinstance(found.description, str) and not is_unknown(found.description) else None
            ),
            parallelism=found.parallelism if isinstance(found.parallelism, dict) else None,
        )
        label = f"{self._name}#{found.id}" if found.id else self._name
        held = _finish(held, body, found.unknowns, name=label)
        document = self._document

        def locate(line: int, column: int) -> tuple[int, int] | None:
            if found.is_nested:
                return position
            return document.locate_inside(found.path, number, str(held.text), line, column)

        return replace(held, locate=locate)


@dataclass(frozen=True, slots=True)
class _Template:
    """A CloudFormation template."""

    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Nested:
    """Text or a value that is a document of its own."""

    value: Any


def _find_shapes(value: Mapping[str, Any]) -> Iterator[_Found]:
    """What a JSON object holds, by its keys. The paths are those inside the object."""
    if "Steps" in value:
        yield _Found(dict(value))
    elif isinstance(value.get("Resources"), dict):
        yield _Found(_Template(value))
    elif terraform.is_terraform(value):
        for pipeline in terraform.find_pipelines(value):
            yield _of_terraform(pipeline, is_template="resource" in value)
    elif "PipelineDefinition" in value or "PipelineDefinitionS3Location" in value:
        yield _of_answer(value)
    elif "PipelineDefinitionBody" in value:
        yield _Found(value["PipelineDefinitionBody"], path=("PipelineDefinitionBody",))
    elif "pipeline_definition" in value or "pipeline_definition_s3_location" in value:
        yield _of_terraform(terraform.TerraformPipeline("", value, ()), is_template=False)
    else:
        yield from _find_wrapped(value)


def _find_wrapped(value: Mapping[str, Any]) -> Iterator[_Found]:
    """What a JSON object holds that wraps a document of its own, or that another tool reads."""
    if isinstance(value.get("TemplateBody"), (str, dict)):
        yield _Found(_Nested(value["TemplateBody"]), path=("TemplateBody",))
    elif isinstance(spec := value.get("spec"), dict) and (found := _of_manifest(spec, value.get("metadata"))):
        yield found
    elif _has_templates(resources := value.get("resources")):  # serverless.yml
        yield _Found(_Nested(resources), path=("resources",), placeholders="any")
    elif isinstance(value.get("items"), list) and "apiVersion" in value:
        yield _Found(_Nested(value["items"]), path=("items",))
    elif value.get("value") is not None and "sensitive" in value:
        yield _Found(_Nested(value["value"]), path=("value",))
    else:
        yield from _find_outputs(value)


def _of_manifest(spec: Mapping[str, Any], metadata: Any) -> _Found | None:
    """A pipeline of Kubernetes: of AWS's controller, or of Crossplane, which has its members one level down."""
    path: JsonPath = ("spec",)
    if isinstance(provided := spec.get("forProvider"), dict):
        spec, path = provided, ("spec", "forProvider")
    if "pipelineDefinition" not in spec:
        return None
    return _Found(
        spec["pipelineDefinition"],
        id=str(metadata.get("name") or "") if isinstance(metadata, dict) else "",
        path=(*path, "pipelineDefinition"),
        name=spec.get("pipelineName"),
        description=spec.get("pipelineDescription"),
        placeholders="any",
    )


def _has_templates(resources: Any) -> bool:
    """Whether this is a CloudFormation template without its head, or a list with one."""
    parts = resources if isinstance(resources, list) else [resources]
    return any(isinstance(part, dict) and isinstance(part.get("Resources"), dict) for part in parts)


def _find_outputs(value: Mapping[str, Any]) -> Iterator[_Found]:
    """The definitions among the outputs of a Terraform module, as ``terraform output -json`` prints them."""
    for key, output in value.items():
        if not isinstance(output, dict) or "sensitive" not in output or "value" not in output:
            continue
        inner = output["value"]
        if isinstance(inner, (str, dict)) and _MENTIONS.search(inner if isinstance(inner, str) else json.dumps(inner)):
            yield _Found(_Nested(inner), id=str(key), path=(key, "value"))


def _of_answer(value: Mapping[str, Any]) -> _Found:
    """An answer of DescribePipeline, or a request of CreatePipeline, which has the same members."""
    inner = value.get("PipelineDefinition")
    location = value.get("PipelineDefinitionS3Location")
    if isinstance(inner, dict) and ("PipelineDefinitionBody" in inner or "PipelineDefinitionS3Location" in inner):
        location, inner = inner.get("PipelineDefinitionS3Location"), inner.get("PipelineDefinitionBody")
    arn = value.get("PipelineArn")
    name = value.get("PipelineName")
    is_answer = not value.keys().isdisjoint(("PipelineArn", "CreationTime"))
    return _Found(
        inner,
        path=("PipelineDefinition",),
        name=arn.rpartition("/")[2] if name is None and isinstance(arn, str) and ":pipeline/" in arn else name,
        description=value.get("PipelineDescription"),
        parallelism=value.get("ParallelismConfiguration"),
        s3_location=location,
        placeholders="none" if is_answer else "any",
    )


def _of_terraform(pipeline: terraform.TerraformPipeline, *, is_template: bool) -> _Found:
    found = _of_attributes(pipeline.values, is_template=is_template)
    return replace(
        found,
        id=pipeline.address,
        path=(*pipeline.path, *found.path),
        references=pipeline.references,
        before=None if pipeline.before is None else _of_attributes(pipeline.before, is_template=False),
        has_before=pipeline.has_before,
    )


def _of_attributes(values: Mapping[str, Any], *, is_template: bool) -> _Found:
    if "template_body" in values:
        return _Found(_Nested(values["template_body"]), path=("template_body",))
    body, location = values.get("pipeline_definition"), values.get("pipeline_definition_s3_location")
    if isinstance(body, dict) and "Steps" not in body:
        # The provider awscc has the members of CloudFormation.
        location, body = body.get("pipeline_definition_s3_location"), body.get("pipeline_definition_body")
    return _Found(
        body,
        path=("pipeline_definition",),
        name=values.get("pipeline_name"),
        description=values.get("pipeline_description"),
        s3_location=location[0] if isinstance(location, list) and location else location or None,
        placeholders="terraform" if is_template else "none",
    )


def _explain_missing(found: _Found, body: Any) -> str:
    """Why a pipeline has no definition here, and what to do."""
    of = f" of {found.id!r}" if found.id else f" of {found.name!r}" if isinstance(found.name, str) else ""
    of = found.unknowns.show(of)
    if isinstance(found.s3_location, dict):
        members = {str(key).lower().replace("_", ""): value for key, value in found.s3_location.items()}
        uri = f"s3://{members.get('bucket')}/{members.get('key') or members.get('objectkey')}"
        uri = found.unknowns.show(uri)
        return f"the definition{of} is in S3, at {uri}. Copy it from there, and name the copy."
    if body == terraform.KNOWN_AFTER_APPLY:
        references = f" It depends on {', '.join(found.references)}." if found.references else ""
        return (
            f"the definition{of} is known only after Terraform has applied the plan.{references} Apply what it depends "
            "on first, or give the rendered definition."
        )
    if isinstance(body, str) and is_unknown(body) and is_whole(body):
        shown, names = found.unknowns.show(body.strip()), found.unknowns.find_names(body)
        return f"the definition{of} is {shown}, which this file does not hold: give it with --var '{names[0]}=TEXT'."
    if body is None:
        return f"the pipeline{of} has no definition."
    shown_kind = describe_kind(found.unknowns.show(body) if isinstance(body, str) else body)
    return f"the definition{of} is {shown_kind}, not a JSON object: give the definition itself."


def _describe(values: Sequence[Any]) -> str:
    if len(values) == 1 and not isinstance(values[0], (dict, list)):
        shown = describe_kind(values[0]) if isinstance(values[0], (str, int, float, bool, type(None))) else "something"
        return f"it is {shown}, and a definition is a JSON object"
    return (
        "it is no definition, no answer of DescribePipeline, no plan or state of Terraform and no template of "
        "CloudFormation with one"
    )


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_json(text: str) -> bool:
    return _load(text) is not None
