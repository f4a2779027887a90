"""Makes the Processing step that runs a component's container, and the description that its launcher reads.

A command that needs nothing of KFP's launcher is the container's own. Any other runs by :mod:`component_launcher`,
which finds its description beside it: an argument of a job holds 256 characters, and code is longer.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.migrate.kubeflow.component_launcher import INPUTS, OUTPUT
from airflow_sm_pipelines.migrate.kubeflow.input_values import (
    FACTS,
    PLACEHOLDER,
    Absent,
    Collected,
    Imported,
    ListOf,
    Literal,
    NotCarriedError,
    OneOf,
    StepOutput,
    Text,
    ValueMember,
    as_text,
    get_base,
    make_text,
    to_native,
)
from airflow_sm_pipelines.migrate.workflow import PipelineStepNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import Component

MAX_ARGUMENT = 256
"""The characters of an argument of a processing job; source: the API's shape ContainerArgument."""

_MAX_ARGUMENTS = 100
_MAX_INPUTS = 10
_WITHOUT_PYTHON = re.compile(r"(?:.*/)?(?:alpine|bash|busybox|alpine-curl|curl|jq|debian|ubuntu)(?:[:@].*)?\Z")
_ANY_PLACEHOLDER = re.compile(r"\{\{\$")
_RULE = re.compile(r'^\s*\{\s*"(?:IfPresent|Concat)"')

UPLOAD = "Upload-components"
"""The name of the task that uploads the components' descriptions, and tells where outputs go."""


@dataclass(frozen=True, slots=True)
class ComponentContainer:
    """A component's container.

    :param outputs: the types of its output parameters.
    :param artifacts: the types of its output artifacts.
    :param input_paths: where the command reads inputs, if the source fixes that.
    :param output_paths: where the command leaves outputs, if the source fixes that.
    """

    image: str
    command: tuple[JsonValue, ...] = ()
    args: tuple[JsonValue, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    input_paths: Mapping[str, str] = field(default_factory=dict)
    output_paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComponentCall:
    """What a task gives to its container.

    :param parameters: by name, the type and the value.
    :param artifacts: by name.
    :param instance_type: an expression or a name.
    :param folders: what stands in the outputs' address behind the step's name: the numbers of iterations.
    :param retries: how often, after how many seconds, by what factor longer each time, and at most how long.
    """

    parameters: Mapping[str, tuple[str, Value]]
    artifacts: Mapping[str, Value]
    instance_type: JsonValue
    folders: tuple[JsonValue, ...] = ()
    retries: tuple[int, float, float, float] = (0, 0, 1, 0)
    timeout_seconds: int | None = None
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class MadeStep:
    """A step, and the description of its component; None where the container runs by itself."""

    node: PipelineStepNode
    component: JsonObject | None = None
    key: str = ""


def get_run_folder(node: str, folders: Sequence[JsonValue] = ()) -> JsonObject:
    """The address of what a step gives in one run."""
    values = [{"Get": f"Tasks.{UPLOAD}.root"}, "runs", {"Get": "Execution.PipelineExecutionId"}, node, *folders]
    return {"Std:Join": {"On": "/", "Values": cast("list[JsonValue]", values)}}


def make_step(name: str, source: str, container: ComponentContainer, call: ComponentCall) -> MadeStep:
    """The step that runs a container.

    :raises NotCarriedError: no step can run it.
    """
    plain = _make_plain(container, call)
    if plain is not None:
        return MadeStep(_make_node(name, source, call, plain))
    if not container.command:
        why = "its image's own entrypoint runs, which nothing outside of the image can start: write it as the command"
        raise NotCarriedError(why)
    if _WITHOUT_PYTHON.match(container.image):
        old = container.image
        why = f"its image {old} has no Python 3, which the launcher needs: give one that has, --image {old}=IMAGE"
        raise NotCarriedError(why)
    writer = _Writer(name)
    component = writer.describe(container, call)
    key = f"{name}-{hashlib.sha256(json.dumps(component, sort_keys=True).encode()).hexdigest()[:12]}"
    values = [{"Get": f"Tasks.{UPLOAD}.root"}, "components", key]
    code: JsonObject = {"Std:Join": {"On": "/", "Values": cast("list[JsonValue]", values)}}
    inputs = [_make_input("component", code), *(_make_input(one, uri) for one, uri in writer.inputs.items())]
    base = get_run_folder(name, call.folders)
    arguments: list[JsonValue] = [_join_argument("base", base)]
    arguments += [_join_argument(one, value) for one, value in writer.arguments.items()]
    if len(inputs) > _MAX_INPUTS or len(arguments) > _MAX_ARGUMENTS:
        raise NotCarriedError("it reads from more than 9 other tasks, and a processing job has 10 inputs at most")
    output: JsonObject = {
        "OutputName": "kfp",
        "S3Output": {"S3Uri": base, "LocalPath": str(OUTPUT), "S3UploadMode": "EndOfJob"},
    }
    specification: JsonObject = {
        "ImageUri": container.image,
        "ContainerEntrypoint": ["python3", f"{INPUTS}/component/component_launcher.py"],
        "ContainerArguments": arguments,
    }
    request: JsonObject = {
        "AppSpecification": specification,
        "ProcessingInputs": cast("list[JsonValue]", inputs),
        "ProcessingOutputConfig": {"Outputs": [output]},
    }
    outputs = {"PropertyFileName": "outputs", "OutputName": "kfp", "FilePath": "outputs.json"}
    members: JsonObject = {"PropertyFiles": [cast("JsonValue", outputs)]}
    return MadeStep(_make_node(name, source, call, request, members), component, key)


def _make_node(
    name: str, source: str, call: ComponentCall, request: JsonObject, members: JsonObject | None = None
) -> PipelineStepNode:
    cluster: JsonObject = {"InstanceType": call.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 30}
    arguments: JsonObject = {"ProcessingResources": {"ClusterConfig": cluster}, **request}
    if call.timeout_seconds is not None:
        arguments["StoppingCondition"] = {"MaxRuntimeInSeconds": call.timeout_seconds}
    cache: JsonObject = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P365D"}} if call.is_cached else {}
    return PipelineStepNode(name, source, "Processing", arguments, members={**(members or {}), **cache})


def _make_input(name: str, uri: JsonValue) -> JsonObject:
    s3_input: JsonObject = {
        "S3Uri": uri,
        "LocalPath": f"{INPUTS}/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": name, "S3Input": s3_input}


def _join_argument(name: str, value: JsonValue) -> JsonObject:
    parts = value["Std:Join"] if isinstance(value, dict) and "Std:Join" in value else None
    if isinstance(parts, dict) and parts.get("On") == "" and isinstance(parts["Values"], list):
        return {"Std:Join": {"On": "", "Values": [f"{name}=", *parts["Values"]]}}
    return {"Std:Join": {"On": "", "Values": [f"{name}=", value]}}


# --- a container that needs no launcher ------------------------------------------------------------------------------


def _make_plain(container: ComponentContainer, call: ComponentCall) -> JsonObject | None:
    """The request for a container that reads and gives nothing but texts on its command line; None for another one."""
    if container.outputs or container.artifacts or call.artifacts or container.input_paths or call.retries[0]:
        return None
    inputs = {name: value for name, (_, value) in call.parameters.items()}
    try:
        command, args = ([_fill(word, inputs) for word in part] for part in (container.command, container.args))
        environment = {name: _fill(text, inputs) for name, text in container.env.items()}
    except NotCarriedError:
        return None
    if max(len(command), len(args), len(environment)) > _MAX_ARGUMENTS:
        return None
    specification: JsonObject = {"ImageUri": container.image}
    if command:
        specification["ContainerEntrypoint"] = command
    if args:
        specification["ContainerArguments"] = args
    return {"AppSpecification": specification, **({"Environment": environment} if environment else {})}


def _fill(word: JsonValue, inputs: Mapping[str, Value]) -> JsonValue:
    text = as_text(word)
    if _RULE.match(text):
        raise NotCarriedError("a word depends on an input")
    missing = {name: Absent(f"there is no input {name!r}") for name in PLACEHOLDER.findall(text)}
    value = to_native(make_text(text, {**missing, **inputs}))
    if isinstance(value, str):
        if _ANY_PLACEHOLDER.search(value) or len(value) > MAX_ARGUMENT or not value:
            raise NotCarriedError("an argument is longer than a job allows, or has another placeholder")
        return value
    if not isinstance(value, dict):
        return as_text(value)
    if "Std:First" in value or _ANY_PLACEHOLDER.search(json.dumps(value)):
        raise NotCarriedError("an argument has another placeholder")
    return value if "Std:Join" in value else {"Std:Join": {"On": "", "Values": [value]}}


# --- a component's description ---------------------------------------------------------------------------------------


class _Writer:
    """Writes the description of a component, and notes what the job must be given.

    :ivar arguments: the values that the launcher is given as arguments, by their names.
    :ivar inputs: the addresses that are staged, by the names of the inputs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.arguments: dict[str, JsonValue] = {}
        self.inputs: dict[str, JsonValue] = {}
        self._with_artifacts = False

    def describe(self, container: ComponentContainer, call: ComponentCall) -> JsonObject:
        """The description; what is given at run time is named in it."""
        # Artifacts first: a step whose artifacts are staged has its parameters staged as well.
        artifacts: dict[str, JsonValue] = {
            name: self._write(value, is_artifact=True) for name, value in call.artifacts.items()
        }
        parameters: dict[str, JsonValue] = {
            name: {"type": kind, "value": self._write(value)}
            for name, (kind, value) in call.parameters.items()
            if not isinstance(value, Absent)
        }
        words = json.dumps([list(container.command), list(container.args), dict(container.env)])
        facts: dict[str, JsonValue] = {
            **FACTS,
            "{{$.pipeline_task_name}}": self._name,
            "{{$.pipeline_task_uuid}}": self._name,
            "{{$.pipeline_root}}": {"Get": f"Tasks.{UPLOAD}.root"},
        }
        known = {name: self._write_fact(value) for name, value in facts.items() if name in words}
        count, seconds, factor, longest = call.retries
        return {
            "task": self._name,
            "command": list(container.command),
            "args": list(container.args),
            "env": dict(container.env),
            "facts": known,
            "parameters": parameters,
            "artifacts": artifacts,
            "outputs": dict(container.outputs),
            "output_artifacts": dict(container.artifacts),
            "input_paths": dict(container.input_paths),
            "output_paths": dict(container.output_paths),
            "retries": {"count": count, "seconds": seconds, "factor": factor, "max_seconds": longest},
        }

    def _write_fact(self, value: JsonValue) -> JsonValue:
        return {"argument": self._add_argument(value)} if isinstance(value, dict) else {"literal": value}

    def _write(self, value: Value, *, is_artifact: bool = False) -> JsonObject:
        if isinstance(value, Literal):
            return {"literal": value.value}
        if isinstance(value, StepOutput):
            return self._write_output((value,), is_artifact=is_artifact)
        if isinstance(value, OneOf):
            return self._write_one_of(value, is_artifact=is_artifact)
        if isinstance(value, ListOf):
            return {"list": [self._write(one, is_artifact=is_artifact) for one in value.values]}
        if isinstance(value, Collected):
            return {"collected": self._add_input(value.folder), "key": value.key}
        if isinstance(value, Text):
            return {"text": value.text, "inputs": {name: self._write(one) for name, one in value.inputs.items()}}
        if isinstance(value, ValueMember):
            return {"member": value.name, "holder": self._write(value.holder)}
        if isinstance(value, Imported):
            return self._write_imported(value)
        if isinstance(value, Absent):
            raise NotCarriedError(value.why)
        return {"argument": self._add_argument(dict(value.expression))}

    def _write_one_of(self, value: OneOf, *, is_artifact: bool) -> JsonObject:
        steps = [one for one in value.values if isinstance(one, StepOutput)]
        if len(steps) != len(value.values):
            raise NotCarriedError("it is given what one of several branches gave, and not each gives it by a step")
        return self._write_output(tuple(steps), is_artifact=is_artifact)

    def _write_output(self, steps: tuple[StepOutput, ...], *, is_artifact: bool) -> JsonObject:
        bases = [get_base(step.node) for step in steps]
        base: JsonObject = bases[0] if len(bases) == 1 else {"Std:First": cast("list[JsonValue]", bases)}
        known = next((name for name, uri in self.inputs.items() if uri == base), None)
        if known is None and not is_artifact and len(bases) == 1:
            # Its parameters are in one file; its artifacts may be large.
            base = {"Std:Join": {"On": "/", "Values": [base, "outputs.json"]}}
        return {"input": known or self._add_input(base), "keys": {step.node: step.key for step in steps}}

    def _write_imported(self, value: Imported) -> JsonObject:
        uri = to_native(value.uri)
        if isinstance(uri, str) and not uri.startswith("s3://"):
            raise NotCarriedError(f"it reads {uri}, and a processing job stages from S3 only: copy it there")
        metadata = {name: {"literal": one} for name, one in value.metadata.items()}
        return {
            "imported": self._write(value.uri),
            "schema": value.schema,
            "metadata": cast("JsonObject", metadata),
            "input": self._add_input(uri),
        }

    def _add_argument(self, value: JsonValue) -> str:
        known = next((name for name, one in self.arguments.items() if one == value), None)
        if known is not None:
            return known
        name = f"value-{len(self.arguments) + 1}"
        self.arguments[name] = value
        return name

    def _add_input(self, uri: JsonValue) -> str:
        known = next((name for name, one in self.inputs.items() if one == uri), None)
        if known is not None:
            return known
        name = f"input-{len(self.inputs) + 1}"
        self.inputs[name] = uri
        return name


# --- executors --------------------------------------------------------------------------------------------------------

_GOOGLE = re.compile(
    r"google-cloud-pipeline-components|gcr\.io/ml-pipeline/(?!.*kfp)|docker\.pkg\.dev/vertex-ai|google_cloud_pipeline"
)
_VOLUMES = re.compile(r"argostub/(?:create|delete)pvc")
_CLUSTER_ONLY = {
    "configMapAsEnv": "a config map",
    "configMapAsVolume": "a config map",
    "fieldPathAsEnv": "a field of its pod",
    "genericEphemeralVolume": "a volume of the cluster",
    "initContainers": "containers that run before it",
    "pvcMount": "a volume of the cluster, which tasks share",
    "secretAsEnv": "a secret of the cluster",
    "secretAsVolume": "a secret of the cluster",
}
_INSTANCES = (
    (2, 8, "ml.m5.large"),
    (4, 16, "ml.m5.xlarge"),
    (4, 32, "ml.r5.xlarge"),
    (8, 32, "ml.m5.2xlarge"),
    (8, 64, "ml.r5.2xlarge"),
    (16, 64, "ml.m5.4xlarge"),
    (16, 128, "ml.r5.4xlarge"),
    (48, 192, "ml.m5.12xlarge"),
    (48, 384, "ml.r5.12xlarge"),
    (96, 384, "ml.m5.24xlarge"),
    (96, 768, "ml.r5.24xlarge"),
)
"""Processing instances by CPUs and gibibytes of memory, the cheaper first."""

_ACCELERATED = ((1, "ml.g4dn.xlarge"), (4, "ml.g4dn.12xlarge"), (8, "ml.p3.16xlarge"))
_UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def refuse_foreign(executor: Mapping[str, Any], component: str) -> None:
    """Refuse what only another cloud runs.

    :raises NotCarriedError: by the component's name.
    """
    container = executor.get("container")
    image = str(container.get("image")) if isinstance(container, dict) else ""
    called = component.removeprefix("comp-")
    if "unsupported" in executor:
        raise NotCarriedError(str(executor["unsupported"]))
    if _GOOGLE.search(image):
        raise NotCarriedError(f"{called} is a component of Google's ({image}) and runs on Google Cloud only")
    if _VOLUMES.search(image):
        raise NotCarriedError(f"{called} makes or deletes a volume of the cluster, and jobs share no volume")
    if isinstance(container, dict) and image:
        return
    kind = next(iter(executor), "nothing")
    raise NotCarriedError(f"{called} has an executor of the kind {kind!r}, which only Vertex AI runs")


def read_container(component: Component, images: Mapping[str, str]) -> ComponentContainer:
    """A component's container.

    :param images: the images to use in place of others.
    """
    body: Any = (component.executor or {})["container"]
    env = {
        str(one["name"]): str(one.get("value", ""))
        for one in body.get("env") or []
        if isinstance(one, dict) and "name" in one
    }
    image = str(body["image"])
    return ComponentContainer(
        images.get(image, image),
        tuple(_read_words(body.get("command"))),
        tuple(_read_words(body.get("args"))),
        env,
        component.outputs,
        component.output_artifacts,
        body.get("inputPaths") or {},
        body.get("outputPaths") or {},
    )


def _read_words(words: Any) -> list[Any]:
    return words if isinstance(words, list) else [] if words is None else [words]


def refuse_cluster(platform: Mapping[str, Any], executor: str) -> tuple[tuple[str, ...], int | None]:
    """What the platform's document asks of Kubernetes for an executor.

    :return: the keys that are not used, and the task's longest time in seconds.
    :raises NotCarriedError: it needs something of the cluster.
    """
    spec = platform.get("deploymentSpec")
    executors = spec.get("executors") if isinstance(spec, dict) else None
    asked = executors.get(executor) if isinstance(executors, dict) else None
    if not isinstance(asked, dict):
        return (), None
    needed = next((key for key in asked if key in _CLUSTER_ONLY), None)
    if needed is not None:
        raise NotCarriedError(f"it is given {_CLUSTER_ONLY[needed]} ({needed}), which no job has")
    seconds = asked.get("activeDeadlineSeconds")
    lost = tuple(f"platforms.kubernetes.{key}" for key in sorted(asked) if key != "activeDeadlineSeconds")
    return lost, int(seconds) if isinstance(seconds, (int, float, str)) and str(seconds).isdigit() else None


def choose_instance(executor: Mapping[str, Any]) -> str | None:
    """The instance type for what a container asks for; None if it asks for nothing."""
    container = executor.get("container")
    resources = container.get("resources") if isinstance(container, dict) else None
    if not isinstance(resources, dict) or not resources:
        return None
    accelerator = resources.get("accelerator")
    if isinstance(accelerator, dict):
        count = _read_quantity(accelerator.get("resourceCount") or accelerator.get("count") or 1)
        return next((name for most, name in _ACCELERATED if count <= most), _ACCELERATED[-1][1])
    cpus = max(_read_quantity(resources.get(key)) for key in _CPU_KEYS)
    memory = max(_read_memory(resources.get(key)) for key in _MEMORY_KEYS)
    return next((name for most, size, name in _INSTANCES if cpus <= most and memory <= size), _INSTANCES[-1][2])


_CPU_KEYS = ("cpuLimit", "cpuRequest", "resourceCpuLimit", "resourceCpuRequest")
_MEMORY_KEYS = ("memoryLimit", "memoryRequest", "resourceMemoryLimit", "resourceMemoryRequest")


def _read_quantity(value: Any) -> float:
    """A number as Kubernetes writes it: ``500m``, ``4Gi``; 0 for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGT]i|[kMGT])?", str(value if value is not None else "").strip())
    if found is None:
        return 0.0
    return float(found[1]) / 1000 if found[2] == "m" else float(found[1]) * _UNITS[found[2] or ""]


def _read_memory(value: Any) -> float:
    """Gibibytes. A bare number is gigabytes in KFP's older files."""
    number = _read_quantity(value)
    return number / 2**30 if number > 2**20 else number


def read_retries(policy: JsonObject) -> tuple[int, float, float, float]:
    """How often a command is started again, after how many seconds, by what factor longer, and at most how long."""
    count = policy.get("maxRetryCount")
    factor = policy.get("backoffFactor")
    return (
        count if isinstance(count, int) else 0,
        _read_seconds(policy.get("backoffDuration"), 0),
        float(factor) if isinstance(factor, (int, float)) else 2.0,
        _read_seconds(policy.get("backoffMaxDuration"), 3600),
    )


def _read_seconds(value: Any, otherwise: float) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s?", str(value if value is not None else ""))
    return float(found[1]) if found else otherwise
