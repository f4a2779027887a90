"""Makes native steps of Kubeflow's SageMaker components, from the flags that their containers are given."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, clean_request
from airflow_sm_pipelines.migrate.kubeflow.input_values import (
    PLACEHOLDER,
    Absent,
    Literal,
    NotCarriedError,
    RunValue,
    StepOutput,
    Text,
    as_text,
    make_text,
    to_native,
)
from airflow_sm_pipelines.migrate.kubeflow.sagemaker_flags import (
    COMPONENTS,
    IGNORED,
    PROGRAMS,
    REQUIRED,
    UNSUPPORTED_PROGRAMS,
    FlaggedComponent,
)
from airflow_sm_pipelines.migrate.node_references import make_function
from airflow_sm_pipelines.migrate.report import Outcome, Reason
from airflow_sm_pipelines.migrate.workflow import CallNode, PipelineStepNode
from airflow_sm_pipelines.service_model import load_service_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import Component
    from airflow_sm_pipelines.service_model import Shape

_IMAGE = re.compile(r"sagemaker-kfp-components|kubeflow-sagemaker")
_VERSION_2 = re.compile(r"(\w+)_component\Z")
_MODEL_FILE = "output/model.tar.gz"
_EMPTY: tuple[JsonValue, ...] = ("", "{}", "[]", None)


@dataclass(frozen=True, slots=True)
class SageMakerStep:
    """What became of a component: its nodes, the last of which is the component's."""

    kind: str
    nodes: tuple[PipelineStepNode | CallNode, ...]
    outputs: Mapping[str, Value]
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    lost: tuple[str, ...] = ()


def is_sagemaker(executor: Mapping[str, Any]) -> bool:
    """Whether an executor's container is one of the SageMaker components."""
    container = executor.get("container")
    return isinstance(container, dict) and _IMAGE.search(str(container.get("image"))) is not None


def make_sagemaker_step(
    name: str,
    source: str,
    component: Component,
    inputs: Mapping[str, Value],
    *,
    claim: Callable[[str], str],
    after: tuple[Dependency, ...],
) -> SageMakerStep:
    """The nodes of a component.

    :param claim: gives a free name for another node.
    :raises NotCarriedError: no step and no call does what it does.
    """
    container = cast("dict[str, Any]", cast("JsonObject", component.executor)["container"])
    words = _expand([*(container.get("command") or []), *(container.get("args") or [])], inputs)
    program = next((PurePosixPath(word).stem for word in words if word.endswith(".py")), "")
    flags = _read_flags(words, inputs)
    maker = _Maker(name, source, flags, after)
    if program in UNSUPPORTED_PROGRAMS:
        raise NotCarriedError(f"it does {UNSUPPORTED_PROGRAMS[program]}")
    if program in PROGRAMS:
        return maker.make_flagged(PROGRAMS[program], claim)
    noun = _VERSION_2.match(program)
    if noun is not None and f"Create{noun[1]}" in load_service_model().operation_names:
        return maker.make_direct(noun[1])
    raise NotCarriedError(f"its program {program or 'without a name'!r} is none of the SageMaker components")


def _expand(words: list[Any], inputs: Mapping[str, Value]) -> list[str]:
    """The words of a command, with those that depend on an input decided."""
    found: list[str] = []
    for word in words:
        text = as_text(word)
        rule = None
        if text.lstrip().startswith("{") and ("IfPresent" in text or "Concat" in text):
            try:
                rule = json.loads(text)
            except ValueError:
                rule = None
        if isinstance(rule, dict) and isinstance(rule.get("IfPresent"), dict):
            wanted = rule["IfPresent"]
            is_there = not isinstance(inputs.get(str(wanted.get("InputName")), Absent("")), Absent)
            chosen = wanted.get("Then" if is_there else "Else") or []
            found += _expand(chosen if isinstance(chosen, list) else [chosen], inputs)
        elif isinstance(rule, dict) and isinstance(rule.get("Concat"), list):
            found.append("".join(_expand(rule["Concat"], inputs)))
        else:
            found.append(text)
    return found


def _read_flags(words: list[str], inputs: Mapping[str, Value]) -> dict[str, Value]:
    flags: dict[str, Value] = {}
    for index, word in enumerate(words):
        if word.startswith("--"):
            name, equals, rest = word[2:].partition("=")
            following = rest if equals else words[index + 1] if index + 1 < len(words) else ""
            flags[name] = make_text(following, inputs)
            if (
                PLACEHOLDER.fullmatch(following)
                and isinstance(flags[name], Literal)
                and following == as_text(cast("Literal", flags[name]).value)
            ):
                flags[name] = Absent("it is not given")
    return {name: value for name, value in flags.items() if not _is_empty(value)}


def _is_empty(value: Value) -> bool:
    if isinstance(value, Absent):
        return True
    return isinstance(value, Literal) and (value.value in _EMPTY or value.value in ({}, []))


@dataclass(slots=True)
class _Maker:
    name: str
    source: str
    flags: dict[str, Value]
    after: tuple[Dependency, ...]
    lost: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    # --- version 1 --------------------------------------------------------------------------------------------------

    def make_flagged(self, called: str, claim: Callable[[str], str]) -> SageMakerStep:
        component = COMPONENTS[called]
        nodes: tuple[PipelineStepNode | CallNode, ...] = ()
        after = self.after
        if called == "deploy":
            config = claim(f"{self.name}-config")
            first = self._make_node(config, COMPONENTS["endpoint_config"], after, known=component.flags)
            nodes, after = (first,), (Dependency(config),)
            node = self._make_node(self.name, component, after, known=COMPONENTS["endpoint_config"].flags)
            node.arguments["EndpointConfigName"] = {"Get": f"Steps.{config}.EndpointConfigName"}
        else:
            node = self._make_node(self.name, component, after)
        space = "Steps" if isinstance(node, PipelineStepNode) else "Tasks"
        outputs: dict[str, Value] = {
            key: RunValue({"Get": f"{space}.{self.name}.{path}"}, is_number=True)
            for key, path in component.outputs.items()
        }
        if called == "tuning":
            outputs["model_artifact_url"] = self._find_best_artifact(outputs["best_job_name"])
            outputs["best_hyperparameters"] = Absent("the best hyperparameters are a structure that no step reads")
        if called == "process":
            outputs["output_artifacts"] = self._find_outputs(node.arguments)
        return self._finish(f"SageMaker {component.noun}", (*nodes, node), outputs)

    def _finish(
        self, kind: str, nodes: tuple[PipelineStepNode | CallNode, ...], outputs: Mapping[str, Value]
    ) -> SageMakerStep:
        is_call = isinstance(nodes[-1], CallNode)
        outcome = Outcome.AIRFLOW if is_call else Outcome.APPROXIMATED if self.reasons else Outcome.TRANSLATED
        return SageMakerStep(kind, nodes, outputs, outcome, tuple(self.reasons), tuple(self.lost))

    def _make_node(
        self,
        name: str,
        component: FlaggedComponent,
        after: tuple[Dependency, ...],
        known: Mapping[str, object] | None = None,
    ) -> PipelineStepNode | CallNode:
        request: JsonObject = {}
        for flag, value in self.flags.items():
            place = component.flags.get(flag)
            if place is not None and not self._is_left_out(flag, value):
                _put(request, place[0].split("."), _write(value, place[1]))
            elif place is not None:
                continue
            elif flag == "assume_role":
                text = "It assumed a role of its own to call SageMaker; the pipeline has one role."
                self._note(Reason("KFP-ROLE-001", text))
            elif flag not in IGNORED and not flag.endswith("_output_path") and flag not in (known or {}):
                self.lost.append(f"--{flag}")
        _tidy(request, component.noun)
        return self._make_request(name, component.noun, request, after)

    def _is_left_out(self, flag: str, value: Value) -> bool:
        """Whether a parameter that is empty by default gives a flag: the components leave out what is empty."""
        if not isinstance(value, RunValue) or value.default not in _EMPTY[:-1] or flag in REQUIRED:
            return False
        text = f"--{flag} is left out: its parameter is empty by default, and no step can decide that when it runs."
        self._note(Reason("KFP-FLAG-001", text))
        return True

    def _note(self, reason: Reason) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def _make_request(
        self, name: str, noun: str, request: JsonObject, after: tuple[Dependency, ...]
    ) -> PipelineStepNode | CallNode:
        kind = next((one for one in REQUEST_KINDS if one.noun == noun), None)
        if kind is None:
            operation = "create_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", noun).lower()
            return CallNode(name, self.source, "sagemaker", operation, request, after)
        wanted = request.get(kind.name_member)
        clean = clean_request(request, kind, is_described=False)
        self.lost += clean.unknown
        arguments = dict(clean.arguments)
        if noun == "Endpoint":
            # Applications call an endpoint by its name, so it stays.
            run: list[JsonValue] = ["Endpoint", {"Get": "Execution.PipelineExecutionId"}]
            arguments["EndpointName"] = wanted or {"Std:Join": {"On": "-", "Values": run}}
        elif wanted:
            self._note(Reason("KFP-NAME-001", f"SageMaker makes the name; {kind.name_member} is not used."))
        return PipelineStepNode(name, self.source, kind.step_type, arguments, after)

    def _find_best_artifact(self, job: Value) -> Value:
        folder = self.flags.get("output_location", Literal(""))
        text = f"{{{{$.inputs.parameters['f']}}}}/{{{{$.inputs.parameters['j']}}}}/{_MODEL_FILE}"
        if isinstance(folder, Literal):
            folder = Literal(as_text(folder.value).rstrip("/"))
        return make_text(text, {"f": folder, "j": job})

    def _find_outputs(self, arguments: JsonObject) -> Value:
        """The addresses of a processing job's outputs by their names, as JSON text."""
        config = arguments.get("ProcessingOutputConfig")
        outputs = config.get("Outputs") if isinstance(config, dict) else None
        names = [
            str(one["OutputName"])
            for one in (outputs if isinstance(outputs, list) else [])
            if isinstance(one, dict) and "OutputName" in one
        ]
        inputs: dict[str, Value] = {
            one: RunValue({"Get": f"Steps.{self.name}.ProcessingOutputConfig.Outputs['{one}'].S3Output.S3Uri"})
            for one in names
        }
        return make_text(json.dumps({one: f"{{{{$.inputs.parameters['{one}']}}}}" for one in names}), inputs)

    # --- version 2 --------------------------------------------------------------------------------------------------

    def make_direct(self, noun: str) -> SageMakerStep:
        """A component whose flags are the members of the request."""
        shape = load_service_model().get_request_shape(f"Create{noun}")
        members = {re.sub(r"_", "", name).lower(): name for name in shape.members}
        request: JsonObject = {}
        for flag, value in self.flags.items():
            member = members.get(flag.replace("_", "").lower())
            if member is not None and not self._is_left_out(flag, value):
                request[member] = _write_member(value, shape.members[member])
            elif member is None and flag not in IGNORED and not flag.endswith("_output_path"):
                self.lost.append(f"--{flag}")
        node = self._make_request(self.name, noun, request, self.after)
        return self._finish(f"SageMaker {noun}", (node,), self._find_properties(noun, node))

    def _find_properties(self, noun: str, node: PipelineStepNode | CallNode) -> dict[str, Value]:
        """What version 2 gives: the members of the Describe answer, structures with a small first letter."""
        outputs: dict[str, Value] = {}
        kind = next((one for one in REQUEST_KINDS if one.noun == noun), None)
        if kind is None or isinstance(node, CallNode):
            name = (node.arguments or {}).get(f"{noun}Name")
            return {"sagemaker_resource_name": Literal(name) if isinstance(name, str) else Absent("it has no name")}
        answer = load_service_model().get_operation(f"Describe{noun}").output_shape
        for member, inner in (answer.members if answer is not None else {}).items():
            outputs[_to_snake(member)] = _describe(f"Steps.{self.name}.{member}", inner)
        outputs["sagemaker_resource_name"] = RunValue({"Get": f"Steps.{self.name}.{kind.name_member}"})
        return outputs


def _describe(path: str, shape: Shape) -> Value:
    if shape.type_name != "structure":
        return RunValue({"Get": path}, is_number=True)
    members = [name for name, one in shape.members.items() if one.type_name not in ("structure", "list", "map")]
    inputs: dict[str, Value] = {name: RunValue({"Get": f"{path}.{name}"}) for name in members}
    body = {_to_camel(name): f"{{{{$.inputs.parameters['{name}']}}}}" for name in members}
    return make_text(json.dumps(body), inputs)


def _to_camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _to_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# --- values ----------------------------------------------------------------------------------------------------------


def _write(value: Value, kind: str) -> JsonValue:
    """A flag's value as the request has it."""
    if kind in ("json", "tags", "metrics", "strings"):
        found = _write_structure(value)
        return _RESHAPED[kind](found) if kind in _RESHAPED and isinstance(found, dict) else found
    if kind in ("words", "parents"):
        if not isinstance(value, Literal):
            return make_function("Split", to_native(value), ",") if kind == "words" else to_native(value)
        words: list[JsonValue] = [word.strip() for word in as_text(value.value).split(",") if word.strip()]
        return words if kind == "words" else [{"HyperParameterTuningJobName": word} for word in words]
    if isinstance(value, Literal) and kind == "text":
        return as_text(value.value)
    # A number among the request's texts is read by the API's model.
    return to_native(value, is_number=kind in ("int", "float") and isinstance(value, StepOutput))


def _write_structure(value: Value) -> JsonValue:
    """A flag that is JSON text."""
    if isinstance(value, Literal):
        return _parse(value.value) if isinstance(value.value, str) else value.value
    if isinstance(value, Text):
        return _fill(_parse(value.text), value.inputs)
    return make_function("ParseJson", to_native(value))


def _parse(text: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(text))
    except ValueError:
        raise NotCarriedError(f"a flag should be JSON, and is {text[:80]!r}") from None


def _fill(value: JsonValue, inputs: Mapping[str, Value]) -> JsonValue:
    if isinstance(value, dict):
        return {key: _fill(item, inputs) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, inputs) for item in value]
    return to_native(make_text(value, inputs)) if isinstance(value, str) else value


_RESHAPED: dict[str, Callable[[dict[str, Any]], JsonValue]] = {
    "tags": lambda found: [{"Key": key, "Value": as_text(one)} for key, one in found.items()],
    "metrics": lambda found: [{"Name": key, "Regex": one} for key, one in found.items()],
    "strings": lambda found: {key: one if isinstance(one, (str, dict)) else as_text(one) for key, one in found.items()},
}


def _write_member(value: Value, shape: Shape) -> JsonValue:
    """A flag of version 2: structures are JSON text whose members begin with a small letter."""
    if shape.type_name in ("structure", "list", "map"):
        return _fit(_write_structure(value), shape)
    return as_text(value.value) if isinstance(value, Literal) else to_native(value)


def _fit(value: JsonValue, shape: Shape) -> JsonValue:
    """A value with the API's own names for its members: ``s3URI`` is ``S3Uri``."""
    if isinstance(value, dict) and shape.type_name == "structure" and not ("Get" in value or "Std:Function" in value):
        known = {name.lower(): name for name in shape.members}
        named = {known.get(key.lower(), key): item for key, item in value.items()}
        return {key: _fit(item, shape.members[key]) if key in shape.members else item for key, item in named.items()}
    if isinstance(value, dict) and shape.type_name == "map" and shape.value is not None:
        return {key: _fit(item, shape.value) for key, item in value.items()}
    if isinstance(value, list) and shape.type_name == "list" and shape.member is not None:
        return [_fit(item, shape.member) for item in value]
    return value


def _put(request: JsonObject, path: list[str], value: JsonValue) -> None:
    holder: Any = request
    for part, following in pairwise(path):
        inner: Any = [] if following.isdigit() else {}
        if isinstance(holder, list):
            while len(holder) <= int(part):
                holder.append(None)
            holder[int(part)] = holder[int(part)] or inner
            holder = holder[int(part)]
        else:
            holder = holder.setdefault(part, inner)
    holder[path[-1]] = value


def _tidy(request: JsonObject, noun: str) -> None:
    """What the components do with a request before they send it."""
    for training in (request, request.get("TrainingJobDefinition")):
        algorithm = training.get("AlgorithmSpecification") if isinstance(training, dict) else None
        if isinstance(algorithm, dict):
            algorithm.setdefault("TrainingInputMode", "File")
        if isinstance(training, dict) and str(training.get("EnableManagedSpotTraining", "")).lower() == "false":
            # A waiting time and checkpoints are for spot instances only.
            training.pop("CheckpointConfig", None)
            condition = training.get("StoppingCondition")
            if isinstance(condition, dict):
                condition.pop("MaxWaitTimeInSeconds", None)
    if noun == "Model" and isinstance(request.get("Containers"), list):
        primary = request.pop("PrimaryContainer", None)
        request["Containers"] = [*([primary] if primary else []), *cast("list[JsonValue]", request["Containers"])]
    if (
        noun == "Model"
        and isinstance(primary := request.get("PrimaryContainer"), dict)
        and "ModelPackageName" in primary
    ):
        primary.pop("Image", None)
        primary.pop("ModelDataUrl", None)
    variants = request.get("ProductionVariants")
    if isinstance(variants, list):
        request["ProductionVariants"] = [
            {"VariantName": f"variant-name-{number}", **one}
            for number, one in enumerate(variants, 1)
            if isinstance(one, dict) and one.get("ModelName")
        ]
