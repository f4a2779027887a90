"""Text of a source stays text, whatever it holds: in the DAG file a string constant that Jinja renders to itself."""

from __future__ import annotations

import ast
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.session
import jinja2
import pytest
from jinja2.sandbox import SandboxedEnvironment

from airflow_sm_pipelines.definition import Parameter
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import (
    Branch,
    CallNode,
    CallWait,
    ChoiceNode,
    LoopNode,
    Migration,
    MissingNode,
    OperatorNode,
    PipelineStepNode,
    Workflow,
    make_package,
)
from airflow_sm_pipelines.migrate.files.python_text import (
    Code,
    escape_template,
    quote_jinja,
    quote_python,
    render_call,
    render_docstring,
    render_import,
    render_value,
)
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS
from airflow_sm_pipelines.migrate.jobs import parse_jobs
from tests.migrate.workflows import after, get

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = {
    "single quotes": "'); boom() #'",
    "double quotes": '"); boom() #"',
    "triple quotes": '"""\nboom()\n"""',
    "single triple quotes": "'''\nboom()\n'''",
    "a backslash before a quote": "\\' \\\" \\\\",
    "a backslash at the end": "end\\",
    "line ends": "one\ntwo\r\nthree\rfour\n",
    "braces": "{} {0} {boom} }} {",
    "a brace at the end": "end{",
    "a Jinja expression": "{{ boom() }}",
    "a Jinja statement": "{% set x = boom() %}",
    "a Jinja comment": "{# gone #}",
    "the end of a raw block": "{% endraw %}{{ boom() }}{% raw %}",
    "whitespace control": "{%- endraw -%} {{- boom() -}}",
    "a Jinja constant's end": "' }}{{ boom() }}{{ '",
    "unicode line separators": "one\u2028boom()\u2029two\u0085three\x0bfour\x0cfive",
    "direction marks and surrogates": "\u202eboom()\u202c \ufeff\x00\x1f\x7f\ud800\U0001f600",
    "a comment": "# boom()",
    "an escape": "\\N{BULLET} \\x41 \\u0041",
}
EVERYTHING = " ".join(HOSTILE.values())
TEXTS = pytest.mark.parametrize("hostile", [*HOSTILE.values(), EVERYTHING], ids=[*HOSTILE, "all of them"])
MARK = re.compile(r"Q\d+q")
DERIVED = re.compile(
    r"[A-Za-z0-9_.-]+|\{\{ params\.\w+ \}\}|\{\{ params\['[A-Za-z0-9_-]+'\] \}\}"
    r"|\{\{ ti\.xcom_pull\(task_ids='[A-Za-z0-9_-]+', key='\w+'\) \}\}[/a-z.]*|Steps\.[A-Za-z0-9_-]+[A-Za-z0-9.\[\]]*",
    re.ASCII,
)
"""Names that files derive from jobs' names, and the references to them: nothing in them can be code."""
MODEL = botocore.session.get_session().get_service_model("sagemaker")


def render(template: str) -> str:
    """What Airflow's Jinja makes of a template in a run whose DAG has no params and no variables."""
    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, cache_size=0)
    moment = SimpleNamespace(strftime=lambda _: "20260101t000000")
    return environment.from_string(template).render(
        var={"value": {}}, dag_run=SimpleNamespace(run_after=moment), run_id="run", ti=None, params={}
    )


# --- the writer itself -----------------------------------------------------------------------------------------------


@TEXTS
def test_python_reads_a_quoted_text_as_it_was(hostile: str) -> None:
    assert ast.literal_eval(quote_python(hostile)) == hostile
    assert quote_python(hostile).isprintable()


@TEXTS
def test_jinja_renders_an_escaped_text_as_it_was(hostile: str) -> None:
    assert render(escape_template(hostile)) == hostile
    assert render(f"{{{{ {quote_jinja(hostile)} }}}}") == hostile


@TEXTS
def test_a_docstring_holds_the_text(hostile: str) -> None:
    assert ast.literal_eval(render_docstring(hostile)) == hostile.replace("\r\n", "\n")


@TEXTS
def test_keys_values_and_argument_names_stay_text(hostile: str) -> None:
    value: Any = {hostile: [hostile, {"x": hostile * 9}]}
    assert ast.literal_eval(render_value(value)) == value
    call = ast.parse(render_call("run", [("", hostile), (hostile, hostile), ("class", 1)], depth=0)).body[0]
    assert eval(compile(ast.Expression(call.value), "", "eval"), {"run": lambda *a, **k: (a, k)}) == (  # type: ignore[attr-defined] # noqa: S307
        (hostile,),
        {hostile: hostile, "class": 1},
    )


@pytest.mark.parametrize(
    "path", ["Operator", "", "a.b c", "a.b; boom()", "a.class", "a..B", "a.B\n", "os.system('x').B", "a.\uff42"]
)
def test_only_a_path_of_python_names_is_imported(path: str) -> None:
    with pytest.raises(MigrationError, match="is not the import path of an operator"):
        render_import(path)


def test_code_stands_as_it_is_and_numbers_read_back() -> None:
    assert render_value([Code("x.output"), 1, 0.5, True, None]) == "[x.output, 1, 0.5, True, None]"
    assert render_value(float("inf")) == 'float("inf")'


# --- whole files -----------------------------------------------------------------------------------------------------


class Texts:
    """Makes a marked text for each place, and knows them all."""

    def __init__(self, hostile: str) -> None:
        self._hostile = hostile
        self.made: set[str] = set()

    def __call__(self, prefix: str = "") -> str:
        text = f"{prefix}Q{len(self.made)}q{self._hostile}"
        self.made.add(text)
        return text


class _Shape(ast.NodeTransformer):
    """A syntax tree without its texts, and with the names that files derive from jobs' names numbered."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        return self._numbers.setdefault(name, f"n{len(self._numbers)}")

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("text") if isinstance(node.value, str) else node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._number(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._number(node.arg))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._number(node.name)
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        is_derived = node.arg is not None and "q" in node.arg.lower() and MARK.search(node.arg.upper()) is not None
        node.arg = self._number(str(node.arg)) if is_derived else node.arg
        return self.generic_visit(node)


def shape(source: str) -> str:
    return ast.dump(_Shape().visit(ast.parse(source)))


def iter_texts(source: str) -> Iterator[tuple[str, bool]]:
    """Every string constant that holds a marked text, and whether Airflow renders it."""
    tree = ast.parse(source)
    plain: set[int] = set()
    for node in ast.walk(tree):
        is_plain_call = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("DAG", "Param")
        )
        if is_plain_call or isinstance(node, (ast.FunctionDef, ast.Module)):
            own = [node] if is_plain_call else [one for one in node.body if isinstance(one, ast.Expr)]
            if isinstance(node, ast.FunctionDef):
                own = [node]  # the function that chooses a branch is Python, and no template
            plain |= {id(inner) for one in own for inner in ast.walk(one)}
        elif isinstance(node, ast.Dict):
            plain |= {id(key) for key in node.keys}  # Airflow renders no keys
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MARK.search(node.value):
            yield node.value, id(node) not in plain


def check_files(files: dict[str, str], texts: Texts, harmless: dict[str, str]) -> None:
    """Hold that the files have the texts as texts, and else are those of harmless texts."""
    name = next(iter(files))
    assert shape(files[name]) == shape(harmless[name])
    for constant, is_template in iter_texts(files[name]):
        if DERIVED.fullmatch(constant):
            continue
        text = render(constant) if is_template else constant
        # Line ends in docstrings are Python's, and the docstring of a function is one line.
        known = {form for made in texts.made for form in (made, made.replace("\r\n", "\n"), " ".join(made.split()))}
        if is_template:
            assert text in texts.made or DERIVED.fullmatch(text), (constant, text)
        else:
            assert any(made in text for made in known), constant
    for file, content in files.items():
        content.encode("utf-8")
        if file.endswith(".json"):
            json.loads(content)


# --- described jobs --------------------------------------------------------------------------------------------------


def describe(shape: Any, texts: Texts, *, name: str = "", without: tuple[str, ...] = (), depth: int = 0) -> Any:
    """An answer of a shape with a text of its own in every place, also where the API has an enumeration."""
    kind = shape.type_name
    if kind == "structure":
        return {
            key: describe(member, texts, name=key, depth=depth + 1)
            for key, member in shape.members.items()
            if key not in without and depth < 9
        }
    if kind == "list":
        return [describe(shape.member, texts, name=name, depth=depth + 1)]
    if kind == "map":
        return {texts(): describe(shape.value, texts, depth=depth + 1), "plain": describe(shape.value, texts, depth=9)}
    if kind == "string":
        return texts("s3://bucket/" if name.endswith(("Uri", "Url", "Path")) else "")
    return {"boolean": True, "timestamp": "2026-03-02T09:00:00Z"}.get(kind, 1)


STARTERS = ("TuningJobArn", "AutoMLJobArn", "LabelingJobArn", "MonitoringScheduleArn", "TrainingJobArn")
CASES = {
    **{kind.noun: (kind, ()) for kind in REQUEST_KINDS},
    "AutoMLJobV2 without a table": (next(one for one in REQUEST_KINDS if one.noun == "AutoMLJobV2"), ("Tabular",)),
}


def make_job(case: str, texts: Texts) -> Any:
    kind, hidden = CASES[case]
    others = tuple(member for member in STARTERS if member != kind.arn_member)
    answer = describe(MODEL.operation_model(f"Describe{kind.noun}").output_shape, texts, without=others)
    if hidden:
        del answer["AutoMLProblemTypeConfig"]["TabularJobConfig"]
    return answer


def migrate(answers: list[Any], origin: str) -> Migration:
    return parse_jobs([(f"{number}.json", answer) for number, answer in enumerate(answers)], name="flow", origin=origin)


@pytest.mark.parametrize("case", CASES)
@TEXTS
def test_every_field_of_a_described_job_stays_text(case: str, hostile: str) -> None:
    texts, harmless = Texts(hostile), Texts(" harmless")
    migrated = migrate([make_job(case, texts)], texts())
    files = make_package(migrated).files
    check_files(files, texts, make_package(migrate([make_job(case, harmless)], harmless())).files)
    assert len(migrated.workflow.nodes) == 1
    for node in migrated.workflow.nodes:
        assert isinstance(node, CallNode if case.endswith("table") else PipelineStepNode)


@TEXTS
def test_a_definition_has_the_texts_of_a_described_job_and_no_expression_of_its_own(hostile: str) -> None:
    texts = Texts(hostile)
    files = make_package(migrate([make_job("TrainingJob", texts)], "jobs")).files
    found = list(_iter_strings(json.loads(files["flow.definition.json"])))
    marked = [text for key, text in found if MARK.search(text) and key not in ("Name", "Get")]
    assert len(marked) > 40
    assert set(marked) <= texts.made
    assert {text for key, text in found if key == "Get"} <= {
        f"Parameters.{one['Name']}" for one in json.loads(files["flow.definition.json"])["Parameters"]
    }


def _iter_strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _iter_strings(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _iter_strings(item, key)
    elif isinstance(value, str):
        yield key, value


@pytest.mark.parametrize("text", ["Parameters.x", "Execution.PipelineName", "Steps.x'] }}{{ boom() }}", "plain"])
def test_a_described_text_is_no_expression(text: str) -> None:
    answer = make_job("TrainingJob", Texts(" harmless"))
    answer |= {
        "Environment": {"Get": text},
        "HyperParameters": {"Std:Join": text, "other": "1"},
        "RoleArn": {"Get": text},
    }
    migrated = migrate([answer], "jobs")
    (node,), (record,) = migrated.workflow.nodes, migrated.records
    assert isinstance(node, PipelineStepNode)
    assert "Environment" not in node.arguments
    assert "RoleArn" not in node.arguments
    assert node.arguments["HyperParameters"] == {"Std:Join": text, "other": "1"}
    assert {"Environment", "RoleArn"} <= set(record.lost)
    assert "JOB-TEXT-001" in [reason.code for reason in record.reasons]


@TEXTS
def test_a_hostile_name_of_an_output_reaches_no_reference(hostile: str) -> None:
    def read(texts: Texts) -> dict[str, str]:
        processing = make_job("ProcessingJob", texts)
        (output,) = processing["ProcessingOutputConfig"]["Outputs"]
        output["S3Output"]["S3Uri"] = "s3://bucket/prepared/data"
        automl = make_job("AutoMLJobV2 without a table", texts)
        automl["AutoMLJobInputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://bucket/prepared/data/x.csv"
        automl["CreationTime"] = "2026-03-02T12:00:00Z"
        return make_package(migrate([processing, automl], "jobs")).files

    texts = Texts(hostile)
    files = read(texts)
    check_files(
        {"flow.py": re.sub(r"Outputs\[[^]]*\]", "Outputs[0]", files["flow.py"])}, texts, read(Texts(" harmless"))
    )
    assert "ProcessingOutputConfig.Outputs[" in files["flow.py"]


# --- other sources ---------------------------------------------------------------------------------------------------


def make_workflow(texts: Texts) -> Migration:
    """A node of each kind, with a text of its own wherever a reader may put one."""
    wait = CallWait(texts(), {texts(): texts()}, texts(), (texts(),), (texts(),))
    condition: Any = {"Type": "Equals", "LeftValue": get("Tasks.Call.Status"), "RightValue": texts()}
    among: Any = {"Type": "In", "QueryValue": get("Parameters.Input"), "Values": [texts(), 1]}
    nodes = (
        CallNode("Call", texts(), texts(), texts(), {texts(): [texts(), {texts(): texts()}]}, (), wait),
        OperatorNode("Operator", texts(), "airflow.sdk.BaseOperator", {texts(): texts(), "text": texts()}),
        MissingNode("Missing", texts(), texts()),
        PipelineStepNode("Step", texts(), "Lambda", {texts(): texts()}, after("Call"), {"FunctionArn": texts()}),
        ChoiceNode(
            "Choice",
            texts(),
            (
                Branch((condition, among), (CallNode("Inner", texts(), "sqs", "send_message", {"Body": texts()}),)),
                Branch((), (PipelineStepNode("Fail", texts(), "Fail", {"ErrorMessage": texts()}),)),
            ),
            after("Call"),
        ),
        LoopNode(
            "Loop",
            texts(),
            [texts(), texts()],
            (
                ChoiceNode(
                    "Test",
                    texts(),
                    (
                        Branch(({"Type": "Equals", "LeftValue": get("ForEach.CurrentItem"), "RightValue": texts()},)),
                        Branch(()),
                    ),
                ),
            ),
        ),
    )
    parameters = (Parameter("Input", "String", texts(), (texts(),)), Parameter("Other", "String", texts()))
    workflow = Workflow("flow", nodes, parameters, description=texts(), schedule=texts())
    return Migration(texts(), workflow, ())


@TEXTS
def test_every_text_of_a_workflow_stays_text(hostile: str) -> None:
    texts = Texts(hostile)
    files = make_package(make_workflow(texts)).files
    check_files(files, texts, make_package(make_workflow(Texts(" harmless"))).files)


@TEXTS
def test_a_joined_text_renders_to_its_parts(hostile: str) -> None:
    joined: Any = {"Std:Join": {"On": hostile, "Values": ["{", get("Execution.PipelineArn"), hostile, "%}"]}}
    call = CallNode("Call", "source", "sqs", "send_message", {"Body": joined})
    source = make_package(Migration("test", Workflow("flow", (call,)), ())).files["flow.py"]
    (template,) = [
        node.values[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict) and node.keys and getattr(node.keys[0], "value", "") == "Body"
    ]
    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, cache_size=0)
    rendered = environment.from_string(template).render(dag=SimpleNamespace(dag_id="flow"))
    assert rendered == hostile.join(["{", "flow", hostile, "%}"])
