"""Runs the command of a Kubeflow component in a SageMaker processing job, as KFP's launcher does in a pod.

It is uploaded beside the component's description and runs in the component's image: Python 3.7 or newer, standard
library only, and nothing of this package. It works out the inputs, replaces the placeholders in the command, runs it,
and writes what it has given as ``outputs.json``, which later steps and conditions read.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path("/opt/ml/processing")
INPUTS = ROOT / "input"
OUTPUT = ROOT / "output"
WORK = ROOT / "kfp"
RESULT = WORK / "executor_output.json"
PLACEHOLDER = re.compile(
    r"\{\{\$\.(inputs|outputs)\.(parameters|artifacts)\['([^']*)'\](?:\.(\w+))?(?:\['([^']*)'\])?\}\}"
)


class ComponentRun:
    """One run of one component.

    :param component: its description.
    :param arguments: what the job was given.
    """

    def __init__(self, component: dict[str, Any], arguments: dict[str, str]) -> None:
        self._component = component
        self._arguments = arguments
        self._base = arguments["base"].rstrip("/")
        # A job on one's own machine has no disk of its own, so nothing is linked there.
        self._is_linked = "AWS_ENDPOINT_URL" not in os.environ
        self._parameters: dict[str, Any] = {}
        self._artifacts: dict[str, list[dict[str, Any]]] = {}
        self._produced: dict[str, list[dict[str, Any]]] = {}
        self._variables: dict[str, str] = {}
        self._mounts: dict[str, str] = {}

    # --- inputs ------------------------------------------------------------------------------------------------------

    def _find(self, tree: dict[str, Any], kind: str) -> Any:
        """The value that a tree of the description stands for; None for none."""
        if "literal" in tree:
            return tree["literal"]
        if "argument" in tree:
            return self._arguments[tree["argument"]]
        if "list" in tree:
            return [self._find(one, kind) for one in tree["list"]]
        if "text" in tree:
            values = {name: to_text(self._find(one, kind)) for name, one in tree["inputs"].items()}
            return PLACEHOLDER.sub(lambda found: values.get(found.group(3), found.group(0)), tree["text"])
        if "member" in tree:
            holder = self._find(tree["holder"], kind)
            return (json.loads(holder) if isinstance(holder, str) else holder).get(tree["member"])
        if "collected" in tree:
            return self._find_collected(tree, kind)
        if "imported" in tree:
            return self._find_imported(tree)
        return self._find_output(INPUTS / tree["input"], tree["keys"], kind)

    def _find_output(self, folder: Path, keys: dict[str, str], kind: str) -> Any:
        """An output of the step that is staged in a folder.

        :param keys: the output's name for each step that it may be; ``*`` for any step.
        """
        outputs = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
        key = keys.get(outputs["task"], keys.get("*"))
        if kind == "parameter":
            return outputs["values"].get(key)
        artifacts = outputs["artifacts"].get(key)
        return artifacts and [self._place(one, folder, outputs["base"]) for one in artifacts]

    def _find_collected(self, tree: dict[str, Any], kind: str) -> list[Any]:
        """An output of each iteration of a loop, in the order of the items."""
        return self._find_iterations(INPUTS / tree["collected"], tree["key"], kind)

    def _find_iterations(self, folder: Path, key: str, kind: str) -> list[Any]:
        folders = [one for one in folder.iterdir() if one.name.isdigit()]
        folders.sort(key=lambda one: int(one.name))
        return [self._find_iteration(one, key, kind) for one in folders]

    def _find_iteration(self, folder: Path, key: str, kind: str) -> Any:
        """An output of one iteration; a list of them where the folder is that of a loop in a loop."""
        if (folder / "outputs.json").exists():
            return self._find_output(folder, {"*": key}, kind)
        return self._find_iterations(folder, key, kind)

    def _find_imported(self, tree: dict[str, Any]) -> list[dict[str, Any]]:
        """The artifact that an importer names, with its files where they are staged."""
        uri = to_text(self._find(tree["imported"], "parameter")).rstrip("/")
        metadata = {name: self._find(one, "parameter") for name, one in tree["metadata"].items()}
        if "filled" in tree:
            inputs = {name: self._find(one, "parameter") for name, one in tree["filled"]["inputs"].items()}
            metadata = fill_structure(tree["filled"]["structure"], inputs)
        artifact = {"name": tree["schema"], "type": {"schemaTitle": tree["schema"]}, "metadata": metadata}
        folder = INPUTS / tree["input"]
        single = folder / uri.rsplit("/", 1)[-1]
        return [{**artifact, "uri": self._link(uri, single if single.is_file() else folder)}]

    def _place(self, artifact: dict[str, Any], folder: Path, base: str) -> dict[str, Any]:
        """An artifact with an address that leads to its files in this container."""
        uri = artifact["uri"]
        return (
            {**artifact, "uri": self._link(uri, Path(f"{folder}{uri[len(base) :]}"))}
            if uri.startswith(base)
            else artifact
        )

    def _link(self, uri: str, local: Path) -> str:
        """The address to give to the command: the true one, where KFP's path for it can be linked to the files."""
        if self._is_linked and uri.startswith("s3://"):
            path = find_path(uri)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(str(path)):
                    path.symlink_to(local)
                return uri
            except OSError as error:
                print(f"{path} cannot be linked ({error}); {uri} is given as {local}.", flush=True)
        return str(local)

    def prepare(self) -> None:
        """Work out all inputs, and make room for the outputs."""
        for name, one in self._component["parameters"].items():
            value = self._find(one["value"], "parameter")
            if value is not None:
                self._parameters[name] = convert(value, one["type"])
        for name, tree in self._component["artifacts"].items():
            found = self._find(tree, "artifact")
            if found is not None:
                self._artifacts[name] = flatten(found)
        for name, path in self._component["input_paths"].items():
            self._put_input(name, Path(path))
        for folder in self._component.get("folders", ()):  # a description of an older version has none
            self._find_mount(folder).mkdir(parents=True, exist_ok=True)
        for one in self._component.get("entries", ()):
            self._put_entries(one)
        for name, schema in self._component["output_artifacts"].items():
            local = OUTPUT / "artifacts" / name
            local.parent.mkdir(parents=True, exist_ok=True)
            uri = self._link(f"{self._base}/artifacts", local.parent)
            artifact = {"name": name, "type": {"schemaTitle": schema}, "uri": f"{uri}/{name}", "metadata": {}}
            self._produced[name] = [artifact]
        (WORK / "outputs").mkdir(parents=True, exist_ok=True)

    def _put_input(self, name: str, path: Path) -> None:
        """Put an input where the command reads it."""
        if name in self._artifacts:
            copy(find_path(self._artifacts[name][0]["uri"]), path)
        elif name in self._parameters:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(to_text(self._parameters[name]), encoding="utf-8")

    def _put_entries(self, one: dict[str, Any]) -> None:
        """Put the entries of a secret or a config map where the command reads them: variables or files."""
        name = to_text(self._find(one["name"], "parameter"))
        entries = read_entries(one["kind"], name, one["is_optional"]) if name or not one["is_optional"] else {}
        for variable, key in one["env"].items():
            if key in entries:
                self._variables[variable] = to_text(entries[key])
            elif not one["is_optional"]:
                raise SystemExit(f"The {one['kind']} {name!r} has no entry {key!r}.")
        if one["folder"]:
            folder = self._find_mount(one["folder"])
            folder.mkdir(parents=True, exist_ok=True)
            for key, value in entries.items():
                (folder / key).write_text(to_text(value), encoding="utf-8")

    def _find_mount(self, path: str) -> Path:
        """The folder in place of one that the cluster mounts."""
        if not self._is_linked:
            self._mounts[path] = str(WORK / "mounts" / path.strip("/"))
        return Path(self._mounts.get(path, path))

    # --- the command -------------------------------------------------------------------------------------------------

    def make_executor_input(self) -> dict[str, Any]:
        """What ``{{$}}`` stands for."""
        outputs = {name: {"outputFile": str(self._find_output_path(name))} for name in self._component["outputs"]}
        return {
            "inputs": {
                "parameterValues": self._parameters,
                "artifacts": {name: {"artifacts": found} for name, found in self._artifacts.items()},
            },
            "outputs": {
                "parameters": outputs,
                "artifacts": {name: {"artifacts": found} for name, found in self._produced.items()},
                "outputFile": str(RESULT),
            },
        }

    def _find_output_path(self, name: str) -> Path:
        """The file in which the command leaves an output parameter."""
        return Path(self._component["output_paths"].get(name) or WORK / "outputs" / name)

    def _fill(self, text: str) -> str:
        """A word of the command with values in place of its placeholders."""
        for path, local in self._mounts.items():
            text = text.replace(path, local)
        text = text.replace("{{$}}", json.dumps(self.make_executor_input()))
        for name, value in self._component["facts"].items():
            text = text.replace(name, to_text(self._find(value, "parameter")))
        return PLACEHOLDER.sub(self._fill_one, text)

    def _fill_one(self, found: re.Match[str]) -> str:
        side, kind, name, member, key = found.groups()
        if kind == "parameters":
            return str(self._find_output_path(name)) if side == "outputs" else to_text(self._parameters.get(name))
        artifacts = (self._artifacts if side == "inputs" else self._produced).get(name)
        if not artifacts:
            return ""
        if member == "path":
            return str(find_path(artifacts[0]["uri"]))
        if member == "metadata" and key:
            return to_text(artifacts[0]["metadata"].get(key))
        return to_text(artifacts[0].get(member, artifacts[0]))

    def _expand(self, words: list[Any]) -> list[str]:
        """The words of a command; a word may be KFP's ``IfPresent`` or ``Concat``."""
        found: list[str] = []
        for word in words:
            rule = read_rule(word)
            if rule is None:
                found.append(self._fill(to_text(word)))
            elif "Concat" in rule:
                found.append("".join(self._expand(rule["Concat"])))
            else:
                wanted = rule["IfPresent"]
                is_there = wanted["InputName"] in self._parameters or wanted["InputName"] in self._artifacts
                chosen = wanted.get("Then" if is_there else "Else") or []
                found += self._expand(chosen if isinstance(chosen, list) else [chosen])
        return found

    def run(self) -> int:
        """Run the command, again as often as the component asks for; give its exit code."""
        command = self._expand([*self._component["command"], *self._component["args"]])
        given = {name: self._fill(text) for name, text in self._component["env"].items()}
        environment = {**os.environ, **given, **self._variables}
        for name in self._component["outputs"]:
            self._find_output_path(name).parent.mkdir(parents=True, exist_ok=True)
        retries = self._component["retries"]
        left, delay = retries["count"], retries["seconds"]
        while True:
            code = subprocess.call(command, env=environment)
            if code == 0 or left == 0:
                return code
            print(f"The command ended with {code}. It is started again in {delay} s.", flush=True)
            time.sleep(delay)
            left, delay = left - 1, min(delay * retries["factor"], retries["max_seconds"])

    # --- outputs -----------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Write what the command has given to ``outputs.json``."""
        given = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
        values = {}
        for name, kind in self._component["outputs"].items():
            found = given.get("parameterValues", {}).get(name)
            path = self._find_output_path(name)
            if found is None and path.exists():
                found = path.read_text(encoding="utf-8")
                found = found.rstrip("\n") if name in self._component["output_paths"] else found
            if found is not None:
                values[name] = convert(found, kind)
        for name, path in self._component["output_paths"].items():
            if name in self._produced and Path(path).exists():
                copy(Path(path), OUTPUT / "artifacts" / name)
        outputs = {
            "task": self._component["task"],
            "base": self._base,
            "values": values,
            "numbers": {name: number for name, number in map(read_number, values.items()) if number is not None},
            "items": {name: to_items(value) for name, value in values.items() if isinstance(value, list)},
            "artifacts": {name: self._finish(name, given) for name in self._produced},
        }
        (OUTPUT / "text").mkdir(parents=True, exist_ok=True)
        for name, value in values.items():  # for steps whose image has no Python
            (OUTPUT / "text" / name).write_text(to_text(value), encoding="utf-8")
        (OUTPUT / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")

    def _finish(self, name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        """An output artifact with the metadata and the address that the command gave it."""
        finished = []
        produced_ones = given.get("artifacts", {}).get(name, {}).get("artifacts") or self._produced[name]
        for number, produced in enumerate(produced_ones):
            artifact = {**self._produced[name][0], **produced}
            path = artifact.pop("custom_path", None)
            if path and Path(path).exists():
                copy(Path(path), OUTPUT / "artifacts" / name)
                artifact["uri"] = f"{self._base}/artifacts/{name}"
            elif artifact["uri"].startswith(f"{WORK}/") and Path(artifact["uri"]).exists():
                # A component may make the address up, by dsl.get_uri, which is beside the file of its results.
                place = name if len(produced_ones) == 1 else f"{name}-{number}"
                copy(Path(artifact["uri"]), OUTPUT / "artifacts" / place)
                artifact["uri"] = f"{self._base}/artifacts/{place}"
            if artifact["uri"].startswith(str(OUTPUT)):
                artifact["uri"] = self._base + artifact["uri"][len(str(OUTPUT)) :]
            finished.append(artifact)
        return finished


def read_entries(kind: str, name: str, is_optional: bool) -> dict[str, Any]:
    """The entries of a secret of Secrets Manager or a parameter of the Parameter Store: its text is a JSON object.

    :param is_optional: whether there may be none.
    """
    boto3 = import_boto3()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    client = boto3.client("secretsmanager" if kind == "secret" else "ssm", region_name=region)
    try:
        if kind == "secret":
            text = client.get_secret_value(SecretId=name)["SecretString"]
        else:
            text = client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except client.exceptions.ClientError as error:
        is_missing = error.response["Error"]["Code"] in ("ResourceNotFoundException", "ParameterNotFound")
        if is_optional and is_missing:
            return {}
        raise SystemExit(f"The {kind} {name!r} cannot be read: {error}") from None
    entries = json.loads(text)
    if not isinstance(entries, dict):
        raise SystemExit(f"The {kind} {name!r} is no JSON object, which would have a member for each entry.")
    return entries


def import_boto3() -> Any:
    """boto3, which is installed if the image has none."""
    try:
        import boto3
    except ImportError:
        folder = str(WORK / "boto3")
        subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "boto3"])
        sys.path.append(folder)
        import boto3
    return boto3


def find_path(uri: str) -> Path:
    """Where KFP's library looks for the files of an artifact."""
    return Path("/s3/" + uri[len("s3://") :] if uri.startswith("s3://") else uri)


def fill_structure(value: Any, inputs: dict[str, Any]) -> Any:
    """A structure with values in place of the placeholders in its texts and names."""
    if isinstance(value, dict):
        return {to_text(fill_structure(name, inputs)): fill_structure(one, inputs) for name, one in value.items()}
    if isinstance(value, list):
        return [fill_structure(one, inputs) for one in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole is not None:
        return inputs.get(whole.group(3))
    return PLACEHOLDER.sub(lambda found: to_text(inputs.get(found.group(3))), value)


def flatten(found: list[Any]) -> list[dict[str, Any]]:
    """One list of artifacts out of lists of lists."""
    return [one for each in found if each for one in (flatten(each) if isinstance(each, list) else [each])]


def read_rule(word: Any) -> dict[str, Any] | None:
    """``IfPresent`` or ``Concat``, as an object or as JSON text; None for another word."""
    if isinstance(word, str) and word.lstrip().startswith("{") and ("IfPresent" in word or "Concat" in word):
        try:
            word = json.loads(word)
        except ValueError:
            return None
    return word if isinstance(word, dict) and ("IfPresent" in word or "Concat" in word) else None


def convert(value: Any, kind: str) -> Any:
    """A value as its declared type wants it: files, arguments and defaults are text."""
    if not isinstance(value, str):
        return to_text(value) if kind == "STRING" else value
    if kind == "NUMBER_INTEGER":
        return int(float(value))
    if kind == "NUMBER_DOUBLE":
        return float(value)
    if kind == "BOOLEAN":
        return value.strip().lower() in ("true", "1")
    if kind in ("LIST", "STRUCT"):
        return json.loads(value) if value else None
    return value


def to_text(value: Any) -> str:
    """A value as a command line has it."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def read_number(item: tuple[str, Any]) -> tuple[str, float | None]:
    """A pair of a name and the number that a value reads as; None for no number."""
    name, value = item
    try:
        return name, value if isinstance(value, (int, float)) and not isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return name, None


def to_items(values: list[Any]) -> str:
    """A list as the items of a loop: JSON text, each item with its number, and its members, as text."""
    items = []
    for index, value in enumerate(values):
        item = {"index": str(index), "value": to_text(value)}
        if isinstance(value, dict):
            item.update((f"field_{name}", to_text(one)) for name, one in value.items())
        items.append(item)
    return json.dumps(items)


def combine_items(levels: list[dict[str, Any]], fields: list[str]) -> str:
    """The items of loops in each other, as those of one loop: JSON text, with the number of each item in its loop.

    :param levels: for each loop, its ``items``, or the ``member`` of the item of another ``level`` that has them; a
        member of None is that item itself. An item without the member has none.
    :param fields: what is read of the items; a pipeline's parameter is short.
    """
    found: list[dict[str, str]] = [{}]
    for number, level in enumerate(levels, 1):
        prefix = "" if number == 1 else f"level_{number}_"
        deeper = []
        for outer in found:
            for one in json.loads(to_items(_find_items(level, outer))):
                index = f"{outer['index']}/{one.pop('index')}" if outer else one.pop("index")
                deeper.append({**outer, "index": index, **{prefix + name: value for name, value in one.items()}})
        found = deeper
    return json.dumps([{name: one[name] for name in fields if name in one} for one in found])


def read_items(text: str) -> Any:
    """A list that is JSON text, or as Python shows it: a template of Airflow gives a list so."""
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _find_items(level: dict[str, Any], outer: dict[str, str]) -> list[Any]:
    if "items" in level:
        items = level["items"]
    else:
        prefix = "" if level["level"] == 1 else f"level_{level['level']}_"
        name = "value" if level["member"] is None else f"field_{level['member']}"
        items = outer.get(prefix + name, "[]")
    items = read_items(items) if isinstance(items, str) else items
    if not isinstance(items, list):
        raise ValueError(f"A loop repeats for a list, not for {items!r}.")
    return items


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(str(source), str(target))
    else:
        shutil.copyfile(str(source), str(target))


def main() -> int:
    """Run the component that is described beside this file. The arguments are ``name=value``."""
    arguments = dict(one.split("=", 1) for one in sys.argv[1:])
    component = json.loads(Path(__file__).with_name("component.json").read_text(encoding="utf-8"))
    launcher = ComponentRun(component, arguments)
    launcher.prepare()
    code = launcher.run()
    if code == 0:
        launcher.collect()
    return code


if __name__ == "__main__":
    sys.exit(main())
