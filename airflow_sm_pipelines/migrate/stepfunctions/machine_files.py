"""Finds the state machines in a file.

A file may be a machine itself, what DescribeStateMachine answers, a CloudFormation, SAM or CDK template, a Serverless
file, a Terraform file (heredocs and ``jsonencode``), or a notebook that has printed a machine. This module opens no
file; a template that names another one is given it by the caller.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from airflow_sm_pipelines.definition.json_text import JsonText
from airflow_sm_pipelines.documents.cloudformation import TemplateResolver, TooManyValuesError
from airflow_sm_pipelines.documents.placeholders import Unknowns, Variables
from airflow_sm_pipelines.documents.terraform import parse_terraform_value
from airflow_sm_pipelines.documents.values import DocumentValue, YamlText, decode_text, iter_notebook_outputs
from airflow_sm_pipelines.exceptions import DefinitionError, MigrationError
from airflow_sm_pipelines.migrate.stepfunctions.document_values import Ref, Value, join_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonPath, JsonValue

_MAX_VALUES = 200_000
_TEMPLATE_TYPES = ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine")
_HEREDOC = re.compile(r'\bdefinition\s*=\s*<<[-~]?\s*"?(\w+)"?[^\n]*\n(.*?)\n[ \t]*\1\b', re.DOTALL)
_ENCODED = re.compile(r"\bdefinition\s*=\s*(?=jsonencode\()")
_RESOURCE = re.compile(r'resource\s+"aws_sfn_state_machine"\s+"([^"]+)"')
_BARE = re.compile(r"(?<=[:\[,])(\s*)(\$\{[^{}\"]*\})(?=\s*[,\]}\n])")
_SCHEDULE = re.compile(r"(?:cron|rate)\(.*\)\Z")
_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_KNOWN = {"AWS::Partition": "aws", "partition": "aws", "Partition": "aws"}


@dataclass(frozen=True, slots=True)
class HeldMachine:
    """A state machine that a file holds.

    :param name: as the file has it; empty if it has none.
    :param document: the machine's object; a value that the file does not say stands as ``${name}`` in its texts.
    :param locate: gives the place of a value of the machine, by its path.
    :param has_placeholders: whether ``${name}`` in its texts stands for a value.
    :param starts: what starts it, in words, as far as the file shows.
    :param schedule: a cron expression of Airflow, if one of its starts is a schedule.
    """

    name: str
    document: JsonValue
    locate: Callable[[JsonPath], str]
    has_placeholders: bool = True
    starts: tuple[str, ...] = ()
    schedule: str | None = None


class MachinePlaceholders:
    """The placeholders of one machine.

    :param variables: the values that are known.
    :ivar asked: the names without a value, which each run is asked for.
    """

    def __init__(self, held: HeldMachine, variables: Variables) -> None:
        self._held = held
        self._variables = variables
        self.asked: dict[str, None] = {}

    def resolve(self, text: str) -> Value:
        """A text of the source with values for its placeholders; one without a value is asked of the run."""
        if not self._held.has_placeholders:
            return text
        parts: list[Value] = []
        end = 0
        for found in _PLACEHOLDER.finditer(text):
            name = found[1].strip()
            value: Value = self._variables.find(name)
            if value is None:
                value = _KNOWN.get(name)
            if value is None:
                self.asked[name] = None
                value = Ref("Input", (name,))
            parts += [text[end : found.start()], value]
            end = found.end()
        if not parts:
            return text
        parts = [part for part in [*parts, text[end:]] if part != ""]
        return parts[0] if len(parts) == 1 else join_values(parts)

    def refuse_shared_names(self) -> None:
        """Refuse a placeholder that is called as a member of the input: both would be the same DAG param.

        :raises MigrationError: with the name.
        """
        text = json.dumps(self._held.document, ensure_ascii=False, default=str)
        for name in self.asked:
            if re.search(rf"\$\.{re.escape(name)}\b|\$\['{re.escape(name)}'\]", text):
                problem = f"the placeholder {name!r} and a member of the input have one name"
                raise MigrationError(f"{self._held.locate(())}: {problem}. Give its value: --define {name}=VALUE.")


def find_machines(
    source: bytes, *, name: str, variables: Variables, read: Callable[[str], bytes | None]
) -> tuple[HeldMachine, ...]:
    """The state machines in a file.

    :param name: of the file, for messages; its ending tells what cannot be told from the text.
    :param variables: values for placeholders and for the parameters of templates.
    :param read: gives the file that a template names, by its path relative to the template; None if there is none.
    :raises MigrationError: with the place, if the file cannot be read, or holds no machine.
    """
    text = decode_text(source)
    if text is None:
        raise MigrationError(f"{name}:1:1: this is no text.")
    finder = _Finder(name, variables, read)
    try:
        found = tuple(finder.find(text))
    except DefinitionError as error:
        raise MigrationError(str(error)) from None
    if not found:
        raise MigrationError(f"{name}:1:1: this holds no state machine: no object with StartAt and States was found.")
    return found


@dataclass(slots=True)
class _Finder:
    name: str
    variables: Variables
    read: Callable[[str], bytes | None]
    count: int = field(default=0)

    def find(self, text: str) -> Iterator[HeldMachine]:
        if self.name.endswith((".tf", ".tf.json", ".hcl")) and not text.lstrip().startswith("{"):
            yield from self._find_in_terraform(text)
            return
        document = self._load(text)
        for number, value in enumerate(document.values):
            self._check_size(value)
            yield from self._find_in_value(value, document, number)

    def _load(self, text: str, *, line: int = 1) -> DocumentValue:
        """The value of a text, JSON or YAML.

        :param line: of the file at which the text begins, for messages.
        """
        is_json = text.lstrip()[:1] in ("{", "[", '"')
        if not is_json:
            return self._load_yaml(text)
        json_text = JsonText(text)
        value, problems = json_text.load()
        if problems and value is None and "${" in text:
            # A placeholder without quotation marks stands for a value of any kind.
            quoted = JsonText(_BARE.sub(r'\1"\2"', text))
            again, others = quoted.load()
            if not others:
                return DocumentValue((again,), quoted)
        if problems and value is None and _looks_like_yaml(self.name):
            return self._load_yaml(text)
        if problems:
            first = problems[0]
            place = f"{self.name}:{(first.line or 1) + line - 1}:{first.column or 1}"
            raise MigrationError(f"{place}: {first.message}")
        return DocumentValue((value,), json_text)

    def _load_yaml(self, text: str) -> DocumentValue:
        yaml = YamlText(text, name=self.name)
        values = yaml.load()
        repeated = yaml.find_repeated_key()
        if repeated is not None:
            key, line, column = repeated
            raise MigrationError(f"{self.name}:{line}:{column}: the key {key!r} occurs twice here. Keep one of them.")
        return DocumentValue(values, yaml)

    def _check_size(self, value: Any) -> None:
        stack = [value]
        while stack:
            self.count += 1
            if self.count > _MAX_VALUES:
                raise MigrationError(f"{self.name}:1:1: this holds more than {_MAX_VALUES} values.")
            item = stack.pop()
            if isinstance(item, dict):
                odd = next((key for key in item if not isinstance(key, str)), None)
                if odd is not None:
                    raise MigrationError(f"{self.name}:1:1: the key {odd!r} is no text for YAML: write it in quotes.")
                stack.extend(item.values())
            elif isinstance(item, list):
                stack.extend(item)

    def _find_in_value(self, value: Any, document: DocumentValue, number: int) -> Iterator[HeldMachine]:
        if not isinstance(value, dict):
            return
        if "States" in value or "StartAt" in value:
            yield HeldMachine("", value, self._locator(document, number, ()))
        elif "definition" in value and "stateMachineArn" in value:
            inner, locate = self._open(value["definition"], document, number, ("definition",))
            yield HeldMachine(str(value.get("name") or ""), inner, locate, has_placeholders=False)
        elif isinstance(value.get("Resources"), dict):
            yield from self._find_in_template(value, document, number)
        elif isinstance(value.get("stepFunctions"), dict):
            yield from self._find_in_serverless(value["stepFunctions"], document, number)
        elif isinstance(value.get("cells"), list):
            yield from self._find_in_notebook(value)

    def _locator(self, document: DocumentValue, number: int, prefix: JsonPath) -> Callable[[JsonPath], str]:
        def locate(path: JsonPath) -> str:
            found = document.locate((*prefix, *path), number) or (1, 1)
            return f"{self.name}:{found[0]}:{found[1]}"

        return locate

    def _open(
        self, body: Any, document: DocumentValue, number: int, path: JsonPath
    ) -> tuple[JsonValue, Callable[[JsonPath], str]]:
        """A machine and its places, where it may be JSON or YAML text inside the document."""
        if not isinstance(body, str):
            return cast("JsonValue", body), self._locator(document, number, path)
        outer = document.locate(path, number) or (1, 1)
        inner = self._load(body, line=outer[0])

        def locate(inside: JsonPath) -> str:
            line, column = inner.locate(inside) or (1, 1)
            found = document.locate_inside(path, number, body, line, column) or outer
            return f"{self.name}:{found[0]}:{found[1]}"

        return cast("JsonValue", inner.values[0] if inner.values else None), locate

    # --- templates ----------------------------------------------------------------------------------------------

    def _find_in_template(
        self, template: dict[str, Any], document: DocumentValue, number: int
    ) -> Iterator[HeldMachine]:
        for id_, resource in template["Resources"].items():
            if not isinstance(resource, dict) or resource.get("Type") not in _TEMPLATE_TYPES:
                continue
            unknowns = Unknowns()
            try:
                properties = TemplateResolver(template, self.variables, unknowns).resolve(resource.get("Properties"))
            except (TooManyValuesError, RecursionError):
                raise MigrationError(f"{self.name}:1:1: {id_} is far larger than a machine can be.") from None
            shown = _show(properties if isinstance(properties, dict) else {}, unknowns)
            place = ("Resources", id_, "Properties")
            yield from self._hold(str(id_), cast("dict[str, Any]", shown), document, number, place)

    def _hold(
        self, id_: str, properties: dict[str, Any], document: DocumentValue, number: int, place: JsonPath
    ) -> Iterator[HeldMachine]:
        starts, schedule = _read_starts(properties.get("Events"))
        values = properties.get("DefinitionSubstitutions")
        fill = values if isinstance(values, dict) else {}
        member = next((one for one in ("DefinitionString", "Definition") if properties.get(one)), None)
        uri = properties.get("DefinitionUri")
        if member is not None:
            inner, locate = self._open(_substitute(properties[member], fill), document, number, (*place, member))
        elif isinstance(uri, str) and (source := self.read(uri)) is not None:
            held = find_machines(source, name=uri, variables=self.variables, read=self.read)[0]
            inner, locate = _substitute(held.document, fill), held.locate
        else:
            line, column = document.locate(place, number) or (1, 1)
            at = f"{self.name}:{line}:{column}"
            raise MigrationError(f"{at}: the definition of {id_} stands elsewhere: give that file.")
        yield HeldMachine(id_, inner, locate, starts=starts, schedule=schedule)

    def _find_in_serverless(
        self, section: dict[str, Any], document: DocumentValue, number: int
    ) -> Iterator[HeldMachine]:
        machines = section.get("stateMachines")
        for id_, machine in machines.items() if isinstance(machines, dict) else ():
            if isinstance(machine, dict) and isinstance(machine.get("definition"), (dict, str)):
                unknowns = Unknowns()
                resolved = TemplateResolver({}, self.variables, unknowns).resolve(machine["definition"])
                body = _with_dollars(_show(resolved, unknowns))
                path = ("stepFunctions", "stateMachines", id_, "definition")
                inner, locate = self._open(body, document, number, path)
                yield HeldMachine(str(machine.get("name") or id_), inner, locate)

    def _find_in_notebook(self, notebook: dict[str, Any]) -> Iterator[HeldMachine]:
        """Machines that a notebook has printed, as ``print(workflow.definition.to_json())`` does."""
        decoder = json.JSONDecoder()
        for number, text in enumerate(iter_notebook_outputs(notebook)):
            start = text.find("{")
            while start >= 0:
                try:
                    value, end = decoder.raw_decode(text, start)
                except (ValueError, RecursionError):
                    value, end = None, start + 1
                if isinstance(value, dict) and "StartAt" in value and "States" in value:
                    place = f"{self.name}:output {number + 1}:1"
                    yield HeldMachine("", value, lambda _, place=place: place, has_placeholders=False)  # type: ignore[misc]
                start = text.find("{", end)

    # --- Terraform ----------------------------------------------------------------------------------------------

    def _find_in_terraform(self, text: str) -> Iterator[HeldMachine]:
        resources = list(_RESOURCE.finditer(text))

        def name_at(index: int) -> str:
            return next((one[1] for one in reversed(resources) if one.start() < index), "")

        for match in _HEREDOC.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            document = self._load(match[2], line=line)
            yield HeldMachine(name_at(match.start()), document.values[0], self._line_locator(document, line))
        for match in _ENCODED.finditer(text):
            body = _quote_references(_take_call(text, match.end()).removeprefix("jsonencode(").removesuffix(")"))
            line = text.count("\n", 0, match.start()) + 1
            value = parse_terraform_value(body, name=f"{self.name}:{line}")
            place = f"{self.name}:{line}:1"
            yield HeldMachine(name_at(match.start()), value, lambda _, place=place: place)  # type: ignore[misc]

    def _line_locator(self, document: DocumentValue, first: int) -> Callable[[JsonPath], str]:
        def locate(path: JsonPath) -> str:
            line, column = document.locate(path) or (1, 1)
            return f"{self.name}:{first + line - 1}:{column}"

        return locate


def _looks_like_yaml(name: str) -> bool:
    return name.lower().endswith((".yaml", ".yml"))


def _show(value: Any, unknowns: Unknowns) -> Any:
    """The value with ``${name}`` in place of what the template does not say."""
    if isinstance(value, str):
        return unknowns.show(value)
    if isinstance(value, list):
        return [_show(item, unknowns) for item in value]
    return {key: _show(item, unknowns) for key, item in value.items()} if isinstance(value, dict) else value


def _with_dollars(value: Any) -> Any:
    """The value with ``${AWS::Region}`` for ``#{AWS::Region}``, as a plugin of Serverless writes it."""
    if isinstance(value, str):
        return re.sub(r"#\{(AWS::\w+)\}", r"${\1}", value)
    if isinstance(value, list):
        return [_with_dollars(item) for item in value]
    return {key: _with_dollars(item) for key, item in value.items()} if isinstance(value, dict) else value


def _substitute(value: Any, values: Mapping[str, Any]) -> Any:
    """The value with ``DefinitionSubstitutions`` in its texts."""
    if isinstance(value, str):
        return re.sub(r"\$\{([^{}]*)\}", lambda found: str(values.get(found[1], found[0])), value)
    if isinstance(value, list):
        return [_substitute(item, values) for item in value]
    return {key: _substitute(item, values) for key, item in value.items()} if isinstance(value, dict) else value


def _read_starts(events: Any) -> tuple[tuple[str, ...], str | None]:
    """What starts a SAM machine, and its schedule as Airflow writes one."""
    starts, schedule = [], None
    for id_, event in events.items() if isinstance(events, dict) else ():
        properties = event.get("Properties") if isinstance(event, dict) else None
        wanted = (properties or {}).get("Schedule") or (properties or {}).get("ScheduleExpression")
        kind = event.get("Type") if isinstance(event, dict) else "?"
        starts.append(f"{id_} ({kind}{f': {wanted}' if wanted else ''})")
        if isinstance(wanted, str) and _SCHEDULE.match(wanted):
            schedule = schedule or translate_schedule(wanted)
    return tuple(starts), schedule


def translate_schedule(expression: str) -> str | None:
    """EventBridge's ``cron(...)`` or ``rate(...)`` as Airflow's cron expression; None if cron has no such schedule."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate is not None:
        count = int(rate[1])
        known = {("minute", 1): "* * * * *", ("hour", 1): "0 * * * *", ("day", 1): "0 0 * * *"}
        if rate[2] == "minute" and 60 % count == 0:
            return known.get(("minute", count), f"*/{count} * * * *")
        if rate[2] == "hour" and 24 % count == 0:
            return known.get(("hour", count), f"0 */{count} * * *")
        return known.get((rate[2], count))
    fields = expression.removeprefix("cron(").rstrip(")").split()
    if len(fields) != 6 or fields[5] != "*" or any(mark in expression for mark in "LW#"):
        return None
    minute, hour, day, month, weekday = (field.replace("?", "*") for field in fields[:5])
    # EventBridge counts the days of the week from 1, Sunday; cron from 0.
    weekday = re.sub(r"\d+", lambda found: str(int(found[0]) - 1), weekday)
    return f"{minute} {hour} {day} {month} {weekday}"


def _take_call(text: str, start: int) -> str:
    """The text of a call from its name to its closing bracket."""
    depth, index, is_quoted = 0, start, False
    while index < len(text):
        character = text[index]
        if is_quoted:
            if character == "\\":
                index += 1
            elif character == '"':
                is_quoted = False
        elif character == '"':
            is_quoted = True
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return text[start : index + 1]
        index += 1
    return text[start:]


_HCL_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|#[^\n]*|//[^\n]*|/\*.*?\*/|(?P<key>[\w-]+)(?=\s*=[^=])'
    r"|(?P<reference>[A-Za-z_][\w-]*(?:\.[\w-]+|\[[^\]\n]*\])+)",
    re.DOTALL,
)


def _quote_references(text: str) -> str:
    """Terraform text with each reference, such as ``aws_lambda_function.score.arn``, as a text with a placeholder."""

    def replace(found: re.Match[str]) -> str:
        if found["reference"]:
            inner = re.sub(r'["{}]', "", found["reference"])
            return f'"${{{inner}}}"'
        return "" if found[0].startswith(("#", "//", "/*")) else found[0]

    return _HCL_TOKEN.sub(replace, text)
