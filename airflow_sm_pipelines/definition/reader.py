"""Reading a JSON document into a :class:`PipelineDefinition`, with all its problems reported at once.

This module checks the types of members. Whether the steps fit together is checked in :mod:`checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, TypeVar

from airflow_sm_pipelines.definition.checks import check_steps
from airflow_sm_pipelines.definition.conditions import read_condition
from airflow_sm_pipelines.definition.json_text import JsonText, read_value
from airflow_sm_pipelines.definition.json_value import (
    JsonObject,
    JsonPath,
    JsonValue,
    describe_kind,
    format_path,
)
from airflow_sm_pipelines.definition.object_reader import ObjectReader
from airflow_sm_pipelines.definition.parameters import read_parameters
from airflow_sm_pipelines.definition.pipeline import SCHEMA_VERSION, PipelineDefinition
from airflow_sm_pipelines.definition.problems import Problem, ProblemCollector, list_names, render_problems, suggest
from airflow_sm_pipelines.definition.steps import (
    DEPENDENCY_TRIGGERS,
    CacheConfig,
    ConditionStep,
    Dependency,
    ForEachStep,
    PropertyFile,
    RetryPolicy,
    Step,
)
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition.conditions import (
        Condition,
    )
    from airflow_sm_pipelines.definition.origin import Origin

T = TypeVar("T")


def parse_definition(source: str | bytes | Mapping[str, object], *, name: str = "definition") -> PipelineDefinition:
    """Read a pipeline definition.

    :param source: the document, as JSON text or as Python values. Errors in text have lines and columns.
    :param name: what errors call the document, such as its file name.
    :raises DefinitionError: lists every reason why SageMaker would refuse the document, except those that need the
        shapes of the API (arguments of steps, limits of the service): the ``policy`` package finds these.
    """
    definition, problems = inspect_definition(source)
    if definition is None or problems:
        raise DefinitionError(render_problems(problems, name=name))
    return definition


def inspect_definition(
    source: str | bytes | Mapping[str, object],
) -> tuple[PipelineDefinition | None, tuple[Problem, ...]]:
    """Read as much of a definition as possible, and everything that is wrong with it.

    :return: the definition and its problems. Use the definition only if there are none; it is ``None`` if the source is
        not a JSON object.
    """
    text: JsonText | None = None
    found: list[Problem] = []
    if isinstance(source, Mapping):
        document, unreadable = read_value(source)
        found.extend(Problem(format_path(path), message) for path, message in unreadable)
    elif isinstance(source, (str, bytes)):
        text = JsonText(source)
        document, found = text.load()
    else:
        raise TypeError(f"source must be JSON text or a mapping, not {type(source).__name__}")
    if document is None and found:
        return None, tuple(found)
    problems = ProblemCollector()
    definition: PipelineDefinition | None = None
    if isinstance(document, dict):
        reader = _DefinitionReader(problems)
        definition = reader.read(document)
        check_steps(definition, reader.step_paths, problems)
    else:
        problems.add((), f"a pipeline definition is a JSON object, found {describe_kind(document)}.{_hint(document)}")
    for path, message in problems.found:
        place = text.locate(path) if text else (None, None)
        found.append(Problem(format_path(path) if path else "", message, *place))
    return definition, tuple(found)


def _hint(document: JsonValue) -> str:
    if isinstance(document, str) and document.lstrip().startswith("{"):
        return " The string holds JSON itself: unwrap it first, as `jq -r` does."
    return ""


class _DefinitionReader:
    """Reads one document. Notes each problem and goes on with the rest.

    :ivar step_paths: the path of each step that was read, by the ``id`` of the step.
    """

    def __init__(self, problems: ProblemCollector) -> None:
        self._problems = problems
        self.step_paths: dict[int, JsonPath] = {}

    def read(self, document: JsonObject) -> PipelineDefinition:
        fields = ObjectReader(document, (), self._problems)
        if "Steps" not in document and isinstance(document.get("PipelineDefinition"), str):
            self._problems.add(
                (), "this is an answer of DescribePipeline, not a definition: pass what its 'PipelineDefinition' holds."
            )
            return PipelineDefinition()
        version = fields.text("Version", default=SCHEMA_VERSION)
        metadata = fields.object("Metadata") or {}
        parameters = read_parameters(fields, self._problems)
        experiment = fields.object("PipelineExperimentConfig")
        mlflow = fields.object("MlflowConfig")
        steps = self._steps(fields, "Steps", is_required=True)
        return PipelineDefinition(
            version=version or SCHEMA_VERSION,
            metadata=fields.keep("Metadata", metadata),
            parameters=fields.keep("Parameters", parameters),
            experiment_config=fields.keep("PipelineExperimentConfig", experiment),
            mlflow_config=fields.keep("MlflowConfig", mlflow),
            steps=fields.keep("Steps", steps),
            extra=fields.extra,
            origin=fields.origin(Version=version or SCHEMA_VERSION),
        )

    def _steps(self, fields: ObjectReader, key: str, *, is_required: bool = False) -> tuple[Step, ...]:
        if is_required and fields.raw.get(key) is None:
            self._problems.add(fields.path, f"{key!r} is missing: a pipeline definition has an array of steps there.")
        return fields.items(key, self._step)

    def _step(self, fields: ObjectReader) -> Step:
        name = fields.required_text("Name", "a step")
        fields.subject = f"step {name!r}" if name else "this step"
        kind = fields.required_text("Type", fields.subject) or ""
        arguments = fields.object("Arguments")
        read = ObjectReader(arguments or {}, (*fields.path, "Arguments"), self._problems, subject=fields.subject)
        step = Step(
            name or "",
            fields.keep("Type", kind),
            arguments=fields.keep("Arguments", arguments or {}),
            depends_on=fields.keep("DependsOn", self._depends_on(fields)),
            display_name=fields.keep("DisplayName", fields.text("DisplayName")),
            description=fields.keep("Description", fields.text("Description")),
            property_files=fields.keep("PropertyFiles", fields.items("PropertyFiles", _property_file)),
            cache_config=fields.keep("CacheConfig", self._cache_config(fields)),
            retry_policies=fields.keep("RetryPolicies", fields.items("RetryPolicies", _retry_policy)),
            attributes=fields.extra,
            origin=fields.origin(Name=name or ""),
        )
        if kind == "Condition":
            step = self._condition_step(step, read)
        elif kind == "ForEach":
            step = self._for_each_step(step, read)
        self.step_paths[id(step)] = fields.path
        return step

    def _condition_step(self, step: Step, read: ObjectReader) -> ConditionStep:
        if "Conditions" not in read.raw:
            self._problems.add(read.path, f"{read.subject} has no 'Conditions'; expected an array of conditions.")
        conditions: tuple[Condition, ...] = read.items("Conditions", lambda item: read_condition(item, self._problems))
        if_steps = self._steps(read, "IfSteps")
        else_steps = self._steps(read, "ElseSteps")
        return ConditionStep(
            **_shared(step, read.without("Conditions", "IfSteps", "ElseSteps")),
            conditions=read.keep("Conditions", conditions),
            if_steps=read.keep("IfSteps", if_steps),
            else_steps=read.keep("ElseSteps", else_steps),
            arguments_origin=read.origin(),
        )

    def _for_each_step(self, step: Step, read: ObjectReader) -> ForEachStep:
        items = read.raw.get("IterableItems")
        if not isinstance(items, (list, dict)) or items == []:
            self._problems.add(
                (*read.path, "IterableItems") if "IterableItems" in read.raw else read.path,
                f"{read.subject} needs 'IterableItems', a filled array or an expression; found {describe_kind(items)}.",
            )
        concurrency = read.integer("MaxConcurrency")
        if concurrency is None and read.raw.get("MaxConcurrency") is None:
            self._problems.add(read.path, f"{read.subject} needs 'MaxConcurrency', a number from 1 to 50.")
        selector = read.object("Selector")
        body = self._steps(read, "ForEachBody")
        if not read.raw.get("ForEachBody"):
            self._problems.add(read.path, f"{read.subject} needs 'ForEachBody', an array with at least one step.")
        return ForEachStep(
            **_shared(step, read.without("IterableItems", "MaxConcurrency", "Selector", "ForEachBody")),
            items=read.keep("IterableItems", items),
            max_concurrency=read.keep("MaxConcurrency", concurrency or 1),
            selector=read.keep("Selector", selector),
            body=read.keep("ForEachBody", body),
            arguments_origin=read.origin(),
        )

    def _depends_on(self, fields: ObjectReader) -> tuple[Dependency, ...]:
        dependencies = []
        for index, item in enumerate(fields.array("DependsOn") or []):
            path = (*fields.path, "DependsOn", index)
            if isinstance(item, str):
                dependencies.append(Dependency(item))
            elif isinstance(item, dict):
                entry = ObjectReader(item, path, self._problems, subject=fields.subject)
                upstream = entry.required_text("Step", f"a dependency of {fields.subject}")
                trigger = entry.text("Trigger", default="Completed") or "Completed"
                if trigger not in DEPENDENCY_TRIGGERS:
                    self._problems.add(
                        (*path, "Trigger"),
                        f"{trigger!r} is not a trigger; those are {list_names(DEPENDENCY_TRIGGERS)}."
                        f"{suggest(trigger, DEPENDENCY_TRIGGERS)}",
                    )
                if upstream:
                    dependencies.append(Dependency(upstream, trigger))
            else:
                self._problems.add(
                    path,
                    f"a dependency of {fields.subject} is a step's name or an object with 'Step' and 'Trigger', "
                    f"found {describe_kind(item)}.",
                )
        return tuple(dependencies)

    def _cache_config(self, fields: ObjectReader) -> CacheConfig | None:
        raw = fields.object("CacheConfig")
        if raw is None:
            return None
        read = ObjectReader(raw, (*fields.path, "CacheConfig"), self._problems, subject=fields.subject)
        return CacheConfig(enabled=read.boolean("Enabled") or False, expire_after=read.text("ExpireAfter"))


class _Shared(TypedDict):
    name: str
    type: str
    arguments: JsonObject
    depends_on: tuple[Dependency, ...]
    display_name: str | None
    description: str | None
    property_files: tuple[PropertyFile, ...]
    cache_config: CacheConfig | None
    retry_policies: tuple[RetryPolicy, ...]
    attributes: JsonObject
    origin: Origin | None


def _shared(step: Step, arguments: JsonObject) -> _Shared:
    return {
        "name": step.name,
        "type": step.type,
        "arguments": arguments,
        "depends_on": step.depends_on,
        "display_name": step.display_name,
        "description": step.description,
        "property_files": step.property_files,
        "cache_config": step.cache_config,
        "retry_policies": step.retry_policies,
        "attributes": step.attributes,
        "origin": step.origin,
    }


def _property_file(read: ObjectReader) -> PropertyFile | None:
    name = read.required_text("PropertyFileName", "a property file")
    output = read.required_text("OutputName", "a property file")
    path = read.required_text("FilePath", "a property file")
    return PropertyFile(name, output or "", path or "") if name else None


def _retry_policy(read: ObjectReader) -> RetryPolicy:
    return RetryPolicy(
        exception_types=read.texts("ExceptionType"),
        backoff_rate=read.number("BackoffRate"),
        interval_seconds=read.integer("IntervalSeconds"),
        max_attempts=read.integer("MaxAttempts"),
        expire_after_min=read.integer("ExpireAfterMin"),
    )
