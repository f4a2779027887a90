"""Turns a Workflow of Argo, as KFP 1 compiled one, into KFP's intermediate representation, which has one reader.

A template with a dag becomes a component with a graph, one with a container a component with an executor. References
such as ``{{inputs.parameters.x}}`` become those of the intermediate representation.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.kubeflow.sagemaker_components import is_sagemaker
from airflow_sm_pipelines.migrate.kubeflow.trigger_conditions import convert_when

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_files import HeldPipeline

_REFERENCE = re.compile(
    r"\{\{\s*(?:(?P<own>inputs|workflow)\.parameters\.(?P<name>[\w.-]+)"
    r"|tasks\.(?P<task>[\w-]+)\.outputs\.parameters\.(?P<output>[\w-]+)"
    r"|(?P<item>item)(?:\.(?P<field>[\w-]+))?)\s*\}\}"
)
_ARTIFACT = re.compile(
    r"\{\{\s*(?:inputs\.artifacts\.(?P<own>[\w.-]+)|tasks\.(?P<task>[\w-]+)\.outputs\.artifacts\.(?P<output>[\w.-]+))\s*\}\}"
)
_FACTS = {"{{workflow.name}}": "{{$.pipeline_job_name}}", "{{workflow.uid}}": "{{$.pipeline_job_uuid}}"}
_FACTS |= {"{{pod.name}}": "{{$.pipeline_task_name}}"}
_OTHER = re.compile(r"\{\{\s*(?:workflow|pod|steps|tasks|node)\.[^}]*\}\}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?\Z")


def convert_workflow(held: HeldPipeline) -> JsonObject:
    """The intermediate representation of a workflow.

    :raises MigrationError: with the place, at what Argo would refuse.
    """
    return _Converter(held).convert()


def _parameter(name: str) -> str:
    return f"{{{{$.inputs.parameters['{name}']}}}}"


class _Converter:
    def __init__(self, held: HeldPipeline) -> None:
        self._held = held
        spec: Any = held.document.get("spec")
        self._path: JsonPath = ("spec",)
        for key in ("workflowSpec",):
            if isinstance(spec, dict) and isinstance(spec.get(key), dict):
                spec, self._path = spec[key], ("spec", key)
        if not isinstance(spec, dict) or not isinstance(spec.get("templates"), list):
            raise self._fault((), "this Workflow has no templates.")
        self._spec: dict[str, Any] = spec
        self._templates: dict[str, tuple[dict[str, Any], JsonPath]] = {}
        for index, one in enumerate(spec["templates"]):
            place = (*self._path, "templates", index)
            if not isinstance(one, dict) or not isinstance(one.get("name"), str):
                raise self._fault(place, "this template has no name.")
            self._templates[one["name"]] = (one, place)
        self._text = json.dumps(held.document)
        self._components: dict[str, JsonValue] = {}
        self._executors: dict[str, JsonValue] = {}
        self._defaults = {str(one["name"]): one.get("value") for one in _list(spec.get("arguments"), "parameters")}

    def _fault(self, path: JsonPath, problem: str) -> MigrationError:
        return MigrationError(f"{self._held.locate(path)}: {problem}")

    def convert(self) -> JsonObject:
        if "system-dag-driver" in self._templates:
            raise self._fault((), "KFP 2's backend made this Workflow of another file: give the pipeline's own YAML.")
        entry = str(self._spec.get("entrypoint"))
        if entry not in self._templates:
            known = suggest(entry, self._templates)
            raise self._fault((*self._path, "entrypoint"), f"there is no template {entry!r}.{known}")
        for name, (template, place) in self._templates.items():
            self._convert_template(name, template, place)
        definitions: JsonObject = {
            name: {"parameterType": "STRING", **({} if value is None else {"defaultValue": _as_text(value)})}
            for name, value in self._defaults.items()
        }
        info: Any = self._held.document.get("metadata")
        return {
            "pipelineInfo": {"name": self._held.name, "description": _read_description(info)},
            "components": self._components,
            "deploymentSpec": {"executors": self._executors},
            "root": {
                "inputDefinitions": {"parameters": definitions},
                "dag": {"tasks": self._make_root(entry)},
            },
        }

    def _make_root(self, entry: str) -> JsonObject:
        """The entrypoint's own tasks, or the entrypoint and the exit task after it."""
        handler = self._spec.get("onExit")
        body = cast("dict[str, Any]", self._components[entry])
        if "dag" in body and not handler:
            return cast("JsonObject", body["dag"]["tasks"])
        tasks: JsonObject = {entry: self._call(entry)}
        if handler:
            if handler not in self._templates:
                raise self._fault((*self._path, "onExit"), f"there is no template {handler!r}.")
            strategy: JsonObject = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
            tasks[str(handler)] = {**self._call(str(handler)), "dependentTasks": [entry], "triggerPolicy": strategy}
        return tasks

    def _call(self, name: str) -> JsonObject:
        template, _ = self._templates[name]
        given: JsonObject = {
            str(one["name"]): {"componentInputParameter": str(one["name"])}
            for one in _list(template.get("inputs"), "parameters")
            if one["name"] in self._defaults
        }
        return {"componentRef": {"name": name}, "inputs": {"parameters": given}}

    # --- templates --------------------------------------------------------------------------------------------------

    def _convert_template(self, name: str, template: dict[str, Any], place: JsonPath) -> None:
        inputs, outputs = template.get("inputs"), template.get("outputs")
        parameters: JsonObject = {
            str(one["name"]): {
                "parameterType": "STRING",
                **({"defaultValue": _as_text(one["value"])} if one.get("value") is not None else {}),
            }
            for one in _list(inputs, "parameters")
        }
        artifacts: JsonObject = {}
        for one in _list(inputs, "artifacts"):
            raw = one.get("raw")
            if isinstance(raw, dict):
                parameters[str(one["name"])] = {"parameterType": "STRING", "defaultValue": str(raw.get("data"))}
            elif self._is_raw(name, str(one["name"])):
                parameters[str(one["name"])] = {"parameterType": "STRING"}
            else:
                artifacts[str(one["name"])] = {"isOptional": bool(one.get("optional"))}
        body: JsonObject = {"inputDefinitions": {"parameters": parameters, "artifacts": artifacts}}
        dag = template.get("dag")
        if isinstance(dag, dict):
            self._convert_dag(name, dag, outputs, body, place)
        else:
            body["executorLabel"] = name
            body["outputDefinitions"] = self._define_outputs(template, outputs)
            self._executors[name] = self._convert_container(template, inputs, outputs)
        self._components[name] = body

    def _is_raw(self, template: str, artifact: str) -> bool:
        """Whether a template's callers give text for an artifact."""
        for caller, _ in self._templates.values():
            for task in _list(caller.get("dag"), "tasks"):
                if task.get("template") == template:
                    for one in _list(task.get("arguments"), "artifacts"):
                        if one["name"] == artifact and isinstance(one.get("raw"), dict):
                            return True
        return False

    def _define_outputs(self, template: dict[str, Any], outputs: Any) -> JsonObject:
        is_native = is_sagemaker(template)
        parameters: JsonObject = {}
        for one in _list(outputs, "parameters"):
            name = str(one["name"])
            if is_native:
                # The component's own name of the output stands behind the task's: train-model_artifact_url.
                parameters[name] = {"parameterType": "STRING"}
            elif f"outputs.parameters.{name}}}}}" in self._text:
                parameters[name] = {"parameterType": "STRING"}
        artifacts: JsonObject = {
            str(one["name"]): {"artifactType": {"schemaTitle": "system.Artifact"}}
            for one in _list(outputs, "artifacts")
            if f"outputs.artifacts.{one['name']}}}}}" in self._text
        }
        return {"parameters": parameters, "artifacts": artifacts}

    def _convert_container(self, template: dict[str, Any], inputs: Any, outputs: Any) -> JsonObject:
        container = template.get("container")
        if not isinstance(container, dict):
            kind = next(
                (one for one in ("resource", "script", "steps", "suspend", "http") if one in template), "nothing"
            )
            return {"unsupported": f"its template is of the kind {kind!r}, which only Argo runs"}
        volumes = {str(one["name"]): one for one in (*_list(self._spec, "volumes"), *_list(template, "volumes"))}
        reason, kubernetes = ("", {}) if is_sagemaker(template) else _convert_cluster(template, container, volumes)
        words = [self._convert_text(one) for one in (*_words(container, "command"), *_words(container, "args"))]
        left = next((found[0] for word in words if (found := _OTHER.search(word))), "")
        if reason or left:
            return {"unsupported": reason or f"it reads {left}, which no job knows"}
        count = len(_words(container, "command"))
        in_paths: JsonObject = {
            str(one["name"]): str(one["path"]) for one in _list(inputs, "artifacts") if "path" in one
        }
        out_paths: JsonObject = {
            str(one["name"]): str(one["path"]) for one in _list(outputs, "artifacts") if "path" in one
        }
        for one in _list(outputs, "parameters"):
            source = one.get("valueFrom")
            if isinstance(source, dict) and "path" in source:
                out_paths[str(one["name"])] = str(source["path"])
        environment: list[JsonValue] = [
            {"name": one["name"], "value": self._convert_text(one.get("value", ""))}
            for one in container.get("env") or []
            if isinstance(one, dict) and "valueFrom" not in one
        ]
        return {
            "container": {
                "image": str(container.get("image")),
                "command": cast("list[JsonValue]", words[:count]),
                "args": cast("list[JsonValue]", words[count:]),
                "env": environment,
                "inputPaths": in_paths,
                "outputPaths": out_paths,
                "resources": _convert_resources(container.get("resources")),
            },
            "kubernetes": kubernetes,
        }

    def _convert_text(self, value: Any) -> str:
        text = _as_text(value)
        for fact, other in _FACTS.items():
            text = text.replace(fact, other)

        def replaced(found: re.Match[str]) -> str:
            if found["own"] == "inputs":
                return _parameter(found["name"])
            if found["own"] == "workflow":
                return _as_text(self._defaults.get(found["name"], found[0]))
            return found[0]

        return _REFERENCE.sub(replaced, text)

    # --- graphs -----------------------------------------------------------------------------------------------------

    def _convert_dag(self, name: str, dag: dict[str, Any], outputs: Any, body: JsonObject, place: JsonPath) -> None:
        tasks: dict[str, JsonValue] = {}
        for index, task in enumerate(_list(dag, "tasks")):
            path = (*place, "dag", "tasks", index)
            template = str(task.get("template"))
            if template not in self._templates:
                problem = f"{task['name']} calls the template {template!r}, which is not there."
                raise self._fault(path, problem + suggest(template, self._templates))
            tasks[str(task["name"])] = self._convert_task(name, task, path)
        parameters: JsonObject = {}
        for one in _list(outputs, "parameters"):
            source = one.get("valueFrom")
            found = _REFERENCE.fullmatch(str((source if isinstance(source, dict) else {}).get("parameter")))
            if found is not None and found["task"]:
                selector: JsonObject = {"producerSubtask": found["task"], "outputParameterKey": found["output"]}
                parameters[str(one["name"])] = {"valueFromParameter": selector}
        artifacts: JsonObject = {}
        for one in _list(outputs, "artifacts"):
            match = _ARTIFACT.fullmatch(str(one.get("from")))
            if match is not None and match["task"]:
                chosen: JsonObject = {"producerSubtask": match["task"], "outputArtifactKey": match["output"]}
                artifacts[str(one["name"])] = {"artifactSelectors": [chosen]}
        body["dag"] = {"tasks": tasks, "outputs": {"parameters": parameters, "artifacts": artifacts}}
        body["outputDefinitions"] = {
            "parameters": {key: {"parameterType": "STRING"} for key in parameters},
            "artifacts": {key: {"artifactType": {"schemaTitle": "system.Artifact"}} for key in artifacts},
        }

    def _convert_task(self, dag: str, task: dict[str, Any], path: JsonPath) -> JsonObject:
        parameters: dict[str, JsonValue] = {}
        artifacts: dict[str, JsonValue] = {}
        for one in _list(task.get("arguments"), "parameters"):
            self._give(parameters, str(one["name"]), _as_text(one.get("value")))
        for one in _list(task.get("arguments"), "artifacts"):
            raw = one.get("raw")
            if isinstance(raw, dict):
                self._give(parameters, str(one["name"]), _as_text(raw.get("data")))
                continue
            found = _ARTIFACT.fullmatch(str(one.get("from")))
            if found is None:
                raise self._fault(path, f"the artifact {one['name']!r} comes from {one.get('from')!r}.")
            artifacts[str(one["name"])] = (
                {"componentInputArtifact": found["own"]}
                if found["own"]
                else {"taskOutputArtifact": {"producerTask": found["task"], "outputArtifactKey": found["output"]}}
            )
        body: JsonObject = {
            "componentRef": {"name": str(task["template"])},
            "inputs": {"parameters": parameters, "artifacts": artifacts},
            "dependentTasks": self._find_dependencies(task, path),
        }
        retries = self._templates[str(task["template"])][0].get("retryStrategy")
        if isinstance(retries, dict):
            body["retryPolicy"] = _convert_retries(retries)
        if task.get("when"):
            condition, read = convert_when(str(task["when"]))
            for key, reference in read.items():
                self._give(parameters, key, reference)
            body["triggerPolicy"] = {"condition": condition}
        if "withItems" in task or "withParam" in task or "withSequence" in task:
            return self._wrap_loop(dag, task, body, path)
        return body

    def _find_dependencies(self, task: dict[str, Any], path: JsonPath) -> list[JsonValue]:
        waits = task.get("dependencies") or []
        if task.get("depends"):
            parts = re.split(r"\s*&&\s*", str(task["depends"]))
            names = [re.sub(r"\.Succeeded\Z", "", part) for part in parts]
            if not all(re.fullmatch(r"[\w-]+", one) for one in names):
                raise self._fault(path, f"depends {task['depends']!r} is more than names joined by &&.")
            waits = names
        return [str(one) for one in waits]

    def _give(self, parameters: dict[str, JsonValue], name: str, text: str) -> None:
        """Add what an input is given; parts of a text are given under names of their own."""
        whole = _REFERENCE.fullmatch(text.strip())
        if whole is not None and whole["own"] != "workflow":
            parameters[name] = _refer(whole)
            return

        def replaced(found: re.Match[str]) -> str:
            if found["own"] == "workflow":
                return _as_text(self._defaults.get(found["name"], ""))
            key = f"kfp-{len(parameters)}"
            parameters[key] = _refer(found)
            return _parameter(key)

        constant = _REFERENCE.sub(replaced, text)
        for fact, other in _FACTS.items():
            constant = constant.replace(fact, other)
        parameters[name] = {"runtimeValue": {"constant": constant}}

    def _wrap_loop(self, dag: str, task: dict[str, Any], body: JsonObject, path: JsonPath) -> JsonObject:
        """A loop: a component around the task, whose input is the item."""
        if "withSequence" in task:
            raise self._fault(path, "withSequence is not read: KFP does not write it.")
        name = f"{dag}/{task['name']}"
        given = cast("dict[str, Any]", cast("JsonObject", body["inputs"])["parameters"])
        files = cast("dict[str, Any]", cast("JsonObject", body["inputs"])["artifacts"])
        outer: JsonObject = {key: one for key, one in given.items() if one.get("componentInputParameter") != "item"}
        inner: JsonObject = {
            key: one if one.get("componentInputParameter") == "item" else {"componentInputParameter": key}
            for key, one in given.items()
        }
        through: JsonObject = {key: {"componentInputArtifact": key} for key in files}
        once: JsonObject = {**body, "inputs": {"parameters": inner, "artifacts": through}, "dependentTasks": []}
        made = cast("dict[str, Any]", self._define_outputs(*self._template_outputs(str(task["template"]))))
        taken: dict[str, JsonValue] = {key: {"parameterType": "STRING"} for key in (*outer, "kfp-items", "item")}
        self._components[name] = {
            "inputDefinitions": {"parameters": taken, "artifacts": {key: {} for key in files}},
            "outputDefinitions": made,
            "dag": {
                "tasks": {str(task["name"]): once},
                "outputs": {
                    "parameters": {
                        key: {"valueFromParameter": {"producerSubtask": str(task["name"]), "outputParameterKey": key}}
                        for key in made["parameters"]
                    }
                },
            },
        }
        items: JsonObject = {"raw": json.dumps(task.get("withItems"))}
        if "withParam" in task:
            self._give(outer, "kfp-items", _as_text(task["withParam"]))
            items = {"inputParameter": "kfp-items"}
        return {
            "componentRef": {"name": name},
            "inputs": {"parameters": outer, "artifacts": files},
            "dependentTasks": body["dependentTasks"],
            "parameterIterator": {"itemInput": "item", "items": items},
        }

    def _template_outputs(self, name: str) -> tuple[dict[str, Any], Any]:
        template, _ = self._templates[name]
        return template, template.get("outputs")


def _refer(found: re.Match[str]) -> JsonObject:
    if found["task"]:
        return {"taskOutputParameter": {"producerTask": found["task"], "outputParameterKey": found["output"]}}
    if found["item"]:
        selector: JsonObject = {}
        if found["field"]:
            selector["parameterExpressionSelector"] = f'parseJson(string_value)["{found["field"]}"]'
        return {"componentInputParameter": "item", **selector}
    return {"componentInputParameter": found["name"]}


_VARIABLES = {"secretKeyRef": ("secret", "secretAsEnv"), "configMapKeyRef": ("configMap", "configMapAsEnv")}


def _convert_cluster(
    template: dict[str, Any], container: dict[str, Any], volumes: dict[str, dict[str, Any]]
) -> tuple[str, JsonObject]:
    """What of the cluster a container needs that no job has, in words, and what it is given, as KFP 2 writes it."""
    if template.get("sidecars") or template.get("initContainers"):
        return "other containers run beside it, and a job has one", {}
    found: dict[str, list[JsonValue]] = {}
    for one in container.get("env") or []:
        source = one.get("valueFrom") if isinstance(one, dict) else None
        # Credentials of AWS are the role's.
        if not isinstance(source, dict) or str(one.get("name")).startswith("AWS_"):
            continue
        kind = next((str(key) for key in source), "")
        given = source.get(kind) or {}
        if kind == "fieldRef":
            field: JsonObject = {"name": str(one["name"]), "fieldPath": str(given.get("fieldPath"))}
            found.setdefault("fieldPathAsEnv", []).append(field)
        elif kind in _VARIABLES:
            word, key = _VARIABLES[kind]
            entry: JsonObject = {f"{word}Key": str(given.get("key")), "envVar": str(one["name"])}
            options: JsonObject = {"optional": bool(given.get("optional")), f"{word}Name": str(given.get("name"))}
            found.setdefault(key, []).append({**options, "keyToEnv": [entry]})
        else:
            return f"its variable {one.get('name')} is {kind} of the cluster, which no job has", {}
    for mount in _list(container, "volumeMounts"):
        volume = volumes.get(str(mount["name"]), {})
        path: JsonObject = {"mountPath": str(mount.get("mountPath"))}
        if mount.get("subPath") or not {"secret", "configMap", "emptyDir"} & volume.keys():
            return "it mounts a volume of the cluster, which no job has", {}
        if "emptyDir" in volume:
            found.setdefault("emptyDirMounts", []).append(path)
            continue
        word = "secret" if "secret" in volume else "configMap"
        body = volume[word] if isinstance(volume[word], dict) else {}
        if body.get("items"):
            return "it mounts a volume of the cluster that names its files anew, which no job has", {}
        name = {f"{word}Name": str(body.get("secretName") or body.get("name"))}
        found.setdefault(f"{word}AsVolume", []).append({**path, **name, "optional": bool(body.get("optional"))})
    return "", dict(found.items())


def _convert_resources(resources: Any) -> JsonObject:
    found: JsonObject = {}
    for side, ending in (("limits", "Limit"), ("requests", "Request")):
        wanted = resources.get(side) if isinstance(resources, dict) else None
        for key, name in (("cpu", "resourceCpu"), ("memory", "resourceMemory")):
            if isinstance(wanted, dict) and key in wanted:
                found[name + ending] = str(wanted[key])
        count = next((one for key, one in (wanted or {}).items() if str(key).endswith("/gpu")), None)
        if count is not None:
            found["accelerator"] = {"resourceCount": str(count)}
    return found


def _convert_retries(strategy: dict[str, Any]) -> JsonObject:
    limit = str(strategy.get("limit", ""))
    backoff = strategy.get("backoff")
    policy: JsonObject = {"maxRetryCount": int(limit) if limit.isdigit() else 0}
    if isinstance(backoff, dict):
        factor = str(backoff.get("factor", ""))
        policy["backoffDuration"] = str(backoff.get("duration", "0s"))
        policy["backoffFactor"] = float(factor) if _NUMBER.match(factor) else 1.0
    return policy


def _read_description(metadata: Any) -> str:
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.get("pipelines.kubeflow.org/pipeline_spec") if isinstance(annotations, dict) else None
    try:
        spec = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return ""
    return str(spec.get("description") or "") if isinstance(spec, dict) else ""


def _list(holder: Any, key: str) -> list[dict[str, Any]]:
    """The named objects in a list."""
    found = holder.get(key) if isinstance(holder, dict) else None
    return [one for one in found or [] if isinstance(one, dict) and "name" in one] if isinstance(found, list) else []


def _words(container: dict[str, Any], key: str) -> list[Any]:
    found = container.get(key)
    return found if isinstance(found, list) else [] if found is None else [found]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
