"""Makes the Processing step that runs a component's container, and the description that its launcher reads.

A command that needs nothing of KFP's launcher is the container's own. Any other runs by :mod:`component_launcher`,
which finds its description beside it: an argument of a job holds 256 characters, and code is longer.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.migrate.kubeflow.cluster_objects import JOB_NAME, ClusterPart
from airflow_sm_pipelines.migrate.kubeflow.component_launcher import INPUTS, OUTPUT, WORK, read_rule
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
    RunValue,
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
    :param cluster: what the task is given by its cluster.
    """

    parameters: Mapping[str, tuple[str, Value]]
    artifacts: Mapping[str, Value]
    instance_type: JsonValue
    folders: tuple[JsonValue, ...] = ()
    retries: tuple[int, float, float, float] = (0, 0, 1, 0)
    is_cached: bool = False
    cluster: ClusterPart = field(default_factory=ClusterPart)


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
    chosen = replace(
        container,
        command=tuple(_choose_words(container.command, call)),
        args=tuple(_choose_words(container.args, call)),
    )
    plain = _make_plain(chosen, call)
    if plain is not None:
        return MadeStep(_make_node(name, source, call, plain))
    if not container.command:
        why = "its image's own entrypoint runs, which nothing outside of the image can start: write it as the command"
        raise NotCarriedError(why)
    is_shell = _WITHOUT_PYTHON.match(container.image) is not None
    writer = _ShellWriter(name) if is_shell else _Writer(name)
    component = writer.describe(chosen if is_shell else container, call)
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
        "ContainerEntrypoint": (
            ["sh", f"{INPUTS}/component/component.sh"]
            if is_shell
            else ["python3", f"{INPUTS}/component/component_launcher.py"]
        ),
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


def _choose_words(words: Sequence[JsonValue], call: ComponentCall) -> list[JsonValue]:
    """The words of a command, with KFP's ``IfPresent`` and ``Concat`` decided by what the task is given."""
    found: list[JsonValue] = []
    for word in words:
        rule = read_rule(word)
        if rule is None:
            found.append(word)
        elif "Concat" in rule:
            found.append("".join(map(as_text, _choose_words(rule["Concat"], call))))
        else:
            name = rule["IfPresent"]["InputName"]
            value = call.artifacts.get(name) or call.parameters.get(name, ("", Absent("")))[1]
            chosen = rule["IfPresent"].get("Else" if isinstance(value, Absent) else "Then") or []
            found += _choose_words(chosen if isinstance(chosen, list) else [chosen], call)
    return found


def _make_node(
    name: str, source: str, call: ComponentCall, request: JsonObject, members: JsonObject | None = None
) -> PipelineStepNode:
    size = 30 + call.cluster.gibibytes
    cluster: JsonObject = {"InstanceType": call.instance_type, "InstanceCount": 1, "VolumeSizeInGB": size}
    arguments: JsonObject = {"ProcessingResources": {"ClusterConfig": cluster}, **request}
    if call.cluster.timeout_seconds is not None:
        arguments["StoppingCondition"] = {"MaxRuntimeInSeconds": call.cluster.timeout_seconds}
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
    if call.cluster.entries or call.cluster.folders:
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
            JOB_NAME: {"Get": "Execution.ProcessingJobName"},
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
            "folders": list(call.cluster.folders),
            "entries": [
                {
                    "kind": one.kind,
                    "name": self._write(one.name),
                    "env": dict(one.env),
                    "folder": one.folder,
                    "is_optional": one.is_optional,
                }
                for one in call.cluster.entries
            ],
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
        filled: JsonObject = {}
        if value.inputs:
            given = {name: self._write(one) for name, one in value.inputs.items()}
            filled = {"filled": {"structure": dict(value.metadata), "inputs": cast("JsonObject", given)}}
        metadata = {name: {"literal": one} for name, one in value.metadata.items()}
        return {
            "imported": self._write(value.uri),
            "schema": value.schema,
            "metadata": {} if filled else cast("JsonObject", metadata),
            **filled,
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


# --- images without Python -------------------------------------------------------------------------------------------

_SHELL_PLACEHOLDER = re.compile(r"(\{\{\$.*?\}\})")
_SHELL_REFERENCE = re.compile(r"\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\['([^']*)'\](?:\.(\w+))?\}\}")
_NUMBER = "^-?(0|[1-9][0-9]*)([.][0-9]+)?$"
_SHELL_HEAD = f"""\
set -eu
escape() {{
  tr -d '\\r' < "$1" | sed -e 's/\\\\/\\\\\\\\/g' -e 's/"/\\\\"/g' |
    awk 'NR > 1 {{printf "\\\\n"}} {{gsub(/\\t/, "\\\\t"); printf "%s", $0}}'
}}
text() {{ mkdir -p {OUTPUT}/text; printf '%s' "$(cat "$2")" > "{OUTPUT}/text/$1"; }}
mkdir -p {WORK}/outputs {OUTPUT}/artifacts
"""


class _ShellWriter(_Writer):
    """Writes a component as a shell script, which reads and gives texts and files only."""

    def describe(self, container: ComponentContainer, call: ComponentCall) -> JsonObject:
        """The script that does what the launcher does."""
        self._container, self._call = container, call
        if set(container.outputs.values()) - {"STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE"} or container.input_paths:
            raise self._fault("gives or takes what")
        if call.cluster.entries:
            raise self._fault("is given secrets or config maps, which")
        words = " ".join(self._write_word(word) for word in (*container.command, *container.args))
        exports = [f"export {name}={self._write_word(text)}" for name, text in container.env.items()]
        taken = [f'    {name}=*) {name.replace("-", "_")}="${{word#*=}}" ;;' for name in ("base", *self.arguments)]
        count, seconds, _, _ = call.retries
        lines = [
            _SHELL_HEAD + 'for word in "$@"; do',
            '  case "$word" in',
            *taken,
            "  esac",
            "done",
            *self._staged,
            *exports,
            *(f"mkdir -p {quote(folder)}" for folder in call.cluster.folders),
            *(f"mkdir -p {quote(self._find_folder(name))}" for name in container.outputs),
            f"left={count}",
            f'until {words}; do [ "$left" -gt 0 ] || exit 1; left=$((left - 1)); sleep {seconds:g}; done',
            *self._write_outputs(),
        ]
        return {"shell": "\n".join([*lines, ""])}

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._staged: list[str] = []

    def _fault(self, what: str) -> NotCarriedError:
        old = self._container.image
        why = f"its image {old} has no Python 3, and it {what} only the launcher knows: give one, --image {old}=IMAGE"
        return NotCarriedError(why)

    def _find_file(self, name: str) -> str:
        return self._container.output_paths.get(name) or f"{WORK}/outputs/{name}"

    def _find_folder(self, name: str) -> str:
        return self._find_file(name).rpartition("/")[0] or "/"

    def _write_word(self, word: JsonValue) -> str:
        text = as_text(word)
        if _RULE.match(text) or "{{$}}" in text:
            raise self._fault("reads what")
        parts = (self._write_part(part) for part in _SHELL_PLACEHOLDER.split(text) if part)
        return "".join(parts) or "''"

    def _write_part(self, part: str) -> str:
        found = _SHELL_REFERENCE.fullmatch(part)
        if found is None:
            if part.startswith("{{$"):
                raise self._fault("reads what")
            return quote(part)
        side, kind, name, member = found.groups()
        if side == "inputs" and kind == "parameters":
            return self._write_value(self._call.parameters.get(name, ("", Absent("it is not given")))[1])
        if kind == "parameters":
            return quote(self._find_file(name))
        if side == "outputs":
            return quote(f"{OUTPUT}/artifacts/{name}") if member == "path" else f'"$base"/artifacts/{quote(name)}'
        value = self._call.artifacts.get(name)
        if member == "uri" and isinstance(value, Imported):
            return self._write_value(value.uri)
        if member != "path" or not isinstance(value, StepOutput):
            raise self._fault("reads what")
        return self._stage(value, "artifacts", 'file="{0}/{1}"; [ -f "$file" ] || file="{0}"; {2}="$file"')

    def _write_value(self, value: Value) -> str:
        if isinstance(value, Literal):
            return quote(as_text(value.value))
        if isinstance(value, Text):
            return "".join(
                self._write_part(part)
                if part.startswith("{{$") and not PLACEHOLDER.fullmatch(part)
                else self._write_value(value.inputs[PLACEHOLDER.fullmatch(part)[1]])  # type: ignore[index]
                if PLACEHOLDER.fullmatch(part)
                else quote(part)
                for part in _SHELL_PLACEHOLDER.split(value.text)
                if part
            )
        if isinstance(value, StepOutput):
            return self._stage(value, "text", '{2}="$(cat "{0}/{1}")"')
        if isinstance(value, Absent):
            return "''"
        if not isinstance(value, RunValue):
            raise self._fault("reads what")
        return f'"${self._add_argument(dict(value.expression)).replace("-", "_")}"'

    def _stage(self, value: StepOutput, kind: str, line: str) -> str:
        """The variable that has an output of another step; a line of the script fills it."""
        uri = {"Std:Join": {"On": "/", "Values": [get_base(value.node), kind, value.key]}}
        name = self._add_input(cast("JsonValue", uri))
        variable = name.replace("-", "_")
        text = line.format(INPUTS / name, value.key, variable)
        if text not in self._staged:
            self._staged.append(text)
        return f'"${variable}"'

    def _write_outputs(self) -> list[str]:
        """The lines that write what the command has given, as the launcher does."""
        lines = ["values=; numbers="]
        for name, kind in self._container.outputs.items():
            file = quote(self._find_file(name))
            value = f'\\"$(escape {file})\\"' if kind == "STRING" else f"$(cat {file})"
            lines += [
                f"if [ -f {file} ]; then",
                f"  text {quote(name)} {file}",
                f'  values="$values${{values:+, }}\\"{name}\\": {value}"',
                f"  if printf '%s' \"$(cat {file})\" | tr '\\n' ' ' | grep -qE '{_NUMBER}'; then",
                f'    numbers="$numbers${{numbers:+, }}\\"{name}\\": $(cat {file})"',
                "  fi",
                "fi",
            ]
        artifacts = []
        for name, schema in self._container.artifacts.items():
            path = self._container.output_paths.get(name)
            if path:
                lines.append(f"if [ -e {quote(path)} ]; then cp -r {quote(path)} {OUTPUT}/artifacts/{quote(name)}; fi")
            given = f'"name": "{name}", "type": {{"schemaTitle": "{schema}"}}, "uri": "$base/artifacts/{name}"'
            artifacts.append(f'"{name}": [{{{given}, "metadata": {{}}}}]')
        shown = ", ".join(artifacts).replace('"', '\\"')
        whole = f'{{\\"task\\": \\"{self._name}\\", \\"base\\": \\"$base\\", \\"values\\": {{$values}}, '
        whole += f'\\"numbers\\": {{$numbers}}, \\"items\\": {{}}, \\"artifacts\\": {{{shown}}}}}'
        return [*lines, f"printf '%s' \"{whole}\" > {OUTPUT}/outputs.json"]


# --- executors --------------------------------------------------------------------------------------------------------

_GOOGLE = re.compile(
    r"google-cloud-pipeline-components|gcr\.io/ml-pipeline/(?!.*kfp)|docker\.pkg\.dev/vertex-ai|google_cloud_pipeline"
)
_VOLUMES = re.compile(r"argostub/(?:create|delete)pvc")


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
