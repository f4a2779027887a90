"""Random pipeline definitions that SageMaker would accept, in all the spellings JSON allows.

Plain Python around one random source: drawing every choice through hypothesis costs minutes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from random import Random

CONDITIONS: list[Any] = [
    {"Type": "Equals", "LeftValue": 1, "RightValue": {"Get": "Execution.PipelineName"}},
    {"Type": "In", "QueryValue": "a", "Values": ["a", 1]},
    {"Type": "In", "Value": "a", "In": ["a"]},
    {"Type": "Not", "Condition": {"Type": "NotIn", "Value": "a", "In": []}},
    {"Type": "Or", "Conditions": [{"Type": "LessThan", "LeftValue": 1, "RightValue": 2.0}]},
]

PARAMETER_VALUES: dict[str | None, list[Any]] = {
    None: ["a", ""],
    "String": ["a"],
    "Integer": [3, 3.0],
    "Float": [1, 1.5],
    "Boolean": [True, False],
}


def definitions() -> st.SearchStrategy[dict[str, Any]]:
    """Whole valid documents."""
    return st.randoms(use_true_random=False).map(lambda random: DefinitionMaker(random).make())


class DefinitionMaker:
    """Makes one random definition."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.parameters = [f"P{index}" for index in range(random.randrange(4))]
        self.referable: list[str] = []
        self.conditions: set[str] = set()
        self.count = 0

    def make(self) -> dict[str, Any]:
        """The document."""
        document: dict[str, Any] = {"Steps": self.steps(self.random.randrange(5), depth=2)}
        if self.parameters:
            document["Parameters"] = [self.parameter(name) for name in self.parameters]
        else:
            self.put(document, "Parameters", [], empty=[])
        self.put(document, "Metadata", {"k": "v"}, empty={})
        self.put(document, "PipelineExperimentConfig", {"TrialName": {"Get": "Execution.PipelineExecutionId"}})
        self.put(document, "MlflowConfig", {"MlflowExperimentName": "e"})
        if self.chance():
            document["Version"] = "2020-12-01"
        document.update(self.unknown_keys())
        return self.shuffled(document)

    def steps(self, count: int, *, depth: int) -> list[Any]:
        """Steps that depend on earlier ones only."""
        return [self.step(depth) for _ in range(count)]

    def step(self, depth: int) -> dict[str, Any]:
        """One step with its branches."""
        self.count += 1
        name = f"step-{self.count}"
        kind = self.random.choice(["Training", "Teleport", "Condition", "Fail", "Lambda"])
        step: dict[str, Any] = {"Name": name, "Type": kind}
        jobs = [other for other in self.referable if other not in self.conditions]
        if jobs:
            chosen = self.random.choices(jobs, k=self.random.randrange(3))
            self.put(step, "DependsOn", [self.dependency(item) for item in chosen], empty=[])
        arguments: dict[str, Any] = {f"a{index}": self.expression() for index in range(self.random.randrange(3))}
        if kind == "Condition":
            self.conditions.add(name)
            arguments["Conditions"] = self.random.choices(CONDITIONS, k=self.random.randrange(3))
            for branch in ("IfSteps", "ElseSteps"):
                if depth and self.chance():
                    arguments[branch] = self.steps(self.random.randrange(1, 3), depth=depth - 1)
                else:
                    self.put(arguments, branch, [], empty=[])
            step["Arguments"] = self.shuffled(arguments)
        else:
            self.put(step, "Arguments", arguments, empty={})
        self.put(step, "DisplayName", self.text() + "d", empty="")
        self.put(step, "Description", self.text() + "d", empty="")
        self.put(step, "CacheConfig", {"Enabled": self.chance(), "ExpireAfter": "30d", "x": self.json_value()})
        self.put(step, "RetryPolicies", [{"ExceptionType": "Step.THROTTLING", "MaxAttempts": 3}], empty=[])
        self.put(step, "PropertyFiles", [{"PropertyFileName": "f", "OutputName": "o", "FilePath": "p"}], empty=[])
        step.update(self.unknown_keys())
        if kind != "Fail":
            self.referable.append(name)
        return self.shuffled(step)

    def dependency(self, name: str) -> Any:
        """An entry of DependsOn."""
        return self.random.choice(
            [name, {"Step": name}, {"Step": name, "Trigger": "Completed"}, {"Trigger": "Any", "Step": name}]
        )

    def expression(self) -> Any:
        """An expression, or a literal."""
        choices: list[Any] = [self.json_value(), {"Get": "Execution.PipelineName"}]
        joined = self.random.choices(["a", 1, None, {"Get": "Execution.PipelineName"}], k=self.random.randrange(3))
        choices += [{"Std:Join": {"Values": joined}}, {"Std:Join": {"On": "/", "Values": joined}}]
        choices += [{"Get": f"Parameters.{name}"} for name in self.parameters]
        choices += [{"Get": f"Steps.{name}.Some.Path[0]['key']"} for name in self.referable]
        return self.random.choice(choices)

    def parameter(self, name: str) -> dict[str, Any]:
        """A parameter's declaration."""
        kind = self.random.choice(list(PARAMETER_VALUES))
        values = PARAMETER_VALUES[kind]
        parameter: dict[str, Any] = {"Name": name} if kind is None else {"Name": name, "Type": kind}
        self.put(parameter, "DefaultValue", self.random.choice(values))
        self.put(parameter, "EnumValues", values, empty=[])
        return self.shuffled({**parameter, **self.unknown_keys()})

    def unknown_keys(self) -> dict[str, Any]:
        """Nothing, or a key that nobody knows."""
        return {f"x{self.text()}": self.json_value()} if self.random.random() < 0.2 else {}

    def json_value(self, depth: int = 2) -> Any:
        """Any JSON value that holds no expression."""
        scalars = [None, True, False, 0, 1, -1.5, 1.0, 10**20, 5e-324, "", self.text()]
        if not depth or self.random.random() < 0.6:
            return self.random.choice(scalars)
        inner = [self.json_value(depth - 1) for _ in range(self.random.randrange(3))]
        return inner if self.chance() else {f"x{self.text()}{index}": item for index, item in enumerate(inner)}

    def text(self) -> str:
        """Some text, with what JSON writers trip over."""
        return "".join(self.random.choices('aé"\\\n\u2028😀\ud800', k=self.random.randrange(4)))

    def put(self, target: dict[str, Any], key: str, value: Any, *, empty: Any = None) -> None:
        """A value under a key, or null, or something empty, or nothing."""
        choice = self.random.choice(["value", "value", "absent", "null", "empty"])
        if choice == "value":
            target[key] = value
        elif choice == "null" or (choice == "empty" and empty is not None):
            target[key] = None if choice == "null" else empty

    def chance(self) -> bool:
        """Heads or tails."""
        return self.random.random() < 0.5

    def shuffled(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same object with its keys in another order."""
        keys = list(value)
        self.random.shuffle(keys)
        return {key: value[key] for key in keys}
