"""One round of the fuzz of definitions: a valid one with something changed, made a pipeline of, and run."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engine.fake_world import ROLE
from tests.fuzz.api_fuzz import DEFINITIONS, UnfitAnswerError
from tests.fuzz.shape_values import RequestMaker, iter_places

if TYPE_CHECKING:
    from tests.fuzz.api_fuzz import ApiFuzz

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "definitions"
#: What may stand where a value stands.
EXPRESSIONS: tuple[Any, ...] = (
    {"Get": "Parameters.P"}, {"Get": "Steps.A.ProcessingJobStatus"}, {"Get": "Steps.A"}, {"Get": "Steps..x[0"},
    {"Get": ""}, {"Get": "Execution.PipelineName"}, {"Get": "Execution.Nothing"}, {"Get": "Loop.x"},
    {"Get": "ForEach.CurrentItem"},
    {"Get": 5}, {"Get": "Steps.A.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"},
    {"Std:Join": {"On": "-", "Values": ["a", {"Get": "Parameters.P"}]}}, {"Std:Join": {"On": "", "Values": []}},
    {"Std:Join": {"Values": [{"Std:Join": {"On": 1, "Values": None}}]}},
    {"Std:JsonGet": {"S3Uri": "s3://bucket/key", "Path": "a[0].b"}}, {"Std:JsonGet": {"Path": ""}}, {"Std:Nonsense": 1},
    {"Type": "Not", "Condition": None}, [[[[]]]], {"IterableItems": "x"},
)  # fmt: skip


def load_examples() -> list[Any]:
    """Valid definitions to begin from."""
    texts = [text for text in DEFINITIONS if text.startswith('{"Version"')]
    texts += [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.json"))]
    return [json.loads(text) for text in texts]


def shoot_definition(fuzz: ApiFuzz, examples: list[Any], seed: int) -> str:
    """Change a definition somewhere, create or update a pipeline with it, and run that to its end.

    :return: how far it came.
    :raises UnfitAnswerError: where the engine does not answer with a typed error, or cannot drive what it took.
    """
    chance = random.Random(seed)
    document = copy.deepcopy(chance.choice(examples))
    maker = RequestMaker(chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        document = _change(document, chance, maker)
    text = json.dumps(document)
    story = f"seed {seed}: {text[:1500]}"
    name, token = f"fuzzed-{seed}", f"{seed:032d}"
    request = {"PipelineName": name, "RoleArn": ROLE, "PipelineDefinition": text, "ClientRequestToken": token}
    status, answer = fuzz.send("CreatePipeline", request, story)
    if status != "200":
        return f"refused: {status}"
    status, answer = fuzz.send("StartPipelineExecution", {"PipelineName": name, "ClientRequestToken": token}, story)
    if status != "200":
        return f"not started: {status}"
    arn = answer["PipelineExecutionArn"]
    fuzz.end_callbacks_while_running(arn)
    ended = fuzz.world.finish(arn)
    _, described = fuzz.send("DescribePipelineExecution", {"PipelineExecutionArn": arn}, story)
    _, listed = fuzz.send("ListPipelineExecutionSteps", {"PipelineExecutionArn": arn, "MaxResults": 100}, story)
    reasons = [
        described.get("FailureReason", ""),
        *(step.get("FailureReason", "") for step in listed["PipelineExecutionSteps"]),
    ]
    faults = [reason for reason in reasons if "InternalServerError" in reason or "InternalFailure" in reason]
    if faults:
        raise UnfitAnswerError(f"{faults} for {story}")
    fuzz.send("ListPipelineParametersForExecution", {"PipelineExecutionArn": arn}, story)
    fuzz.send("DeletePipeline", {"PipelineName": name, "ClientRequestToken": token}, story)
    return f"ended: {ended}"


def _change(document: Any, chance: random.Random, maker: RequestMaker) -> Any:
    places = list(iter_places(document))
    holder, key = chance.choice(places)
    kind = chance.randrange(7)
    if kind == 0:
        return maker.break_somewhere(document)
    if kind == 1:
        del holder[key]
    elif kind == 2:
        other, name = chance.choice(places)
        holder[key] = copy.deepcopy(other[name])
    elif kind == 3 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 4 and isinstance(holder[key], str):
        text = holder[key]
        at = chance.randrange(len(text) + 1)
        holder[key] = text[:at] + chance.choice((".", "[", "]", "'", "0", "\x00", " ", "ü", "Steps.")) + text[at + 1 :]
    else:
        holder[key] = copy.deepcopy(chance.choice(EXPRESSIONS))
    return document
