"""The same value gets the same verdict everywhere: in `validate`, in CreatePipeline and in the Create call of the job.

Arguments are generated for every type of step whose call the model knows, half of them with one fault, and judged by

* ``validate``: the policy over a definition, in which some parts are expressions;
* CreatePipeline on the engine, which leaves patterns and the shortest length of texts to the job;
* the decoder of the job's Create call, on the arguments without expressions and with what the step adds: no job starts;
* botocore's own validator and slow, obvious rules for what it leaves out, which share nothing with the package.

``make test`` takes 1,000 of them; ``make differential`` takes 20,000 and asserts that each constraint of each shape was
broken at least once. ``SM_PIPELINES_DIFFERENTIAL_ROUNDS`` sets the number. A case's chances come from its number.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS, with_name, with_role, with_text_values
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy import Severity, check_definition, member_rules
from airflow_sm_pipelines.server.sagemaker_codec import RequestRefusedError, SageMakerCodec
from airflow_sm_pipelines.service_model import EACH, STEP_CALLS, FaultKind, judge_arguments, load_service_model
from tests.engine.fake_world import World
from tests.service_model import independent_judge
from tests.service_model.argument_maker import ArgumentMaker, Constraint, find_ways, iter_kinds
from tests.service_model.java_pattern import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.engine import Engine
    from airflow_sm_pipelines.service_model import Shape, StepCall
    from tests.service_model.argument_maker import Turn

SAMPLE = 1_000
FULL = 20_000
ROUNDS = int(os.environ.get("SM_PIPELINES_DIFFERENTIAL_ROUNDS", str(SAMPLE)))
TEXT_ROUNDS = max(300, ROUNDS // 20)

MODEL = load_service_model()
CODEC = SageMakerCodec()
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
ATTRIBUTES = {"QualityCheck": {"CheckType": "DATA_QUALITY"}, "ClarifyCheck": {"CheckType": "DATA_BIAS"}}
EXPRESSIONS: list[Any] = [
    {"Get": "Parameters.P"},
    {"Get": "Execution.PipelineName"},
    {"Std:Join": {"On": "-", "Values": ["a", {"Get": "Parameters.P"}]}},
    {"Std:JsonGet": {"S3Uri": "s3://bucket/key", "Path": "a.b"}},
]
TEXTS_THAT_FIT_ANY = ["a*b", "a b", " ", "*", "é", "!!", "\x00", "-", "/", "\n", "中", "a\n*"]


@dataclass(frozen=True)
class Hidden:
    """A value in whose place the definition has an expression."""

    value: Any
    expression: Any


@dataclass(frozen=True)
class Case:
    """Arguments of a step.

    :param arguments: as the definition has them.
    :param without_role: with values in place of the expressions.
    :param request: with the name and the role that the step adds to them.
    :param broken: what was broken on purpose; None for good arguments.
    """

    step_type: str
    arguments: dict[str, Any]
    without_role: Any
    request: Any
    broken: Constraint | None

    @property
    def is_wrong(self) -> bool:
        return self.broken is not None and self.broken.kind.is_wrong

    def definition(self) -> str:
        step = {"Name": "S", "Type": self.step_type, "Arguments": self.arguments, **ATTRIBUTES.get(self.step_type, {})}
        return json.dumps({"Version": "2020-12-01", "Parameters": [{"Name": "P", "Type": "String"}], "Steps": [step]})


def iter_constraints(call: StepCall) -> Iterator[tuple[Constraint, tuple[Turn, ...]]]:
    """Everything that can be wrong with the arguments of a call, with a way to it."""
    for shape, way in find_ways(MODEL.get_request_shape(call.operation)).values():
        for kind in iter_kinds(shape, is_key=bool(way) and way[-1][0] == "key"):
            if kind is not FaultKind.WRONG_PATTERN or not matches_any(shape):
                yield Constraint(call.operation, shape, kind), way
        place = tuple(name if kind == "member" else EACH for kind, name in way)
        for member in shape.required_members:
            if (*place, member) not in call.may_miss:
                yield Constraint(call.operation, shape, FaultKind.MISSING_MEMBER, member), way


def matches_any(shape: Shape) -> bool:
    """Whether a pattern says no more than the length does: ``.*``."""
    texts = [text for text in TEXTS_THAT_FIT_ANY if text or not shape.minimum]
    return all(matches(shape.spelled_pattern, text) for text in texts)


def plan_cases() -> list[tuple[str, Constraint | None, tuple[Turn, ...]]]:
    """For each round the step type, and every other time what to break; in each pass over the constraints all."""
    sites = [(kind, *site) for kind, call in STEP_CALLS.items() for site in iter_constraints(call)]
    random.Random(0).shuffle(sites)
    first = {site[1].kind: site for site in reversed(sites)}  # so that a sample has each kind
    sites = [*first.values(), *(site for site in sites if first[site[1].kind] is not site)]
    types = list(STEP_CALLS)
    good: list[tuple[str, Constraint | None, tuple[Turn, ...]]] = [(kind, None, ()) for kind in types]
    return [sites[i // 2 % len(sites)] if i % 2 else good[i // 2 % len(good)] for i in range(ROUNDS)]


def make_case(number: int, step_type: str, broken: Constraint | None, way: tuple[Turn, ...]) -> Case:
    chance = random.Random(number)

    def hide(value: Any) -> Any:
        is_single = not isinstance(value, (dict, list))
        return Hidden(value, chance.choice(EXPRESSIONS)) if is_single and chance.random() < 0.1 else value

    maker = ArgumentMaker(chance, hide, TEXTS)
    call = STEP_CALLS[step_type]
    root = MODEL.get_request_shape(call.operation)
    if broken is None:
        made = maker.make(root)
        made = made.value if isinstance(made, Hidden) else made
        made = {name: value for name, value in made.items() if name not in call.closed}
    else:
        made = maker.make(root, way, lambda shape: maker.break_value(shape, broken.kind, broken.member))
    values = spell(made, in_definition=False)
    return Case(step_type, spell(made, in_definition=True), values, complete(call, values), broken)


TEXTS: dict[str, list[str]] = {}
"""Good texts of each shape: they take long to find, and are always the same."""


def spell(value: Any, *, in_definition: bool) -> Any:
    """The value with each hidden part as it stands in the definition, or as it comes to the job's call."""
    if isinstance(value, Hidden):
        return value.expression if in_definition else spell(value.value, in_definition=False)
    if isinstance(value, dict):
        return {key: spell(item, in_definition=in_definition) for key, item in value.items()}
    return [spell(item, in_definition=in_definition) for item in value] if isinstance(value, list) else value


def complete(call: StepCall, request: Any) -> Any:
    """The request with what the step adds to its arguments: the name of what it makes, and the pipeline's role."""
    if not isinstance(request, dict):  # that is the fault
        return request
    given = {key: value for key, value in request.items() if value is not None}
    request = {**request, **({call.name_member: "job-1"} if call.name_member and call.name_member not in given else {})}
    for first, *rest in call.roles:
        if not rest:
            request = complete_role(request)
        elif first in given:
            several = given[first]
            request[first] = [*map(complete_role, several)] if isinstance(several, list) else complete_role(several)
    return request


def complete_role(request: Any) -> Any:
    """The request with the pipeline's role, where it is one and names none."""
    return {**request, "RoleArn": ROLE} if isinstance(request, dict) and request.get("RoleArn") is None else request


def is_wrong_to_validate(text: str) -> bool:
    try:
        findings = check_definition(parse_definition(text))
    except DefinitionError:
        return True
    return any(finding.severity is Severity.ERROR for finding in findings)


def is_wrong_to_create_pipeline(engine: Engine, name: str, text: str) -> bool:
    request = {"PipelineName": name, "RoleArn": ROLE, "ClientRequestToken": name.ljust(32, "-")}
    try:
        engine.call("CreatePipeline", {**request, "PipelineDefinition": text})
    except ServiceError as error:
        return error.code == "ValidationException"
    return False


def is_wrong_to_the_call(operation: str, request: Any) -> bool:
    try:
        CODEC.decode(operation, json.dumps(request).encode())
    except RequestRefusedError:
        return True
    return False


def gives_closed_member(call: StepCall, case: Case) -> bool:
    """Whether what was broken is in a member that a step may not give at all."""
    return isinstance(case.arguments, dict) and not call.closed.isdisjoint(case.arguments)


def is_left_to_the_job(broken: Constraint | None) -> bool:
    """Whether CreatePipeline takes what the job's Create call refuses: patterns, and texts that are too short."""
    if broken is None or broken.kind is FaultKind.WRONG_PATTERN:
        return True
    return broken.kind is FaultKind.BELOW_MINIMUM and broken.shape.type_name == "string"


def expression_type(value: Any) -> str | None:
    return "String" if is_expression(value) else None


def is_wrong_to_the_step(step_type: str, case: Case) -> bool:
    """Whether the engine's step of a job would be refused: what it makes of the arguments comes to the job's call."""
    call, request = STEP_CALLS[step_type], case.without_role
    kind = next((kind for kind in JOB_KINDS.values() if kind.create_operation == call.operation), None)
    if kind is not None and isinstance(request, dict):
        request = with_role(kind, with_text_values(request, case.arguments), ROLE)
        request = with_name(kind, request, "job-1")
    return is_wrong_to_the_call(call.operation, request if kind is not None else case.request)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world.open()
    world.engine.stop()


@pytest.mark.timeout(3600)
def test_arguments_get_one_verdict_from_every_judge(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Made arguments know nothing of the rules between members, which are asked in one place only.
    monkeypatch.setattr(member_rules, "RULES", {})
    hit: set[tuple[str, str, str, str]] = set()
    verdicts: Counter[bool] = Counter()
    for number, (step_type, broken, way) in enumerate(plan_cases()):
        case = make_case(number, step_type, broken, way)
        call, text = STEP_CALLS[step_type], case.definition()
        story = f"case {number}: {step_type} {broken.label if broken else 'good'} {text}"
        assert is_wrong_to_validate(text) is case.is_wrong, f"validate, {story}"
        assert is_wrong_to_the_call(call.operation, case.request) is case.is_wrong, f"the call, {story}"
        assert is_wrong_to_the_step(step_type, case) is case.is_wrong, f"the step, {story}"
        assert independent_judge.is_wrong(call.operation, case.request) is case.is_wrong, f"independent, {story}"
        is_refused = is_wrong_to_create_pipeline(engine, f"p{number}", text)
        is_due = case.is_wrong and (gives_closed_member(call, case) or not is_left_to_the_job(case.broken))
        assert is_refused is is_due, f"CreatePipeline, {story}"
        for fault in judge_arguments(call, case.arguments, expression_type=expression_type).faults:
            member = str(fault.path[-1]) if fault.kind is FaultKind.MISSING_MEMBER else ""
            hit.add((call.operation, fault.shape.name, fault.kind.value, member))
        verdicts[case.is_wrong] += 1
    wanted = {site[0].label for call in STEP_CALLS.values() for site in iter_constraints(call)}
    kinds = Counter(label[2] for label in wanted & hit)
    print(f"\n{ROUNDS} cases {dict(verdicts)}; {len(wanted & hit)} of {len(wanted)} constraints broken: {dict(kinds)}")
    assert kinds.keys() == {label[2] for label in wanted}
    assert verdicts[True] > ROUNDS * 0.45
    if ROUNDS >= FULL:
        assert wanted <= hit, sorted(wanted - hit)[:20]


def make_texts(number: int) -> str:
    """A definition whose names, descriptions and defaults are odd now and then."""
    chance = random.Random(number)

    def text(longest: int) -> str:
        letters = chance.choice(("ab-_9", "ab", "a b", "é", "a*", "a\n", ""))
        length = chance.choice((1, 5, longest - 5, longest - 4, longest - 3, longest, longest + 1))
        return "".join(chance.choice(letters) for _ in range(length)) if letters else ""

    def step(name: str) -> dict[str, Any]:
        step: dict[str, Any] = {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": "m"}}
        if chance.random() < 0.3:
            step["DisplayName"] = text(256)
        if chance.random() < 0.3:
            step["Description"] = text(3072)
        return step

    names = [text(64) if chance.random() < 0.4 else "Step"]
    steps = [step(name) for name in names]
    if chance.random() < 0.4:
        inner = {**step(text(64)), "Type": "Training", "Arguments": TRAINING}
        each = {"IterableItems": ["a"], "MaxConcurrency": 1, "ForEachBody": [inner]}
        steps = [{"Name": "Each", "Type": "ForEach", "Arguments": each}]
    parameter: dict[str, Any] = {"Name": text(256) if chance.random() < 0.3 else "P", "Type": "String"}
    if chance.random() < 0.4:
        parameter["DefaultValue"] = text(1024)
    return json.dumps({"Version": "2020-12-01", "Parameters": [parameter], "Steps": steps})


TRAINING = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/key"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@pytest.mark.timeout(3600)
def test_names_and_descriptions_get_one_verdict_from_validate_and_create_pipeline(engine: Engine) -> None:
    verdicts: Counter[bool] = Counter()
    for number in range(TEXT_ROUNDS):
        text = make_texts(number)
        is_wrong = is_wrong_to_create_pipeline(engine, f"t{number}", text)
        assert is_wrong_to_validate(text) is is_wrong, f"case {number}: {text:.3000}"
        verdicts[is_wrong] += 1
    assert min(verdicts[True], verdicts[False]) > TEXT_ROUNDS // 10
