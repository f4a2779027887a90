"""A document is a definition, or holds some; each form gives the definition that it was made of."""

from __future__ import annotations

import datetime
import json
import pprint
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import definition_hash, parse_definition
from airflow_sm_pipelines.documents import HeldDefinition, Variables, choose_definition, parse_held, read_document
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFINITION: dict[str, Any] = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Text", "Type": "String", "DefaultValue": 'quote " back \\ tab \t ☃ ' + "${HOME} %{ if }"}],
    "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "two\nlines, and 'both' \"quotes\" \\n"}}],
}
TEXT = json.dumps(DEFINITION, indent=1)
WHEN = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
ATTRIBUTES = {"pipeline_name": "p", "pipeline_definition": TEXT, "pipeline_definition_s3_location": [], "tags": None}
ANSWER = {
    "PipelineArn": "arn:aws:sagemaker:us-east-1:111122223333:pipeline/p",
    "PipelineName": "p",
    "PipelineDefinition": TEXT,
    "PipelineDescription": "What it is for",
    "ParallelismConfiguration": {"MaxParallelExecutionSteps": 3},
    "CreationTime": "2024-01-01T00:00:00+00:00",
}
NO_PLACEHOLDERS = TEXT.replace("${", "$ {").replace("%{", "% {")
MANIFEST: dict[str, Any] = {
    "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
    "kind": "Pipeline",
    "metadata": {"name": "p"},
    "spec": {"pipelineName": "p", "pipelineDefinition": TEXT.replace("${", "$ {")},
}


def template(body: Any) -> dict[str, Any]:
    properties = {"PipelineName": "p", "PipelineDefinition": {"PipelineDefinitionBody": body}}
    return {"Resources": {"Train": {"Type": "AWS::SageMaker::Pipeline", "Properties": properties}}}


def resource(**members: Any) -> dict[str, Any]:
    return {"address": "module.ml.aws_sagemaker_pipeline.train", "type": "aws_sagemaker_pipeline", **members}


def state(values: dict[str, Any]) -> dict[str, Any]:
    module = {"child_modules": [{"resources": [resource(values=values)]}]}
    return {"format_version": "1.0", "terraform_version": "1.9.0", "values": {"root_module": module}}


def block(text: str, tag: str = "") -> str:
    lines = "\n".join(f"          {line}" for line in text.split("\n"))
    return (
        "AWSTemplateFormatVersion: 2010-09-09\nResources:\n  Train:\n    Type: AWS::SageMaker::Pipeline\n"
        "    Properties:\n      RoleArn: !GetAtt Role.Arn\n      PipelineDefinition:\n"
        f"        PipelineDefinitionBody: {tag}|\n{lines}\n"
    )


def console(value: Any, indent: str = "") -> str:
    """A value as ``terraform console`` prints it."""
    inner = f"{indent}  "
    if isinstance(value, dict):
        return (
            "{\n" + "".join(f'{inner}"{key}" = {console(item, inner)}\n' for key, item in value.items()) + indent + "}"
        )
    if isinstance(value, list):
        return "[\n" + "".join(f"{inner}{console(item, inner)},\n" for item in value) + indent + "]"
    if isinstance(value, str) and "\n" in value:
        return (
            f"<<{'-' * bool(indent)}EOT\n" + "".join(f"{indent}{one}\n" for one in value.split("\n")) + indent + "EOT"
        )
    return json.dumps(value)


AS_TEXT = TEXT.replace("${", "${!")
FORMS: dict[str, tuple[str, str | Callable[[], str]]] = {
    "a definition": ("d.json", TEXT),
    "an answer": ("d.json", json.dumps(ANSWER)),
    "answers in a list": ("d.json", json.dumps([ANSWER])),
    "an answer that boto3 gave, printed": (
        "d.txt",
        repr({**ANSWER, "CreationTime": WHEN}),
    ),
    "the same by pprint": (
        "d.txt",
        pprint.pformat({**ANSWER, "LastRunTime": WHEN}),
    ),
    "a JSON string": ("d.json", json.dumps(TEXT)),
    "a string in a string": ("d.json", json.dumps({**ANSWER, "PipelineDefinition": json.dumps(TEXT)})),
    "a plan of Terraform": (
        "p.json",
        json.dumps({"format_version": "1.2", "resource_changes": [resource(change={"after": ATTRIBUTES})]}),
    ),
    "a state of Terraform": ("s.json", json.dumps(state(ATTRIBUTES))),
    "the provider awscc": (
        "s.json",
        json.dumps(state({"pipeline_definition": {"pipeline_definition_body": TEXT}})),
    ),
    "a state file": (
        "terraform.tfstate",
        json.dumps(
            {
                "terraform_version": "1.9.0",
                "resources": [{**resource(name="train"), "instances": [{"index_key": 0, "attributes": ATTRIBUTES}]}],
            }
        ),
    ),
    "outputs of Terraform": ("o.json", json.dumps({"d": {"sensitive": False, "type": "string", "value": TEXT}})),
    "a heredoc": ("c.txt", console(TEXT)),
    "a resource on the console": ("c.txt", console(ATTRIBUTES)),
    "a value on the console": ("c.txt", console(DEFINITION)),
    "a string on the console": ("c.txt", console(json.dumps(DEFINITION))),
    "JSON configuration of Terraform": (
        "cdk.tf.json",
        json.dumps(
            {
                "resource": {
                    "aws_sagemaker_pipeline": {
                        "train": {"pipeline_definition": TEXT.replace("${", "$${").replace("%{", "% {")}
                    }
                }
            }
        ),
    ),
    "the same with a list for each block": (
        "main.tf.json",
        json.dumps(
            {
                "resource": [
                    {"aws_s3_bucket": {"b": {}}},
                    {"aws_sagemaker_pipeline": [{"train": [{"pipeline_definition": NO_PLACEHOLDERS}]}]},
                ]
            }
        ),
    ),
    "a stack of Terraform": (
        "s.json",
        json.dumps(
            {
                "format_version": "1.0",
                "values": {
                    "root_module": {
                        "resources": [
                            {
                                "address": "aws_cloudformation_stack.s",
                                "type": "aws_cloudformation_stack",
                                "values": {"template_body": json.dumps(template(TEXT))},
                            }
                        ]
                    }
                },
            }
        ),
    ),
    "a template": ("t.json", json.dumps(template(TEXT))),
    "Fn::Sub": ("t.json", json.dumps(template({"Fn::Sub": AS_TEXT}))),
    "Fn::Sub with values": ("t.json", json.dumps(template({"Fn::Sub": [AS_TEXT, {"A": "b"}]}))),
    "Fn::Join": ("t.json", json.dumps(template({"Fn::Join": ["", [TEXT[:50], TEXT[50:]]]}))),
    "Fn::ToJsonString": ("t.json", json.dumps(template({"Fn::ToJsonString": DEFINITION}))),
    "an object": ("t.json", json.dumps(template(DEFINITION))),
    "a block of YAML": ("t.yaml", block(TEXT)),
    "!Sub": ("t.yml", block(AS_TEXT, "!Sub ")),
    "YAML of another name": ("t.template", block(TEXT)),
    "an answer of get-template": ("t.json", json.dumps({"TemplateBody": block(TEXT)})),
    "a manifest of Kubernetes": ("m.yaml", "kind: Namespace\n---\n" + json.dumps(MANIFEST)),
    "a manifest of Crossplane": (
        "m.yaml",
        json.dumps({**MANIFEST, "spec": {"forProvider": {"region": "r", **MANIFEST["spec"]}}}),
    ),
    "a service of the Serverless Framework": (
        "serverless.yml",
        json.dumps({"service": "ml", "resources": template(NO_PLACEHOLDERS)}),
    ),
    "the same with a list of templates": (
        "serverless.yml",
        json.dumps({"service": "ml", "resources": [{"Outputs": {}}, template(NO_PLACEHOLDERS)]}),
    ),
    "a definition as YAML": (
        "d.yaml",
        json.dumps(DEFINITION, indent=1).replace('"Version": "2020-12-01"', "Version: 2020-12-01"),
    ),
}
CHANGED = (
    "JSON configuration of Terraform",
    "the same with a list for each block",
    "a manifest of Kubernetes",
    "a manifest of Crossplane",
    "a service of the Serverless Framework",
    "the same with a list of templates",
)
"""Forms whose definition above differs a little, because such text would be a placeholder or a directive there."""


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_definition_that_it_was_made_of(form: str) -> None:
    name, text = FORMS[form]
    (held,) = read_document(str(text).encode(), name=name)
    expected = definition_hash(parse_definition(DEFINITION))
    if form in CHANGED:
        text = held.text if isinstance(held.text, str) else held.text.decode()
        held = HeldDefinition(text.replace("$ {", "${").replace("% {", "%{"))
    assert definition_hash(parse_definition(held.text)) == expected


def test_an_answer_gives_what_stands_beside_the_definition() -> None:
    (held,) = read_document(json.dumps(ANSWER), name="a.json")
    assert (held.name, held.description) == ("p", "What it is for")
    assert held.parallelism == {"MaxParallelExecutionSteps": 3}
    assert held.unknown == ()


def test_a_plan_gives_before_and_after() -> None:
    before = {**ATTRIBUTES, "pipeline_definition": TEXT.replace("Stop", "Halt")}
    changes = [
        resource(change={"before": before, "after": ATTRIBUTES}),
        {**resource(change={"before": None, "after": ATTRIBUTES}), "address": "aws_sagemaker_pipeline.new"},
        {**resource(change={"before": before, "after": None}), "address": "aws_sagemaker_pipeline.gone"},
    ]
    changed, new = read_document(json.dumps({"format_version": "1", "resource_changes": changes}), name="p.json")
    assert changed.has_before
    assert changed.before is not None
    assert [step.name for step in parse_held(changed.before, name="p")[0].steps] == ["Halt"]
    assert (new.has_before, new.before) == (True, None)


@pytest.mark.parametrize(
    "wanted",
    ["module.ml.aws_sagemaker_pipeline.b", "b-name", "b"],
    ids=["address", "pipeline's name", "last part"],
)
def test_one_of_several_is_named(wanted: str) -> None:
    held = [HeldDefinition(TEXT, id=f"module.ml.aws_sagemaker_pipeline.{one}", name=f"{one}-name") for one in "ab"]
    assert choose_definition(held, wanted=wanted, name="p.json").name == "b-name"


def test_several_are_listed_and_a_wrong_name_gets_the_nearest() -> None:
    held = [HeldDefinition(TEXT, id="Train"), HeldDefinition(TEXT, id="Score")]
    with pytest.raises(DefinitionError, match=r"holds 2 pipelines: 'Train', 'Score'\. Name one, as t\.yaml#Train\."):
        choose_definition(held, wanted=None, name="t.yaml")
    with pytest.raises(DefinitionError, match="Did you mean 'Train'"):
        choose_definition(held, wanted="Trian", name="t.yaml")


UNKNOWN_PLAN = {
    "format_version": "1.2",
    "resource_changes": [
        resource(
            change={"before": None, "after": {"pipeline_name": "p"}, "after_unknown": {"pipeline_definition": True}}
        )
    ],
    "configuration": {
        "root_module": {
            "module_calls": {
                "ml": {
                    "module": {
                        "resources": [
                            {
                                "address": "aws_sagemaker_pipeline.train",
                                "expressions": {"pipeline_definition": {"references": ["aws_s3_bucket.data.id"]}},
                            }
                        ]
                    }
                }
            }
        }
    },
}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "p.json",
            json.dumps(UNKNOWN_PLAN),
            r"p\.json:1:\d+: .* applied the plan\. It depends on aws_s3_bucket\.data\.id",
        ),
        (
            "t.yaml",
            block("x").replace("|\n          x", "!Ref Body"),
            r"t\.yaml:8:33: .* give it with --var 'Body=TEXT'",
        ),
        ("t.yaml", block("x").replace("|\n          x", "12"), r"t\.yaml:8:33: .* the number 12, not a JSON object"),
        (
            "t.yaml",
            block("x").replace("|\n          x", "file://d.json"),
            r"t\.yaml:8:33: .* 'file://d\.json', not a JSON",
        ),
        (
            "t.json",
            json.dumps(template(None)).replace(
                '"PipelineDefinitionBody": null', '"PipelineDefinitionS3Location": {"Bucket": {"Ref": "B"}, "Key": "k"}'
            ),
            r"t\.json:1:\d+: the definition of 'Train' is in S3, at s3://\$\{B\}/k",
        ),
        (
            "a.tf.json",
            json.dumps({"resource": {"aws_sagemaker_pipeline": {"p": {"pipeline_definition": '${file("x.json")}'}}}}),
            r"a\.tf\.json:1:\d+: .*\$\{file\(\"x\.json\"\)\}, which this file does not hold",
        ),
        ("t.yaml", "Resources: {\n", r"t\.yaml:2:1: this is not YAML"),
        ("t.yaml", "Resources:\n  A: !vault x\n", r"t\.yaml:2:6: .*the tag !vault is none of CloudFormation's"),
        ("t.yaml", "Resources: !!python/object/apply:os.getcwd []\n", r"t\.yaml:1:12: this is not YAML"),
        ("t.yaml", "Resources:\n  B: {Type: AWS::S3::Bucket}\n", r"t\.yaml holds no pipeline"),
        ("a.txt", repr(ANSWER)[:80], r"a\.txt:1:\d+: this begins as a Python dict"),
        ("c.txt", "<<EOT\n{\n", r"c\.txt:2:1: .*a line with EOT alone"),
        ("c.txt", '{\n  "pipeline_definition" = \n', r"c\.txt:3:1: this is no value of Terraform"),
        ("m.tf", 'resource "aws_sagemaker_pipeline" "p" {}', r"m\.tf is Terraform's own language"),
        ("d.json.tftpl", '{"Steps": [\n%{ for x in xs ~}\n', r"d\.json\.tftpl:2:1: %\{ for x in xs ~\} is a directive"),
        ("d.json.tftpl", '{"Steps": ${steps}}', r"d\.json\.tftpl: 'Steps' is \$\{steps\}, which is not filled in"),
        ("s.json", '{"format_version": "1.0"}', r"s\.json holds no pipeline"),
    ],
    ids=[
        "known after apply",
        "a parameter without a default",
        "a number",
        "a file's name",
        "in S3",
        "file()",
        "truncated YAML",
        "another tool's tag",
        "a Python tag",
        "no pipeline",
        "truncated Python",
        "heredoc without end",
        "console cut off",
        "HCL",
        "directive",
        "unknown steps",
        "empty state",
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence_with_its_place(name: str, text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        read_document(text, name=name)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{'a': " * 10_000, '{"a" = ' * 20_000], ids=["JSON", "Python", "Terraform"]
)
def test_deep_nesting_is_an_error_like_any_other(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse_held(read_document(text, name="deep")[0], name="deep")


def test_yaml_aliases_cannot_make_a_few_lines_endless() -> None:
    levels = "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    text = f"a: &a [x]\n{levels}" + block("x").replace("|\n          x", "*h").replace("AWSTemplateFormatVersion", "V")
    with pytest.raises(DefinitionError, match="far larger than a definition can be"):
        read_document(text, name="bomb.yaml")


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.json", lambda text: json.dumps({**ANSWER, "PipelineDefinition": text}, indent=1)), ("t.yaml", block)],
    ids=["JSON string", "YAML block"],
)
def test_a_problem_is_told_with_the_documents_own_line(name: str, make: Callable[[str], str]) -> None:
    text = make('{"Version": "2020-12-01",\n "Metadata": {"\\u2603\\\\": 1},\n "Steps": "HERE"}')
    (held,) = read_document(text, name=name)
    index = text.index('\\"HERE') + 1 if name == "a.json" else text.index('"HERE')
    line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
    # In the string, the quotation mark is written as two characters, and begins at the first.
    column -= name == "a.json"
    with pytest.raises(DefinitionError, match=rf"^{name}:{line}:{column}: Steps: "):
        parse_held(held, name=name)


def test_a_document_that_may_be_anything_gives_what_it_has() -> None:
    assert read_document('{"name": "package"}', name="package.json", is_any=True) == ()
    assert read_document("%PDF", name="x.json", is_any=True) == ()
    assert len(read_document(json.dumps(ANSWER), name="a.json", is_any=True)) == 1
    assert Variables().unused == ()


PROPERTIES = template(TEXT)["Resources"]["Train"]["Properties"]
DESCRIBED: dict[str, tuple[Any, dict[str, Any]]] = {
    "an answer": (ANSWER, {"id": "", "parallelism": {"MaxParallelExecutionSteps": 3}}),
    "an answer without a name": (
        {name: value for name, value in ANSWER.items() if name != "PipelineName"},
        {"id": "", "parallelism": {"MaxParallelExecutionSteps": 3}},
    ),
    "a request in CloudFormation's form": (
        {
            "PipelineName": "p",
            "PipelineDescription": "What it is for",
            "PipelineDefinition": {"PipelineDefinitionBody": NO_PLACEHOLDERS},
        },
        {"id": ""},
    ),
    "a state of Terraform": (
        state({**ATTRIBUTES, "pipeline_description": "What it is for"}),
        {"id": "module.ml.aws_sagemaker_pipeline.train"},
    ),
    "a template": (
        {
            "Resources": {
                "Train": {
                    "Type": "AWS::SageMaker::Pipeline",
                    "Properties": {
                        **PROPERTIES,
                        "PipelineDescription": "What it is for",
                        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 4},
                    },
                }
            }
        },
        {"id": "Train", "parallelism": {"MaxParallelExecutionSteps": 4}},
    ),
    "a manifest": (
        {**MANIFEST, "metadata": {"name": "m"}, "spec": {**MANIFEST["spec"], "pipelineDescription": "What it is for"}},
        {"id": "m"},
    ),
}


@pytest.mark.parametrize(("document", "expected"), DESCRIBED.values(), ids=DESCRIBED)
def test_a_pipeline_is_found_with_its_name_its_description_and_how_many_steps_may_run(
    document: Any, expected: dict[str, Any]
) -> None:
    (held,) = read_document(json.dumps(document), name="d.json")
    found = {"name": held.name, "description": held.description, "parallelism": held.parallelism, "id": held.id}
    assert found == {"name": "p", "description": "What it is for", "parallelism": None, **expected}


S3_ATTRIBUTES = {
    **ATTRIBUTES,
    "pipeline_definition": None,
    "pipeline_definition_s3_location": [{"bucket": "b", "object_key": "k"}],
}


@pytest.mark.parametrize(
    "document",
    [
        {**ANSWER, "PipelineDefinition": None, "PipelineDefinitionS3Location": {"Bucket": "b", "ObjectKey": "k"}},
        {"PipelineName": "p", "PipelineDefinition": {"PipelineDefinitionS3Location": {"Bucket": "b", "Key": "k"}}},
        state(S3_ATTRIBUTES),
    ],
)
def test_a_definition_that_stands_in_s3_is_named_where_it_is(document: Any) -> None:
    with pytest.raises(DefinitionError, match=r"is in S3, at s3://b/k\. Copy it from there"):
        read_document(json.dumps(document), name="d.json")
